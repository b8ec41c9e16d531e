//go:build e2e

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

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// plugin returns the command line "kubectl gatehouse".
func plugin(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, env.bin("kubectl-gatehouse"), append([]string{args[0], "--kubeconfig", env.path("server/kubeconfig")}, args[1:]...)...)
}

// exitCode returns the exit code of a command that has ended.
func exitCode(t *testing.T, err error) int {
	t.Helper()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// said is the output of a command that runs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// begin starts a command, and ends it with the test.
func begin(t *testing.T, args ...string) (*exec.Cmd, *said) {
	t.Helper()
	ctx, cancel := context.WithCancel(background())
	t.Cleanup(cancel)
	cmd, out := plugin(ctx, args...), &said{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// reachable waits until a container runs and its host is connected.
func reachable(t *testing.T, name string) {
	t.Helper()
	wait(t, name, "runs", runs)
	kit.EventuallyState(t, "the host of "+name+" is connected", func(ctx context.Context) (bool, string) {
		out, err := plugin(ctx, "logs", name).CombinedOutput()
		return err == nil, string(out)
	})
}

func TestALogIsFollowedUntilTheInstanceIsGone(t *testing.T) {
	create(t, "follow", nil)
	reachable(t, "follow")
	cmd, out := begin(t, "logs", "follow", "-f")
	kit.EventuallyState(t, "the first line is printed", func(context.Context) (bool, string) {
		return strings.Contains(out.String(), "hello from follow, process 1\n"), out.String()
	})
	remove(t, "follow")
	if code := exitCode(t, cmd.Wait()); code != 0 || !strings.HasSuffix(out.String(), "SIGTERM received, stopping\n") || strings.Count(out.String(), "hello from") != 1 {
		t.Errorf("it ended with %d and %q", code, out)
	}
}

func TestTheLogOfTheAttemptBeforeTheRestart(t *testing.T) {
	create(t, "previous", args("--exit-after=1s", "--exit-code=3"))
	wait(t, "previous", "is restarted", func(_ *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool { return c.RestartCount > 0 })
	kit.EventuallyState(t, "the log of the attempt before is printed", func(ctx context.Context) (bool, string) {
		out, err := plugin(ctx, "logs", "previous", "--previous").CombinedOutput()
		return err == nil && strings.HasSuffix(string(out), "exiting with code 3\n"), fmt.Sprint(err, string(out))
	})
}

func TestACommandIsExecutedInAContainer(t *testing.T) {
	create(t, "exec", nil)
	reachable(t, "exec")
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for name, tc := range map[string]struct {
		args []string
		in   string
		code int
		out  string
	}{
		"its exit code":          {args: []string{"exec", "exec", "--", "/hello", "--port=0", "--exit-after=1ms", "--exit-code=3"}, code: 3, out: "exiting with code 3"},
		"its input and output":   {args: []string{"exec", "exec", "-i", "--", "/hello", "cat"}, in: large, out: large},
		"no terminal":            {args: []string{"exec", "exec", "--", "/hello", "size"}, out: "no terminal\n"},
		"a program that is none": {args: []string{"exec", "exec", "--", "/missing"}, code: 1, out: "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := plugin(t.Context(), tc.args...)
			cmd.Stdin = strings.NewReader(tc.in)
			out, err := cmd.CombinedOutput()
			if code := exitCode(t, err); code != tc.code || !strings.Contains(string(out), tc.out) {
				t.Errorf("it ended with %d and %.500q", code, out)
			}
		})
	}
}

func TestACommandHasATerminal(t *testing.T) {
	create(t, "terminal", nil)
	reachable(t, "terminal")
	line := strings.Join(plugin(t.Context(), "exec", "terminal", "-it", "--", "/hello", "size").Args, " ")
	out, err := exec.CommandContext(t.Context(), "script", "-qec", "stty rows 43 cols 132; "+line, "/dev/null").CombinedOutput()
	if code := exitCode(t, err); code != 0 || !strings.Contains(string(out), "43 132\r\n") {
		t.Errorf("it ended with %d and %q", code, out)
	}
}

func TestALocalPortLeadsToAContainer(t *testing.T) {
	create(t, "forward", nil)
	reachable(t, "forward")
	_, out := begin(t, "port-forward", "forward", ":8080", "--address", "127.0.0.1")
	var port int
	kit.EventuallyState(t, "a port is chosen", func(context.Context) (bool, string) {
		text := out.String()
		_, err := fmt.Sscanf(text, "Forwarding from 127.0.0.1:%d -> 8080\n", &port)
		return err == nil, text
	})
	for range 3 {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != "hello from forward\n" {
			t.Errorf("%q %v", body, err)
		}
	}
}
