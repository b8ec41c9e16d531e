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

package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	internalapi "k8s.io/cri-api/pkg/apis"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	critesting "k8s.io/cri-api/pkg/apis/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestTheStreamingServerOfTheRuntimeIsOnThisMachine(t *testing.T) {
	for location, allowed := range map[string]bool{
		"http://127.0.0.1:33445/exec/x7Tk":   true,
		"http://[::1]:33445/exec/x7Tk":       true,
		"https://127.0.0.1:33445/exec/x7Tk":  false,
		"http://10.0.0.1:33445/exec/x7Tk":    false,
		"http://localhost:33445/exec/x7Tk":   false,
		"http://169.254.169.254/exec/x7Tk":   false,
		"unix:///run/streaming.sock":         false,
		"/exec/x7Tk":                         false,
		"http://127.0.0.1.example.com/exec/": false,
	} {
		if _, err := streamProxy(location); (err == nil) != allowed {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// execService is a CRI service whose streaming server is at a URL.
type execService struct {
	internalapi.RuntimeService
	url     string
	request *criv1.ExecRequest
}

func (s *execService) Exec(_ context.Context, request *criv1.ExecRequest) (*criv1.ExecResponse, error) {
	s.request = request
	return &criv1.ExecResponse{Url: s.url}, nil
}

func TestACommandRunsAtTheStreamingServer(t *testing.T) {
	instance := &v1alpha1.Instance{}
	container := &runtime.Container{Name: "web", ID: "containerd://8fc2"}
	streams := runtime.StreamOptions{Stdin: true, Stdout: true, Stderr: true}
	var seen http.Header
	streaming := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/redirects" {
			http.Redirect(w, req, "http://10.0.0.1/", http.StatusFound)
			return
		}
		seen = req.Header
		handler, err := simulated.New(simulated.Options{}).Exec(req.Context(), instance, container, []string{"exit", "3"}, streams)
		if err != nil {
			t.Error(err)
		}
		handler.ServeHTTP(w, req)
	}))
	defer streaming.Close()
	r, service, _, _ := newRuntime(t)
	executing := &execService{RuntimeService: service}
	r.cri = executing
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler, err := r.Exec(req.Context(), instance, container, []string{"exit", "3"}, streams)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(w, req)
	}))
	defer agent.Close()
	execute := func() error {
		target, _ := url.Parse(agent.URL + "/exec?input=1&output=1&error=1")
		executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: agent.URL, BearerToken: "secret"}, http.MethodPost, target)
		if err != nil {
			t.Fatal(err)
		}
		return executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: &bytes.Buffer{}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
	}
	executing.url = streaming.URL + "/exec/x7Tk"
	if err, exit := execute(), (utilexec.CodeExitError{}); !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("%v", err)
	}
	if got := executing.request; got.ContainerId != "8fc2" || !got.Stdin || got.Tty || strings.Join(got.Cmd, " ") != "exit 3" {
		t.Errorf("the runtime got %v", got)
	}
	if seen.Get("Authorization") != "" {
		t.Error("the runtime got the credentials of the client")
	}
	executing.url = streaming.URL + "/redirects"
	if err := execute(); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirect of the streaming server: %v", err)
	}
}

// writeLog writes lines that end with the numbers from first to last, one a second.
func writeLog(t *testing.T, path string, first, last int) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for n := first; n <= last; n++ {
		stream := "stdout"
		if n%2 == 0 {
			stream = "stderr"
		}
		fmt.Fprintf(file, "%s %s F line %d\n", logStart.Add(time.Duration(n)*time.Second).Format(time.RFC3339Nano), stream, n)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

var logStart = time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)

func lines(first, last int) string {
	var text strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&text, "line %d\n", n)
	}
	return text.String()
}

func number(n int64) *int64 { return &n }

func TestALogIsReadWithItsRotatedFiles(t *testing.T) {
	r, _, _, _ := newRuntime(t)
	path := filepath.Join(r.options.LogDir, "0.log")
	writeLog(t, path+"."+logStart.Add(10*time.Second).Format(rotatedFormat), 1, 10)
	writeLog(t, path+"."+logStart.Add(20*time.Second).Format(rotatedFormat), 11, 20)
	writeLog(t, path, 21, 30)
	both := runtime.LogOptions{Stdout: true, Stderr: true}
	with := func(change func(o *runtime.LogOptions)) runtime.LogOptions {
		o := both
		change(&o)
		return o
	}
	for name, tc := range map[string]struct {
		options runtime.LogOptions
		want    string
	}{
		"all":                              {both, lines(1, 30)},
		"lines at the end":                 {with(func(o *runtime.LogOptions) { o.TailLines = number(3) }), lines(28, 30)},
		"no lines":                         {with(func(o *runtime.LogOptions) { o.TailLines = number(0) }), ""},
		"lines that are in two files":      {with(func(o *runtime.LogOptions) { o.TailLines = number(12) }), lines(19, 30)},
		"lines that are in all files":      {with(func(o *runtime.LogOptions) { o.TailLines = number(25) }), lines(6, 30)},
		"more lines than there are":        {with(func(o *runtime.LogOptions) { o.TailLines = number(99) }), lines(1, 30)},
		"since a time in a rotated file":   {with(func(o *runtime.LogOptions) { o.Since = logStart.Add(15 * time.Second) }), lines(15, 30)},
		"since a time in the current file": {with(func(o *runtime.LogOptions) { o.Since = logStart.Add(25 * time.Second) }), lines(25, 30)},
		"bytes that end in a rotated file": {with(func(o *runtime.LogOptions) { o.LimitBytes = number(10) }), "line 1\nlin"},
		"bytes that end in the next file":  {with(func(o *runtime.LogOptions) { o.LimitBytes = number(76) }), lines(1, 10) + "line "},
		"one stream":                       {runtime.LogOptions{Stderr: true, TailLines: number(4)}, "line 28\nline 30\n"},
		"times":                            {with(func(o *runtime.LogOptions) { o.Timestamps, o.TailLines = true, number(1) }), "2026-12-01T08:00:30.000000000Z line 30\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if err := r.WriteLog(t.Context(), nil, &runtime.Container{Name: "web", LogPath: path}, tc.options, &out); err != nil || out.String() != tc.want {
				t.Errorf("%q %v, not %q", out.String(), err, tc.want)
			}
		})
	}
	if err := r.WriteLog(t.Context(), nil, &runtime.Container{Name: "web", LogPath: "/etc/passwd"}, both, &strings.Builder{}); err == nil {
		t.Error("a file outside of the directory of logs was read")
	}
	if err := r.WriteLog(t.Context(), nil, &runtime.Container{Name: "web", LogPath: path + ".1"}, both, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "does not exist any more") {
		t.Errorf("a log that is gone: %v", err)
	}
}

// shared is a writer that tests read while it is written.
type shared struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *shared) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestALogIsFollowedAcrossItsRotation(t *testing.T) {
	r, service, _, _ := newRuntime(t)
	path := filepath.Join(r.options.LogDir, "0.log")
	writeLog(t, path, 1, 3)
	service.Containers["c"] = &critesting.FakeContainer{ContainerStatus: criv1.ContainerStatus{State: criv1.ContainerState_CONTAINER_RUNNING}}
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &shared{}, make(chan error, 1)
	go func() {
		done <- r.WriteLog(ctx, nil, &runtime.Container{Name: "web", ID: "x://c", LogPath: path}, runtime.LogOptions{Follow: true, TailLines: number(1), Stdout: true, Stderr: true}, out)
	}()
	written := func(want string) {
		t.Helper()
		kit.EventuallyState(t, "the lines are written", func(context.Context) (bool, string) { return out.String() == want, out.String() })
	}
	written(lines(3, 3))
	writeLog(t, path, 4, 5)
	written(lines(3, 5))
	if err := os.Rename(path, path+".20261201-080005"); err != nil {
		t.Fatal(err)
	}
	writeLog(t, path+".20261201-080005", 6, 6) // the runtime still has the old file
	writeLog(t, path, 7, 9)
	written(lines(3, 9))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
