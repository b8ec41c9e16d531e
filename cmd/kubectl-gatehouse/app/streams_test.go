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

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/proxy"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/streaming"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// hostOfOne implements streaming.Instances, and is a server with one app and its instance. It passes what is
// for a container on to the agent's handler.
type hostOfOne struct {
	instance   *v1alpha1.Instance
	containers *simulated.Runtime
	// agent is the URL of the agent's handler.
	agent string
	// translates is set if the server is reached by WebSocket.
	translates bool
}

func (h *hostOfOne) Instance(namespace, name string) *v1alpha1.Instance {
	if namespace == h.instance.Namespace && name == h.instance.Name {
		return h.instance
	}
	return nil
}

func (h *hostOfOne) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const prefix = "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/"
	app := &v1alpha1.App{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "App"}, ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: v1alpha1.AppSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}
	answer := func(object any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object)
	}
	switch path := strings.TrimPrefix(r.URL.Path, prefix); path {
	case "apps/web":
		answer(app)
	case "instances":
		answer(&v1alpha1.InstanceList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "InstanceList"}, Items: []v1alpha1.Instance{*h.instance}})
	case "instances/web-x":
		answer(h.instance)
	case "instances/web-x/log", "instances/web-x/exec", "instances/web-x/attach", "instances/web-x/portforward":
		h.pass(w, r, filepath.Base(path))
	default:
		http.NotFound(w, r)
	}
}

// pass sends a request to the agent, as the server does. Behind a proxy that passes no WebSocket on, clients use
// SPDY.
func (h *hostOfOne) pass(w http.ResponseWriter, r *http.Request, subresource string) {
	if !h.translates && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	query := r.URL.Query()
	target := "/v1/instances/default/web-x/" + string(h.instance.UID) + "/"
	if subresource != "portforward" {
		target += query.Get("container") + "/"
	}
	sent := url.Values{}
	for name, values := range query {
		if renamed := map[string]string{"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}[name]; renamed != "" {
			sent.Set(renamed, "1")
			continue
		}
		sent[name] = values
	}
	location := &url.URL{Scheme: "http", Host: strings.TrimPrefix(h.agent, "http://"), Path: target + subresource, RawQuery: sent.Encode()}
	passing := proxy.NewUpgradeAwareHandler(location, nil, false, subresource != "log", proxyFailure{})
	passing.FlushInterval = -1
	var handler http.Handler = passing
	switch subresource {
	case "exec", "attach":
		has := func(name string) bool { return query.Get(name) == "true" }
		streams := translator.Options{Stdin: has("stdin"), Stdout: has("stdout"), Stderr: has("stderr"), Tty: has("tty")}
		handler = translator.NewTranslatingHandler(passing, translator.NewStreamTranslatorHandler(location, nil, 0, streams), wsstream.IsWebSocketRequestWithStreamCloseProtocol)
	case "portforward":
		handler = translator.NewTranslatingHandler(passing, translator.NewTunnelingHandler(passing), wsstream.IsWebSocketRequestWithTunnelingProtocol)
	}
	handler.ServeHTTP(w, r)
}

type proxyFailure struct{}

func (proxyFailure) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// newHostOfOne returns the path of a kubeconfig of the server.
func newHostOfOne(t *testing.T, translates bool) (*hostOfOne, string) {
	t.Helper()
	h := &hostOfOne{translates: translates, containers: simulated.New(simulated.Options{HostName: "sim-1", HostNumber: 1})}
	h.instance = &v1alpha1.Instance{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Instance"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-x", UID: "u-1", Labels: map[string]string{"app": "web"}},
		Spec: v1alpha1.InstanceSpec{HostName: "sim-1", Containers: []v1alpha1.Container{
			{Name: "web", Image: "web:1", Ports: []v1alpha1.ContainerPort{{Name: "http", ContainerPort: 8080}}}, {Name: "proxy", Image: "proxy:1"},
		}},
		Status: v1alpha1.InstanceStatus{Phase: v1alpha1.InstanceRunning},
	}
	if err := h.containers.RunSandbox(t.Context(), h.instance); err != nil {
		t.Fatal(err)
	}
	for i := range h.instance.Spec.Containers {
		if err := h.containers.StartContainer(t.Context(), h.instance, &h.instance.Spec.Containers[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	agent := httptest.NewServer(streaming.New(h, h.containers))
	t.Cleanup(agent.Close)
	h.agent = agent.URL
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["here"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["here"] = &clientcmdapi.Context{Cluster: "here", Namespace: "default"}
	config.CurrentContext = "here"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return h, path
}

func TestCommandsReachAContainer(t *testing.T) {
	for protocol, translates := range map[string]bool{"by WebSocket": true, "by SPDY": false} {
		t.Run(protocol, func(t *testing.T) { commandsReachAContainer(t, translates) })
	}
}

func commandsReachAContainer(t *testing.T, translates bool) {
	_, kubeconfig := newHostOfOne(t, translates)
	const defaulted = "Defaulted container \"web\" out of: web, proxy\n"
	for name, tc := range map[string]struct {
		line        string
		in          string
		code        int
		out, stderr string
	}{
		"a command has its output":                {line: "exec web-x -- echo hello", out: "hello\n", stderr: defaulted},
		"a command in an instance of an app":      {line: "exec app/web -c proxy -- hostname", out: "web-x\n"},
		"a command with the kind of the instance": {line: "exec instances/web-x -c web -- echo -n", out: "-n\n"},
		"a command has its exit code":             {line: "exec web-x -c web -- exit 3", code: 3, stderr: "command terminated with exit code 3\n"},
		"a command that does not exist":           {line: "exec web-x -c web -- sh", code: 127, stderr: "sh: not found: container web is simulated"},
		"a command has the standard input":        {line: "exec web-x -c web -i -- cat", in: strings.Repeat("x", 1<<20), out: strings.Repeat("x", 1<<20)},
		"a command without -i has no input":       {line: "exec web-x -c web -- cat", in: "x"},
		"what is no terminal has no terminal":     {line: "exec web-x -c web -it -- cat", in: "x", out: "x", stderr: "The standard input is not a terminal: --tty has no effect\n"},
		"a container that does not exist":         {line: "exec web-x -c db -- ls", code: 1, stderr: `error: --container=db: the instance "web-x" has no such container: its containers are web, proxy`},
		"an instance that does not exist":         {line: "exec api -- ls", code: 1, stderr: "error: "},
		"the log of a container":                  {line: "logs web-x -c web", out: "container web of default/web-x starts, attempt 0: it is simulated, no program runs\n"},
		"the log of a container after its name":   {line: "logs web-x web --tail=0", out: ""},
		"the logs of all containers":              {line: "logs -l app=web --all-containers --prefix", out: "[instance/web-x/web] container web of default/web-x starts, attempt 0: it is simulated, no program runs\n[instance/web-x/proxy] container proxy of default/web-x starts, attempt 0: it is simulated, no program runs\n"},
		"more logs than may be followed":          {line: "logs app/web --all-containers -f --max-log-requests=1", code: 1, stderr: "error: the logs to follow are 2, and --max-log-requests is 1"},
		"the log before a restart":                {line: "logs web-x -c web --previous", code: 1, stderr: "error: "},
		"an unknown port":                         {line: "port-forward web-x admin", code: 1, stderr: "error: the instance \"web-x\" has no port \"admin\": its ports are http"},
		"a copy from a container without tar":     {line: "cp web-x:/a here -c web", code: 1, stderr: "tar: not found"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, stderr strings.Builder
			code := Execute(t.Context(), append(strings.Fields(tc.line)[:1:1], append([]string{"--kubeconfig", kubeconfig}, strings.Fields(tc.line)[1:]...)...), Streams{In: strings.NewReader(tc.in), Out: &out, Err: &stderr})
			if code != tc.code || out.String() != tc.out || !strings.HasPrefix(stderr.String(), tc.stderr) || tc.stderr == "" && stderr.Len() > 0 {
				t.Errorf("ended with %d, %.300q and %q", code, out.String(), stderr.String())
			}
		})
	}
}

// sharedText is a writer that the test reads meanwhile.
type sharedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sharedText) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *sharedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestALogIsFollowedUntilTheContainerEnds(t *testing.T) {
	h, kubeconfig := newHostOfOne(t, true)
	out, done := &sharedText{}, make(chan int, 1)
	go func() {
		done <- Execute(t.Context(), []string{"logs", "web-x", "-c", "web", "-f", "--kubeconfig", kubeconfig}, Streams{Out: out, Err: out})
	}()
	kit.EventuallyState(t, "the first line is printed", func(context.Context) (bool, string) { return strings.Contains(out.String(), "starts"), out.String() })
	if err := h.containers.StopContainer(t.Context(), "u-1", "web", 0); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitDone || strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), "\ncontainer web ends with the exit code 0 (Completed)\n") {
		t.Errorf("ended with %d and %q", code, out.String())
	}
}

func TestAPortIsForwarded(t *testing.T) {
	for protocol, translates := range map[string]bool{"by WebSocket": true, "by SPDY": false} {
		t.Run(protocol, func(t *testing.T) { aPortIsForwarded(t, translates) })
	}
}

func aPortIsForwarded(t *testing.T, translates bool) {
	_, kubeconfig := newHostOfOne(t, translates)
	out, done := &sharedText{}, make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- Execute(ctx, []string{"port-forward", "app/web", ":http", "--address", "127.0.0.1", "--kubeconfig", kubeconfig}, Streams{Out: out, Err: out})
	}()
	var port int
	kit.EventuallyState(t, "a port is chosen", func(context.Context) (bool, string) {
		text := out.String()
		_, err := fmt.Sscanf(text, "Forwarding from 127.0.0.1:%d -> 8080\n", &port)
		return err == nil, text
	})
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health", port))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(body), "GET /health: container web of default/web-x listens on port 8080") {
		t.Errorf("%q %v", body, err)
	}
	_ = response.Body.Close()
	cancel()
	if code := <-done; code != exitDone {
		t.Errorf("ended with %d and %q", code, out.String())
	}
}
