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
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/streaming"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// programs is a host with one instance. Its container executes the programs of this machine. It implements
// streaming.Containers and streaming.Instances.
type programs struct {
	runtime.Streamer // panics: only Exec and logs are called
	instance         *v1alpha1.Instance
}

func (p programs) Instance(_, name string) *v1alpha1.Instance {
	if name != p.instance.Name {
		return nil
	}
	return p.instance
}

func (programs) Sandbox(context.Context, types.UID) (*runtime.Sandbox, error) {
	return &runtime.Sandbox{Containers: []runtime.Container{{Name: "web", State: runtime.ContainerRunning}}}, nil
}

func (programs) WriteLog(context.Context, *v1alpha1.Instance, *runtime.Container, runtime.LogOptions, io.Writer) error {
	return nil
}

func (p programs) Exec(_ context.Context, _ *v1alpha1.Instance, _ *runtime.Container, command []string, streams runtime.StreamOptions) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		options := &remotecommand.Options{Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr}
		remotecommand.ServeExec(w, r, p, "web", "", "web", command, options, time.Hour, time.Minute, remotecommand.SupportedStreamingProtocols)
	}), nil
}

// ExecInContainer implements remotecommand.Executor.
func (programs) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, stderr io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

func TestFilesAreCopiedThroughTheServer(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("this machine has no tar")
	}
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	client.CreateReadyHost(t, "edge-1", "4")
	client.CreateInstance(t, "web")
	client.MustBind(t, "web", "edge-1")
	host := programs{instance: client.SetPhase(t, "web", v1alpha1.InstanceRunning)}
	user, groups := credentials.HostUser("edge-1")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		tunnel.Serve(ctx, harness.IssueClient(t, server, user, groups...), nil, "edge-1", streaming.New(host, host), nil)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	reachable(t, server.Kubeconfig, "web")
	local, remote := t.TempDir(), t.TempDir()
	large := strings.Repeat("0123456789abcdef", 1<<17) // more than the windows of all connections
	for file, content := range map[string]string{"tree/a.txt": "a", "tree/sub/large.txt": large} {
		path := filepath.Join(local, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"cp " + local + "/tree web:" + remote + "/there",
		"cp web:" + remote + "/there " + local + "/back",
		"cp " + local + "/tree/a.txt default/web:" + remote + "/there",
	} {
		if code, out, stderr := execute(t.Context(), server.Kubeconfig, line, ""); code != 0 || out+stderr != "" {
			t.Fatalf("%s ended with %d: %s%s", line, code, out, stderr)
		}
	}
	for _, file := range []string{remote + "/there/a.txt", remote + "/there/sub/large.txt", local + "/back/a.txt", local + "/back/sub/large.txt"} {
		want := "a"
		if strings.HasSuffix(file, "large.txt") {
			want = large
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != want {
			t.Errorf("%s has %d bytes, %v", file, len(content), err)
		}
	}
	if code, _, stderr := execute(t.Context(), server.Kubeconfig, "cp web:/nowhere/a "+local+"/b", ""); code != 1 || !strings.Contains(stderr, "tar in the container failed with the exit code") {
		t.Errorf("it ended with %d: %s", code, stderr)
	}
}
