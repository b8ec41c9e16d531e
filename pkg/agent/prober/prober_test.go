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

package prober

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func probe(success, failure int32) *v1alpha1.Probe {
	return &v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"true"}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: success, FailureThreshold: failure}
}

func TestTheHealthOfAContainerFollowsItsProbes(t *testing.T) {
	const ready, unready, unstarted, stop = "ready", "unready", "unstarted", "stop"
	ok := func(k kind) func(*tracker) { return func(t *tracker) { t.record(k, true, "") } }
	bad := func(k kind) func(*tracker) { return func(t *tracker) { t.record(k, false, "bad") } }
	for _, tc := range []struct {
		name   string
		spec   v1alpha1.Container
		before Result
		// outcomes are probes, and want the health before the first and after each of them.
		outcomes []func(*tracker)
		want     []string
	}{
		{"without a readiness probe it is ready", v1alpha1.Container{LivenessProbe: probe(1, 1)}, Result{}, nil, []string{ready}},
		{"it is not ready before the first success", v1alpha1.Container{ReadinessProbe: probe(1, 3)}, Result{}, []func(*tracker){bad(readiness), ok(readiness)}, []string{unready, unready, ready}},
		{"a restart of the agent leaves it ready", v1alpha1.Container{ReadinessProbe: probe(1, 1)}, Result{Started: true, Ready: true}, []func(*tracker){bad(readiness)}, []string{ready, unready}},
		{"successes and failures count in a row", v1alpha1.Container{ReadinessProbe: probe(2, 2)}, Result{}, []func(*tracker){
			ok(readiness), bad(readiness), ok(readiness), ok(readiness), bad(readiness), ok(readiness), bad(readiness), bad(readiness),
		}, []string{unready, unready, unready, unready, ready, ready, ready, ready, unready}},
		{"a failed liveness probe stops it", v1alpha1.Container{LivenessProbe: probe(1, 2)}, Result{}, []func(*tracker){bad(liveness), ok(liveness), bad(liveness), bad(liveness), ok(liveness)}, []string{ready, ready, ready, ready, stop, stop}},
		{"liveness and readiness wait for the startup", v1alpha1.Container{StartupProbe: probe(1, 2), LivenessProbe: probe(1, 1), ReadinessProbe: probe(1, 1)}, Result{}, []func(*tracker){
			bad(liveness), ok(readiness), bad(startup), ok(startup), ok(readiness), bad(startup), bad(startup),
		}, []string{unstarted, unstarted, unstarted, unstarted, unready, ready, ready, ready}},
		{"a startup without readiness makes it ready", v1alpha1.Container{StartupProbe: probe(1, 2)}, Result{}, []func(*tracker){ok(startup)}, []string{unstarted, ready}},
		{"a failed startup probe stops it", v1alpha1.Container{StartupProbe: probe(1, 2)}, Result{}, []func(*tracker){bad(startup), bad(startup)}, []string{unstarted, unstarted, stop}},
		{"a restart of the agent does not repeat the startup", v1alpha1.Container{StartupProbe: probe(1, 1)}, Result{Started: true, Ready: true}, []func(*tracker){bad(startup)}, []string{ready, ready}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tracker := newTracker(&tc.spec, tc.before)
			for i, want := range tc.want {
				if i > 0 {
					tc.outcomes[i-1](tracker)
				}
				got := unready
				switch r := tracker.result; {
				case r.Stop:
					got = stop
				case r.Ready && r.Started:
					got = ready
				case !r.Started && !r.Ready:
					got = unstarted
				}
				if got != want {
					t.Fatalf("after %d outcomes: %s, want %s: %+v", i, got, want, tracker.result)
				}
				if (got == ready) != (tracker.result.Message == "") {
					t.Errorf("after %d outcomes the message is %q", i, tracker.result.Message)
				}
			}
		})
	}
}

// fakeExecutor answers commands by their first word.
type fakeExecutor struct {
	mu    sync.Mutex
	fails bool
	calls int
}

func (e *fakeExecutor) ExecSync(_ context.Context, _ types.UID, _ string, command []string, _ time.Duration) (int32, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	switch command[0] {
	case "false":
		return 3, "no such table", nil
	case "sleep":
		return 0, "", context.DeadlineExceeded
	case "lost":
		return 0, "", errors.New("the runtime does not answer")
	}
	if e.fails {
		return 1, "", nil
	}
	return 0, "", nil
}

func (e *fakeExecutor) set(fails bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fails = fails
}

// serveHealth serves the health service of gRPC and returns its port.
func serveHealth(t *testing.T) int32 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc, states := grpc.NewServer(), grpchealth.NewServer()
	states.SetServingStatus("down", healthv1.HealthCheckResponse_NOT_SERVING)
	healthv1.RegisterHealthServer(rpc, states)
	go func() { _ = rpc.Serve(listener) }()
	t.Cleanup(rpc.Stop)
	return int32(listener.Addr().(*net.TCPAddr).Port)
}

// unusedPort returns a port on which nothing listens.
func unusedPort(t *testing.T) intstr.IntOrString {
	t.Helper()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	return intstr.FromInt32(int32(closed.Addr().(*net.TCPAddr).Port))
}

func TestProbesReportWhatTheySee(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop" || r.Header.Get("X-Probe") != "1" || r.UserAgent() != userAgent {
			http.Error(w, "other headers", http.StatusTeapot)
		}
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "database is away", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/bad", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	plainServer, tlsServer := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	defer plainServer.Close()
	defer tlsServer.Close()
	portOf := func(server *httptest.Server) int32 {
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(u.Port())
		if err != nil {
			t.Fatal(err)
		}
		return int32(n)
	}
	rpcPort, unused := serveHealth(t), unusedPort(t)
	headers := []v1alpha1.HTTPHeader{{Name: "host", Value: "shop"}, {Name: "x-probe", Value: "1"}}
	get := func(path string) v1alpha1.Probe {
		return v1alpha1.Probe{HTTPGet: &v1alpha1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), HTTPHeaders: headers}}
	}
	for _, tc := range []struct {
		name  string
		probe v1alpha1.Probe
		// fails is a part of the output of a failure; empty for a success.
		fails string
	}{
		{"a command", v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"true"}}}, ""},
		{"a command that fails", v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"false"}}}, "code 3: no such table"},
		{"a command that does not end", v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"sleep"}}}, "longer than"},
		{"a page, with headers", get("/ok"), ""},
		{"a page that fails", get("/bad"), "HTTP status 503: database is away"},
		{"a page that moved on the host", get("/moved"), "HTTP status 503"},
		{"a page that moved to another host", get("/elsewhere"), ""},
		{"a page that takes too long", get("/slow"), "no answer within"},
		{"a page over TLS", v1alpha1.Probe{HTTPGet: &v1alpha1.HTTPGetAction{Path: "/ok", Scheme: "HTTPS", Port: intstr.FromInt32(portOf(tlsServer)), HTTPHeaders: headers}}, ""},
		{"a page of no server", v1alpha1.Probe{HTTPGet: &v1alpha1.HTTPGetAction{Path: "/ok", Port: unused}}, "connection refused"},
		{"a port", v1alpha1.Probe{TCPSocket: &v1alpha1.TCPSocketAction{Port: intstr.FromString("http")}}, ""},
		{"a port of no server", v1alpha1.Probe{TCPSocket: &v1alpha1.TCPSocketAction{Port: unused}}, "connection refused"},
		{"a service", v1alpha1.Probe{GRPC: &v1alpha1.GRPCAction{Port: rpcPort}}, ""},
		{"a service that is down", v1alpha1.Probe{GRPC: &v1alpha1.GRPCAction{Port: rpcPort, Service: ptr.To("down")}}, "NOT_SERVING"},
		{"a service that does not exist", v1alpha1.Probe{GRPC: &v1alpha1.GRPCAction{Port: rpcPort, Service: ptr.To("none")}}, "unknown service"},
		{"a service of no server", v1alpha1.Probe{GRPC: &v1alpha1.GRPCAction{Port: unused.IntVal}}, "connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := &v1alpha1.Container{Name: "web", LivenessProbe: &tc.probe, Ports: []v1alpha1.ContainerPort{{Name: "http", ContainerPort: portOf(plainServer)}}}
			p := New(t.Context(), &fakeExecutor{}, func(types.UID) {})
			w := &watched{target: Target{Spec: spec, IP: "127.0.0.1"}, tracker: newTracker(spec, Result{})}
			timeout := kit.Patience
			if strings.Contains(tc.fails, "no answer") {
				timeout = 50 * time.Millisecond
			}
			success, output, err := p.try(t.Context(), w, liveness, timeout)
			if err != nil || success != (tc.fails == "") || !strings.Contains(output, tc.fails) {
				t.Errorf("got %v, %q, %v", success, output, err)
			}
		})
	}
}

func TestAContainerIsProbedAsLongAsItRuns(t *testing.T) {
	executor, changes := &fakeExecutor{}, make(chan types.UID, 100)
	p := New(t.Context(), executor, func(uid types.UID) { changes <- uid })
	p.second = time.Millisecond
	spec := &v1alpha1.Container{Name: "web", ReadinessProbe: probe(1, 2), LivenessProbe: probe(1, 5)}
	spec.LivenessProbe.TerminationGracePeriodSeconds = ptr.To[int64](7)
	target := Target{UID: "u", Spec: spec, ID: "first", StartedAt: time.Now()}
	p.Watch("u", []Target{target})
	becomes := func(what string, condition func(Result) bool) {
		t.Helper()
		kit.Eventually(t, what, func(context.Context) bool {
			result, ok := p.Result("u", "web", target.ID)
			return ok && condition(result)
		})
		if uid := <-changes; uid != "u" {
			t.Errorf("announced is %q", uid)
		}
	}
	becomes("it is ready", func(r Result) bool { return r.Ready })
	executor.set(true)
	becomes("it must stop", func(r Result) bool { return r.Stop && !r.Ready && *r.GraceSeconds == 7 })
	executor.set(false)
	target.ID, target.StartedAt = "second", time.Now()
	p.Watch("u", []Target{target})
	becomes("the next attempt is ready", func(r Result) bool { return r.Ready && !r.Stop })
	if _, ok := p.Result("u", "web", "first"); ok {
		t.Error("the attempt before is still probed")
	}
	p.Watch("u", nil)
	if _, ok := p.Result("u", "web", "second"); ok || len(p.watched) > 0 {
		t.Error("an instance without running containers is still probed")
	}
}

func TestAProbeThatCannotBeCarriedOutDoesNotCount(t *testing.T) {
	executor := &fakeExecutor{}
	p := New(t.Context(), executor, func(types.UID) { t.Error("the result has changed") })
	spec := &v1alpha1.Container{Name: "web", LivenessProbe: &v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"lost"}}, FailureThreshold: 1}}
	w := &watched{target: Target{UID: "u", Spec: spec}, tracker: newTracker(spec, Result{})}
	p.once(t.Context(), w, liveness)
	if w.result.Stop || executor.calls != attempts {
		t.Errorf("got %+v after %d tries", w.result, executor.calls)
	}
}
