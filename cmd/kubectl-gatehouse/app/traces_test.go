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
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

const tracesPath = "/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces"

// replicas are servers behind one address: a request for an unknown trace leads to the next one.
type replicas struct {
	mu      sync.Mutex
	current int
	names   []string
	traces  [][]v1alpha1.RequestTrace
	lists   int
}

func trace(name, server string, version int) v1alpha1.RequestTrace {
	return v1alpha1.RequestTrace{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: fmt.Sprint(version)}, Server: server,
		ReceivedTime: metav1.NewMicroTime(time.Unix(int64(version), 0)), Verdict: v1alpha1.VerdictRefused, Code: 403,
	}
}

// ServeHTTP implements http.Handler.
func (r *replicas) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if req.URL.Path == tracesPath {
		r.lists++
		selector := fields.ParseSelectorOrDie(req.URL.Query().Get("fieldSelector"))
		list := v1alpha1.RequestTraceList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestTraceList"}}
		for _, trace := range r.traces[r.current] {
			if selector.Matches(fields.Set{v1alpha1.TraceIDField: diagnostics.ShortID(trace.Name), v1alpha1.TraceVerdictField: string(trace.Verdict)}) {
				list.Items = append(list.Items, trace)
			}
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	name := strings.TrimPrefix(req.URL.Path, tracesPath+"/")
	if at := slices.IndexFunc(r.traces[r.current], func(trace v1alpha1.RequestTrace) bool { return trace.Name == name }); at >= 0 {
		found := r.traces[r.current][at]
		found.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestTrace"}
		_ = json.NewEncoder(w).Encode(found)
		return
	}
	status := apierrors.NewNotFound(v1alpha1.Resource(v1alpha1.RequestTraces), name).ErrStatus
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	status.Details.Causes = []metav1.StatusCause{{Type: v1alpha1.CauseServer, Message: r.names[r.current]}}
	r.current = (r.current + 1) % len(r.names)
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(status)
}

func (r *replicas) client(t *testing.T) *traces {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	client := &traces{config: &rest.Config{Host: server.URL, QPS: -1}}
	if err := client.reconnect(); err != nil {
		t.Fatal(err)
	}
	return client
}

const (
	ofA = "aaaaaaaa-35a4-4c13-8ed1-79719df0c145"
	ofB = "bbbbbbbb-35a4-4c13-8ed1-79719df0c145"
)

func twoReplicas() *replicas {
	return &replicas{names: []string{"a:1", "b:1"}, traces: [][]v1alpha1.RequestTrace{{trace(ofA, "a:1", 2)}, {trace(ofB, "b:1", 1)}}}
}

func TestATraceIsFoundOnWhicheverServerHasIt(t *testing.T) {
	for _, row := range []struct{ name, id, found, fails string }{
		{"on the first, by the ID of a message", "aaaaaaaa", ofA, ""},
		{"on the second, by the ID of a message", "bbbbbbbb", ofB, ""},
		{"on the second, by its whole name", ofB, ofB, ""},
		{"on the second, by any beginning", "bbb", ofB, ""},
		{"on none", "cccccccc", "", `no request "cccccccc" of yours is in the memory of the servers a:1, b:1: `},
	} {
		t.Run(row.name, func(t *testing.T) {
			found, err := twoReplicas().client(t).find(t.Context(), row.id)
			if row.fails != "" {
				if err == nil || !strings.HasPrefix(err.Error(), row.fails) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || found.Name != row.found {
				t.Errorf("got %+v, %v", found, err)
			}
		})
	}
}

func TestTheTracesOfAllServersAreMergedInTheOrderOfTheirTimes(t *testing.T) {
	items, servers, err := twoReplicas().client(t).all(t.Context(), refusals())
	if err != nil || !slices.Equal(servers, []string{"a:1", "b:1"}) || len(items) != 2 || items[0].Name != ofB || items[1].Name != ofA {
		t.Errorf("%v: %+v of %v", err, items, servers)
	}
	last, err := lastRefusal(t.Context(), twoReplicas().client(t))
	if err != nil || last.Name != ofA {
		t.Errorf("the last one is %+v, %v", last, err)
	}
}

func TestOneServerIsListedOnce(t *testing.T) {
	r := &replicas{names: []string{"a:1"}, traces: [][]v1alpha1.RequestTrace{{trace(ofA, "a:1", 2)}}}
	if items, _, err := r.client(t).all(t.Context(), refusals()); err != nil || len(items) != 1 || r.lists != 1 {
		t.Errorf("%v: %d traces of %d lists", err, len(items), r.lists)
	}
}

func TestAServerWithoutTracesIsNamedAsSuch(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	for _, args := range [][]string{{"why", "aaaaaaaa"}, {"why", "--last"}, {"why", "--follow"}} {
		code, said := execute(t, append(args, "-s", server.URL)...)
		if code != exitFailed || !strings.Contains(said, "error: the server does not serve request traces: it is older than this plugin") {
			t.Errorf("%v ended with %d and printed %q", args, code, said)
		}
	}
}
