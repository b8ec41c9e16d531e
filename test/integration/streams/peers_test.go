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
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

func kubeconfigOf(server *binary.Server) string { return filepath.Join(server.DataDir, "kubeconfig") }

// runHostOf runs one simulated host until the test ends. Its tunnel goes to one of the servers, and its requests to the first.
func runHostOf(t *testing.T, servers ...*binary.Server) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfigOf(servers[0]))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := certificates.LoadCA(filepath.Join(servers[0].DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	list := make([]*url.URL, 0, len(servers))
	for _, server := range servers {
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	options := simulation.DefaultOptions()
	options.Count, options.StartDelay, options.StopDelay, options.Servers = 1, 10*time.Millisecond, 10*time.Millisecond, list
	hosts, err := simulation.New(options, credentials.CertifiedHosts(config, list, ca))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		hosts.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// startWeb creates the instance web on the simulated host, with a port, and waits until it runs.
func startWeb(t *testing.T, server *binary.Server) harness.FleetClient {
	t.Helper()
	client := harness.NewFleetClient(t, server.Config)
	client.WaitReady(t, "sim-1")
	client.CreateInstance(t, "web", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].Ports = []v1alpha1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	})
	client.MustBind(t, "web", "sim-1")
	client.WaitInstance(t, "web", "runs", isRunning)
	return client
}

// holder returns the server with the tunnel of the host.
func holder(t *testing.T, servers ...*binary.Server) *binary.Server {
	t.Helper()
	var found *binary.Server
	kit.Eventually(t, "a server has the tunnel", func(context.Context) bool {
		for _, server := range servers {
			if metrics.Scrape(t, server.Config).Sum("gatehouse_host_tunnels", nil) == 1 {
				found = server
			}
		}
		return found != nil
	})
	return found
}

func TestAServerReachesHostsThroughTheOneThatHoldsTheirTunnels(t *testing.T) {
	members := binary.StartCluster(t, 3).Servers
	runHostOf(t, members[1])
	startWeb(t, members[0])
	holder(t, members[1])
	large := strings.Repeat("0123456789abcdef", 1<<15)
	for _, asked := range members {
		t.Run(asked.URL, func(t *testing.T) {
			kubeconfig := kubeconfigOf(asked)
			reachable(t, kubeconfig, "web")
			for name, tc := range map[string]struct {
				line, in    string
				code        int
				out, stderr string
			}{
				"a log":                     {line: "logs web --tail=1", out: "container web"},
				"a command":                 {line: "exec web -- echo hello", out: "hello\n"},
				"a command with exit code":  {line: "exec web -- exit 3", code: 3, stderr: "command terminated with exit code 3"},
				"a command with much input": {line: "exec web -i -- cat", in: large, out: large},
			} {
				if code, out, stderr := execute(t.Context(), kubeconfig, tc.line, tc.in); code != tc.code || !strings.HasPrefix(out, tc.out) || !strings.Contains(stderr, tc.stderr) {
					t.Errorf("%s ended with %d, %.300q and %q", name, code, out, stderr)
				}
			}
			forwards(t, kubeconfig)
			through := metrics.Scrape(t, asked.Config).Sum("gatehouse_peer_streams_total", nil)
			if (through > 0) != (asked != members[1]) {
				t.Errorf("%v streams went through other servers", through)
			}
		})
	}
}

// forwards fails the test unless a forwarded port of the instance web leads to its container.
func forwards(t *testing.T, kubeconfig string) {
	t.Helper()
	out, code, stop := begin(t, kubeconfig, "port-forward web :http --address=127.0.0.1")
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
}

func TestAServerThatHangsIsNamed(t *testing.T) {
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: binary.DataDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	external := "--etcd-servers=" + etcd.Endpoints()[0]
	asked := binary.Start(t, binary.DataDir(t), external)
	second := binary.DataDir(t)
	binary.ShareKeys(t, asked.DataDir, second)
	hung := binary.Start(t, second, external)
	runHostOf(t, hung)
	startWeb(t, hung)
	reachable(t, kubeconfigOf(asked), "web")
	hung.Suspend()
	t.Cleanup(hung.Resume)
	client := harness.NewFleetClient(t, asked.Config)
	for range 2 { // whether it is expected to have the tunnel or not
		err = client.FleetV1alpha1().RESTClient().Get().MaxRetries(0).Namespace("default").Resource("instances").Name("web").SubResource("log").Do(t.Context()).Error()
		want := fmt.Sprintf("host sim-1 cannot be reached: no server that responds has its tunnel, and the server at %s does not respond: no connection in 3s (last seen ", hung.Address(t))
		if _, retry := apierrors.SuggestsClientDelay(err); !apierrors.IsServiceUnavailable(err) || !retry || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if code, _, stderr := execute(t.Context(), kubeconfigOf(asked), "exec web -- echo hello", ""); code != 1 || !strings.Contains(stderr, "does not respond: no connection in 3s") {
		t.Errorf("a command ended with %d: %s", code, stderr)
	}
	hung.Resume()
	reachable(t, kubeconfigOf(asked), "web")
}

func TestAFollowedLogSurvivesTheDeathOfTheServerWithTheTunnel(t *testing.T) {
	members := binary.StartCluster(t, 3).Servers
	asked, others := members[0], members[1:]
	runHostOf(t, others...)
	client := startWeb(t, asked)
	kubeconfig := kubeconfigOf(asked)
	reachable(t, kubeconfig, "web")
	out, code, _ := begin(t, kubeconfig, "logs web -f")
	kit.EventuallyState(t, "the first line is printed", func(context.Context) (bool, string) { return strings.Contains(out.String(), " starts, "), out.String() })
	killed := holder(t, others...)
	killed.Kill()
	<-killed.Exited()
	before := strings.Count(out.String(), " has been running ")
	at := time.Now()
	reachable(t, kubeconfig, "web")
	t.Logf("the host is reached %v after the kill", time.Since(at))
	kit.EventuallyState(t, "a later line is printed", func(context.Context) (bool, string) {
		return strings.Count(out.String(), " has been running ") > before+1, out.String()
	})
	lines := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		if lines[line] {
			t.Errorf("%q is printed twice", line)
		}
		lines[line] = true
	}
	client.Delete(t, "web", -1)
	if ended := <-code; ended != 0 || strings.Count(out.String(), " starts, ") != 1 || !strings.HasSuffix(out.String(), "container web ends with the exit code 0 (Completed)\n") {
		t.Errorf("it ended with %d: %s", ended, out)
	}
}
