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

package chaos

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

func TestASeedMakesOnePlan(t *testing.T) {
	words := func(seed int64) string {
		var all []string
		for _, a := range plan(seed, 300) {
			all = append(all, a.what)
		}
		return strings.Join(all, "\n")
	}
	first, again := words(7), words(7)
	if first != again {
		t.Error("the same seed makes different plans")
	}
	if first == words(8) {
		t.Error("two seeds make the same plan")
	}
}

func TestASeedSendsTheSameRequestsWrong(t *testing.T) {
	k := kind{"gatehouse/scheduler", http.MethodPost, "instances/binding"}
	decide := func(seed int64) (all []fault) {
		w := &faults{seed: seed, did: map[fault]int{}}
		for n := range 1000 {
			all = append(all, w.next("replica-0.1", k, n))
		}
		return all
	}
	first, again, other := decide(1), decide(1), decide(2)
	bad, different := 0, 0
	for n := range first {
		if first[n] != again[n] {
			t.Errorf("request %d: %q, and then %q", n, first[n], again[n])
		}
		if first[n] != fine {
			bad++
		}
		if first[n] != other[n] {
			different++
		}
	}
	// The probabilities of writes add up to a fifth.
	if bad < 100 || bad > 300 || different == 0 {
		t.Errorf("%d of 1000 requests went wrong, %d otherwise with another seed", bad, different)
	}
}

// TestWhatReachesTheServer sends one request for each fault, to a server that reports received
// requests.
func TestWhatReachesTheServer(t *testing.T) {
	reached, goOn := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		if r.Header.Get("Wait") != "" {
			<-goOn
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	l := newTransport("a", &faults{did: map[fault]int{}, calm: true}, func(kind) {})
	w := &wire{l, http.DefaultTransport}
	request := func() *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/apis/g/v/namespaces/default/instances", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	isReset := func(response *http.Response, err error) {
		t.Helper()
		if response != nil {
			_ = response.Body.Close()
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client gets %v, %v", response, err)
		}
	}
	for _, f := range []fault{fine, slow} {
		response, err := w.write(request(), l.whole, kindOf(request()), f)
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Fatalf("%q: %v, %v", f, response, err)
		}
		_ = response.Body.Close()
		<-reached
	}

	isReset(w.write(request(), l.whole, kindOf(request()), unanswered))
	<-reached

	// The request is in flight when the transport breaks, and is executed nevertheless.
	waits := request()
	waits.Header.Set("Wait", "yes")
	go func() {
		<-reached
		l.disconnect()
	}()
	isReset(w.RoundTrip(waits))
	isReset(w.RoundTrip(request()))
	close(goOn)
	l.sent.Wait()
	select {
	case <-reached:
		t.Error("a request passes a severed transport")
	default:
	}

	l.repair()
	response, err := w.RoundTrip(request())
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestKindsLeaveOutNames(t *testing.T) {
	for url, want := range map[string]kind{
		"/api/v1/namespaces/default/events/x":                                   {"", "GET", "events"},
		"/api/v1/namespaces/default":                                            {"", "GET", "namespaces"},
		"/apis/fleet.gatehouse.dev/v1alpha1/namespaces/a/instances/x/binding":   {"", "GET", "instances/binding"},
		"/apis/fleet.gatehouse.dev/v1alpha1/hosts/x/status":                     {"", "GET", "hosts/status"},
		"/apis/fleet.gatehouse.dev/v1alpha1/instances?watch=true&fieldSelector": {"", "WATCH", "instances"},
		"/version": {"", "GET", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		if got := kindOf(r); got != want {
			t.Errorf("%s is %+v, not %+v", url, got, want)
		}
	}
}
