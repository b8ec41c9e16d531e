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

package streaming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// instances implements Instances.
type instances map[string]*v1alpha1.Instance

func (i instances) Instance(namespace, name string) *v1alpha1.Instance { return i[namespace+"/"+name] }

func newInstance() *v1alpha1.Instance {
	return &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "u-1"},
		Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{
			{Name: "web", Image: "web:1", Env: []v1alpha1.EnvVar{{Name: "COLOUR", Value: "red"}}, Ports: []v1alpha1.ContainerPort{{ContainerPort: 8080}}},
			{Name: "late", Image: "late:bad"},
		}},
		Status: v1alpha1.InstanceStatus{ContainerStatuses: []v1alpha1.ContainerStatus{
			{Name: "late", State: v1alpha1.ContainerState{Waiting: &v1alpha1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}}},
		}},
	}
}

// newHost serves a simulated host with one instance, whose container web runs.
func newHost(t *testing.T) (url string, containers *simulated.Runtime, instance *v1alpha1.Instance) {
	t.Helper()
	containers, instance = simulated.New(simulated.Options{HostName: "sim-1", HostNumber: 1}), newInstance()
	if err := containers.RunSandbox(t.Context(), instance); err != nil {
		t.Fatal(err)
	}
	if err := containers.StartContainer(t.Context(), instance, &instance.Spec.Containers[0], 0); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(New(instances{"default/web": instance}, containers))
	t.Cleanup(server.Close)
	return server.URL, containers, instance
}

func TestRequestsThatAreRefused(t *testing.T) {
	url, _, _ := newHost(t)
	const web = "/v1/instances/default/web/u-1"
	for name, tc := range map[string]struct {
		path string
		code int
		text string
	}{
		"an instance that the host does not have":            {"/v1/instances/default/api/u-1/web/log", 404, "the host has no instance default/api"},
		"an instance of another namespace":                   {"/v1/instances/shop/web/u-1/web/log", 404, "the host has no instance shop/web"},
		"an instance that was replaced":                      {"/v1/instances/default/web/u-0/web/log", 404, "it was replaced"},
		"a container that the instance does not have":        {web + "/db/log", 404, "the instance default/web has no container db"},
		"a log of a container that waits":                    {web + "/late/log", 400, "waiting to start: ImagePullBackOff: not found"},
		"a log before the first restart":                     {web + "/web/log?previous=true", 400, "it has not been restarted"},
		"a negative number of lines":                         {web + "/web/log?tailLines=-1", 400, `tailLines: "-1" is not a number from 0 on`},
		"a limit of nothing":                                 {web + "/web/log?limitBytes=0", 400, `limitBytes: "0" is not a number from 1 on`},
		"a time that is not one":                             {web + "/web/log?sinceTime=yesterday", 400, `sinceTime: "yesterday" is not a time`},
		"two beginnings":                                     {web + "/web/log?sinceTime=2026-01-02T15:04:05Z&sinceSeconds=5", 400, "exclude each other"},
		"a flag that is not one":                             {web + "/web/log?follow=maybe", 400, `follow: "maybe" is not true or false`},
		"a stream that does not exist":                       {web + "/web/log?stream=Stdlog", 400, `stream: "Stdlog" is not one of`},
		"exec without a command":                             {web + "/web/exec?output=1", 400, "command is missing"},
		"exec without a stream":                              {web + "/web/exec?command=true", 400, "no stream is selected"},
		"exec with the parameters of the API":                {web + "/web/exec?command=true&stdout=true", 400, "no stream is selected"},
		"exec in a container that waits":                     {web + "/late/exec?command=true&output=1", 400, "waiting to start: ImagePullBackOff"},
		"exec without an upgrade":                            {web + "/web/exec?command=true&output=1", 400, "pgrade"},
		"attach to an instance that was replaced":            {"/v1/instances/default/web/u-0/web/attach?output=1", 404, "it was replaced"},
		"port forwarding to an instance of another":          {"/v1/instances/default/api/u-1/portforward", 404, "the host has no instance"},
		"a path that is no route":                            {web + "/web/files", 404, ""},
		"a path that would be another with its parts joined": {"/v1/instances/default/web/u-1/web%2flog", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := http.Get(url + tc.path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != tc.code || !strings.Contains(string(body), tc.text) {
				t.Errorf("%d %q %v, not %d %q", response.StatusCode, body, err, tc.code, tc.text)
			}
		})
	}
}

func TestTheEndOfAContainerEndsWhatNeedsIt(t *testing.T) {
	url, containers, instance := newHost(t)
	if err := containers.StopContainer(t.Context(), instance.UID, "web", 0); err != nil {
		t.Fatal(err)
	}
	if text := get(t, url+"/v1/instances/default/web/u-1/web/exec?command=true&output=1"); !strings.Contains(text, "is not running: it ended with the exit code 0 (Completed)") {
		t.Error(text)
	}
	if text := get(t, url+"/v1/instances/default/web/u-1/web/log?tailLines=1&follow=true"); text != "container web ends with the exit code 0 (Completed)\n" {
		t.Error(text)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheAttemptWhoseLogIsRead(t *testing.T) {
	restarting := &v1alpha1.ContainerStatus{State: v1alpha1.ContainerState{Waiting: &v1alpha1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}
	ended := &v1alpha1.ContainerStatus{State: v1alpha1.ContainerState{Terminated: &v1alpha1.ContainerStateTerminated{}}}
	created, running, exited := runtime.ContainerCreated, runtime.ContainerRunning, runtime.ContainerExited
	for name, tc := range map[string]struct {
		status   *v1alpha1.ContainerStatus
		states   []runtime.ContainerState // of attempt 0 and 1
		previous bool
		want     int32 // -1 for an error
	}{
		"the first that runs":                          {nil, []runtime.ContainerState{running}, false, 0},
		"one that runs after a restart":                {nil, []runtime.ContainerState{exited, running}, false, 1},
		"the previous one":                             {nil, []runtime.ContainerState{exited, running}, true, 0},
		"no previous one":                              {nil, []runtime.ContainerState{running}, true, -1},
		"one that has ended":                           {ended, []runtime.ContainerState{exited}, false, 0},
		"none before one that has ended":               {ended, []runtime.ContainerState{exited}, true, -1},
		"the last one, while the next waits":           {restarting, []runtime.ContainerState{exited}, false, 0},
		"the previous one, while the next waits":       {restarting, []runtime.ContainerState{exited, exited}, true, 1},
		"the last one, while the next is created":      {restarting, []runtime.ContainerState{exited, created}, false, 0},
		"the previous one, while the next is created":  {restarting, []runtime.ContainerState{exited, created}, true, 0},
		"none, while the first is created":             {nil, []runtime.ContainerState{created}, false, -1},
		"none before the first, while that is created": {nil, []runtime.ContainerState{created}, true, -1},
	} {
		t.Run(name, func(t *testing.T) {
			sandbox := &runtime.Sandbox{}
			for attempt, state := range tc.states {
				sandbox.Containers = append(sandbox.Containers, runtime.Container{Name: "web", Attempt: int32(attempt), State: state})
			}
			a := &attempts{instance: newInstance(), status: tc.status}
			a.newest, a.previous = sandbox.Newest("web")
			c, err := a.logged("web", tc.previous)
			if (err != nil) != (tc.want < 0) || err == nil && c.Attempt != tc.want {
				t.Errorf("%+v %v", c, err)
			}
		})
	}
}

func TestALogIsFollowedToItsEnd(t *testing.T) {
	url, containers, instance := newHost(t)
	response, err := http.Get(url + "/v1/instances/default/web/u-1/web/log?follow=true&timestamps=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	first := make([]byte, len("2026-12-01T03:54:32.425806789Z container web of default/web starts"))
	if _, err := io.ReadFull(response.Body, first); err != nil || !strings.Contains(string(first), "Z container web of default/web starts") {
		t.Fatalf("%q %v", first, err)
	}
	if err := containers.StopContainer(t.Context(), instance.UID, "web", 0); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(rest), "container web ends with the exit code 0") {
		t.Errorf("%q %v", rest, err)
	}
}

// execute runs a command and returns its output, error output and exit code.
func execute(t *testing.T, url string, tty bool, in io.Reader, command ...string) (out, stderr string, code int) {
	t.Helper()
	query := "output=1"
	for _, word := range command {
		query += "&command=" + word
	}
	options := remotecommand.StreamOptions{Stdin: in, Tty: tty}
	if in != nil {
		query += "&input=1"
	}
	var outText, errText strings.Builder
	options.Stdout = &outText
	if tty {
		query += "&tty=1"
		options.TerminalSizeQueue = oneSize{make(chan struct{}, 1)}
	} else {
		query += "&error=1"
		options.Stderr = &errText
	}
	request, err := http.NewRequest(http.MethodPost, url+"/v1/instances/default/web/u-1/web/exec?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: url}, request.Method, request.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = executor.StreamWithContext(ctx, options)
	exit := utilexec.CodeExitError{}
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outText.String(), errText.String(), exit.Code
}

// oneSize is a terminal of one size.
type oneSize struct{ sent chan struct{} }

func (s oneSize) Next() *remotecommand.TerminalSize {
	select {
	case s.sent <- struct{}{}:
		return &remotecommand.TerminalSize{Width: 132, Height: 43}
	default:
		return nil
	}
}

func TestCommandsInASimulatedContainer(t *testing.T) {
	url, _, _ := newHost(t)
	for name, tc := range map[string]struct {
		command     string
		in          string
		tty         bool
		out, stderr string
		code        int
	}{
		"echo writes its arguments":         {command: "echo a b", out: "a b\n"},
		"exit has its code":                 {command: "exit 3", code: 3},
		"cat copies its input":              {command: "cat", in: strings.Repeat("x", 100_000) + "\n", out: strings.Repeat("x", 100_000) + "\n"},
		"env has the variables":             {command: "env", out: "COLOUR=red\n"},
		"another program does not exist":    {command: "sh -c ls", stderr: "sh: not found: container web is simulated", code: 127},
		"a terminal has its size":           {command: "stty size", tty: true, in: "\x04", out: "43 132\r\n"},
		"cat on a terminal ends at Control": {command: "cat", tty: true, in: "ab\r\x04", out: "ab\r\n"},
		"Control-C ends cat on a terminal":  {command: "cat", tty: true, in: "a\x03", out: "a", code: 130},
	} {
		t.Run(name, func(t *testing.T) {
			var in io.Reader
			if tc.in != "" {
				in = strings.NewReader(tc.in)
			}
			out, stderr, code := execute(t, url, tc.tty, in, strings.Fields(tc.command)...)
			if out != tc.out || !strings.HasPrefix(stderr, tc.stderr) || code != tc.code {
				t.Errorf("%.200q %q %d", out, stderr, code)
			}
		})
	}
}

func TestPortsOfASimulatedContainer(t *testing.T) {
	url, _, _ := newHost(t)
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{Host: url})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, url+"/v1/instances/default/web/u-1/portforward", nil)
	if err != nil {
		t.Fatal(err)
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	var failures strings.Builder
	forwarder, err := portforward.New(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, request.Method, request.URL), []string{"0:8080", "0:81"}, stop, ready, io.Discard, &failures)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	if text := get(t, fmt.Sprintf("http://127.0.0.1:%d/health", ports[0].Local)); !strings.Contains(text, "GET /health: container web of default/web listens on port 8080") {
		t.Error(text)
	}
	if _, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[1].Local)); err == nil {
		t.Error("a port on which nothing listens answers")
	}
	close(stop)
	if err := <-done; err != nil && !errors.Is(err, portforward.ErrLostConnectionToPod) {
		t.Error(err)
	}
}
