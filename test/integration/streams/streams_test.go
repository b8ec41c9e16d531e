/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package streams

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	plugin "github.com/gatehouse-dev/gatehouse/cmd/kubectl-gatehouse/app"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// text is a writer that the test reads meanwhile.
type text struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *text) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *text) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// execute runs kubectl gatehouse.
func execute(ctx context.Context, kubeconfig, line, in string) (code int, out, stderr string) {
	var outText, errText text
	words := strings.Fields(line)
	args := append([]string{words[0], "--kubeconfig", kubeconfig}, words[1:]...)
	code = plugin.Execute(ctx, args, plugin.Streams{In: strings.NewReader(in), Out: &outText, Err: &errText})
	return code, outText.String(), errText.String()
}

// begin runs kubectl gatehouse until it ends or stop is called, which returns the exit code.
func begin(t *testing.T, kubeconfig, line string) (out *text, code <-chan int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ended := make(chan int, 1)
	out = &text{}
	words := strings.Fields(line)
	args := append([]string{words[0], "--kubeconfig", kubeconfig}, words[1:]...)
	go func() { ended <- plugin.Execute(ctx, args, plugin.Streams{Out: out, Err: out}) }()
	return out, ended, cancel
}

func isRunning(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
	return i.Status.Phase == v1alpha1.InstanceRunning && c.Ready
}

// reachable waits until the host of an instance is connected.
func reachable(t *testing.T, kubeconfig, instance string) {
	t.Helper()
	kit.EventuallyState(t, "the host of "+instance+" is connected", func(ctx context.Context) (bool, string) {
		code, out, stderr := execute(ctx, kubeconfig, "logs "+instance+" --tail=0", "")
		return code == 0, out + stderr
	})
}

func startSimulated(t *testing.T) (*servertesting.Server, harness.FleetClient) {
	t.Helper()
	server := servertesting.Start(t, func(o *options.Options) { o.SimulateHosts = 1 })
	client := harness.NewFleetClient(t, server.Config)
	client.WaitReady(t, "sim-1")
	client.CreateInstance(t, "web", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].Ports = []v1alpha1.ContainerPort{{Name: "http", ContainerPort: 8080}}
		i.Spec.Containers = append(i.Spec.Containers, v1alpha1.Container{Name: "proxy", Image: "proxy:1"})
	})
	client.MustBind(t, "web", "sim-1")
	kit.Eventually(t, "both containers run", func(ctx context.Context) bool {
		instance, err := client.FleetV1alpha1().Instances("default").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && len(instance.Status.ContainerStatuses) == 2 && instance.Status.Phase == v1alpha1.InstanceRunning
	})
	kit.EventuallyState(t, "the host is connected", func(ctx context.Context) (bool, string) {
		code, out, stderr := execute(ctx, server.Kubeconfig, "logs web -c web --tail=0", "")
		return code == 0, out + stderr
	})
	return server, client
}

func TestContainersOfSimulatedHostsAreReachable(t *testing.T) {
	server, client := startSimulated(t)
	large := strings.Repeat("0123456789abcdef", 1<<15)
	for name, tc := range map[string]struct {
		line        string
		in          string
		code        int
		out, stderr string
	}{
		"a command has its output":        {line: "exec web -c web -- echo hello", out: "hello\n"},
		"a command has its exit code":     {line: "exec web -c web -- exit 3", code: 3, stderr: "command terminated with exit code 3"},
		"a command has its input":         {line: "exec web -c web -i -- cat", in: large, out: large},
		"a command that does not exist":   {line: "exec web -c web -- sh -c ls", code: 127, stderr: "sh: not found"},
		"the other container":             {line: "exec web -c proxy -- echo ;&%20+", out: ";&%20+\n"},
		"a log":                           {line: "logs web -c web --tail=1", out: "container web"},
		"a log with times":                {line: "logs web -c web --timestamps --limit-bytes=2", out: "20"},
		"a log before a restart":          {line: "logs web -c web --previous", code: 1, stderr: "it has not been restarted"},
		"a copy from a container, no tar": {line: "cp web:/a /tmp/a -c web", code: 1, stderr: "the container has no program tar"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := execute(t.Context(), server.Kubeconfig, tc.line, tc.in)
			if code != tc.code || !strings.HasPrefix(out, tc.out) || tc.out == "" && out != "" || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("it ended with %d, %.300q and %q", code, out, stderr)
			}
		})
	}
	t.Run("a port leads to the container", func(t *testing.T) {
		out, code, stop := begin(t, server.Kubeconfig, "port-forward web :http --address=127.0.0.1")
		var port int
		kit.EventuallyState(t, "a port is chosen", func(context.Context) (bool, string) {
			said := out.String()
			_, err := fmt.Sscanf(said, "Forwarding from 127.0.0.1:%d -> 8080\n", &port)
			return err == nil, said
		})
		for range 3 {
			response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health", port))
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || !strings.Contains(string(body), "GET /health: container web of default/web listens on port 8080") {
				t.Errorf("%q %v", body, err)
			}
		}
		stop()
		if ended := <-code; ended != 0 {
			t.Errorf("it ended with %d: %s", ended, out)
		}
	})
	t.Run("a log is followed to the end of the instance", func(t *testing.T) {
		out, code, _ := begin(t, server.Kubeconfig, "logs web -c web -f")
		kit.EventuallyState(t, "the first line is printed", func(context.Context) (bool, string) { return strings.Contains(out.String(), " starts, "), out.String() })
		client.Delete(t, "web", -1)
		if ended := <-code; ended != 0 || !strings.HasSuffix(out.String(), "container web ends with the exit code 0 (Completed)\n") || strings.Count(out.String(), " starts, ") != 1 {
			t.Errorf("it ended with %d: %s", ended, out)
		}
	})
}
