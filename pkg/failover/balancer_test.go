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

package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestAServerIsKeptUntilItFails(t *testing.T) {
	r := newRig(t, 3)
	r.takes("a")
	r.set("a:1", behaviour{refuses: errRefused})
	r.takes("a, b")
	r.takes("b")
	r.set("a:1", behaviour{})
	r.clock.Step(lastBackOff)
	r.takes("b") // it does not go back
	r.set("b:1", behaviour{refuses: errRefused})
	r.takes("b, c")
	r.set("c:1", behaviour{refuses: errRefused})
	r.takes("c, a") // the trial succeeds
	r.takes("a")
}

func TestWhichRequestsAreSentAgain(t *testing.T) {
	for _, tc := range []struct {
		name            string
		method, content string
		first           behaviour
		want            string // the response; empty for an error
		taken           string
	}{
		{"a write that was not sent is sent to the next server, with its content", http.MethodPut, "new", behaviour{refuses: errRefused}, "200 new", "a, b"},
		{"a write whose connection breaks fails, because it may have been executed", http.MethodPut, "new", behaviour{breaks: errBroken}, "", "a"},
		{"a read whose connection breaks is sent to the next server", http.MethodGet, "", behaviour{breaks: errBroken}, "200 ", "a, b"},
		{"an error of the server is its response", http.MethodGet, "", behaviour{status: 503, health: 200}, "503 ", "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			r.set("a:1", tc.first)
			got, err := r.send(t.Context(), tc.method, tc.content)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			r.takenBy(tc.taken)
		})
	}
}

func TestAWriteWhoseBodyCannotBeReadAgainIsNotSentAgain(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{refuses: errRefused})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://first:1/x", io.MultiReader(strings.NewReader("new")))
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.client.RoundTrip(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	r.takenBy("a")
}

func TestTheErrorNamesEveryServer(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{refuses: errRefused})
	r.set("b:1", behaviour{refuses: errBroken})
	if err := r.get(); err == nil || err.Error() != "none of the servers can be used: a:1: connection refused; b:1: connection reset by peer" || !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	// While no attempt is due, a request waits, and its end says why.
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := r.send(ctx, http.MethodGet, ""); failed <- err }()
	kit.Eventually(t, "the request waits", func(context.Context) bool { return r.clock.HasWaiters() })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	r.takenBy("a, b")
}

func TestFailedServersAreTriedAfterGrowingTimes(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{refuses: errRefused})
	r.set("b:1", behaviour{refuses: errRefused})
	if r.get() == nil {
		t.Fatal("no server can be reached")
	}
	r.takenBy("a, b")
	for _, wait := range []time.Duration{firstBackOff, 2 * firstBackOff, 4 * firstBackOff, 8 * firstBackOff, 16 * firstBackOff, 32 * firstBackOff, lastBackOff, lastBackOff, lastBackOff} {
		failed := make(chan error)
		go func() { failed <- r.get() }()
		kit.Eventually(t, "the request waits", func(context.Context) bool { return r.clock.HasWaiters() })
		r.clock.Step(wait - time.Millisecond)
		if !r.clock.HasWaiters() {
			t.Fatalf("the request waits for less than %s", wait)
		}
		r.clock.Step(time.Millisecond)
		if err := <-failed; err == nil {
			t.Fatal("no server can be reached")
		}
		r.takenBy("b, a")
	}
	r.set("a:1", behaviour{})
	r.clock.Step(lastBackOff)
	r.takes("b, a")
	r.takes("a")
}

func TestOneRequestAtATimeTriesAFailedServer(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{refuses: errRefused})
	r.set("b:1", behaviour{refuses: errRefused})
	if r.get() == nil {
		t.Fatal("no server can be reached")
	}
	r.set("b:1", behaviour{cutOff: true})
	r.takenBy("a, b")
	r.clock.Step(firstBackOff)
	trying := make(chan error, 1)
	go func() { trying <- r.get() }()
	kit.Eventually(t, "the first is tried", func(context.Context) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.received) == 1
	})
	// The other server is due too: one more request tries it, and fails.
	if err := r.get(); !errors.Is(err, errRefused) {
		t.Errorf("got %v", err)
	}
	r.takenBy("b, a")
	const waiting = 8
	done := make(chan error, waiting)
	for range waiting {
		go func() { done <- r.get() }()
	}
	r.set("a:1", behaviour{})
	r.set("b:1", behaviour{})
	kit.Eventually(t, "a trial of the server that is due succeeds", func(context.Context) bool {
		r.clock.Step(firstBackOff)
		return len(done) == waiting
	})
	for range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r.clock.Step(connectWithin)
	<-trying
}

func TestRequestsThatWaitGoOnAsSoonAsATrialSucceeds(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{refuses: errRefused})
	r.set("b:1", behaviour{refuses: errRefused})
	if r.get() == nil {
		t.Fatal("no server can be reached")
	}
	release := make(chan struct{})
	r.set("b:1", behaviour{held: release})
	r.clock.Step(firstBackOff)
	r.takenBy("a, b")
	done := make(chan error, 2)
	go func() { done <- r.get() }()
	kit.Eventually(t, "b is tried", func(context.Context) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.received) == 1
	})
	if err := r.get(); !errors.Is(err, errRefused) { // a, which is due too
		t.Errorf("got %v", err)
	}
	before := r.clock.Waiters()
	go func() { done <- r.get() }() // neither is due
	kit.Eventually(t, "the request waits", func(context.Context) bool { return r.clock.Waiters() > before })
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAResponseThatWasOnItsWayDoesNotMendAServer(t *testing.T) {
	r := newRig(t, 2)
	release := make(chan struct{})
	r.set("a:1", behaviour{held: release})
	done := make(chan error, 1)
	go func() { done <- r.get() }()
	kit.Eventually(t, "a has the request", func(context.Context) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.received) == 1
	})
	r.set("a:1", behaviour{refuses: errRefused})
	r.takes("a, a, b")
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if r.balancer.Err() == nil {
		t.Error("a can be used again")
	}
}

func TestAServerWithoutAConnectionIsGivenUp(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{cutOff: true})
	done := make(chan error)
	go func() { done <- r.get() }()
	kit.Eventually(t, "the request waits for a connection", func(context.Context) bool { return r.clock.HasWaiters() })
	r.clock.Step(connectWithin)
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.takenBy("a, b")
	if err := r.balancer.Err(); err == nil || err.Error() != "none of the servers can be used: a:1: no connection within 5s" {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatNoLongerRespondsLosesItsWatches(t *testing.T) {
	r := newRig(t, 2)
	ended := r.watch()
	r.takenBy("a")

	r.set("a:1", behaviour{silent: true})
	done := make(chan error)
	go func() { done <- r.get() }()
	kit.Eventually(t, "the request waits", func(context.Context) bool { return r.clock.HasWaiters() })
	r.clock.Step(suspectAfter)
	kit.Eventually(t, "the server is asked for its health", func(context.Context) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.probes == 1
	})
	r.clock.Step(probeWithin)
	if err := <-done; err != nil {
		t.Errorf("the read fails: %v", err)
	}
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the watch ends with %v", err)
	}
	r.takenBy("a, b")
}

func TestASlowResponseOfAHealthyServerIsWaitedFor(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{silent: true, health: 200})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := r.send(ctx, http.MethodGet, ""); done <- err }()
	kit.Eventually(t, "the request waits", func(context.Context) bool { return r.clock.HasWaiters() })
	// Health is asked while a answers it.
	r.set("a:1", behaviour{})
	r.clock.Step(suspectAfter)
	kit.Eventually(t, "the question is answered", func(context.Context) bool {
		r.balancer.mu.Lock()
		defer r.balancer.mu.Unlock()
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.probes == 1 && !r.balancer.servers[0].probing
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.takenBy("a")
	r.takes("a")
}

func TestAServerThatIsNotReadyIsLeft(t *testing.T) {
	for _, tc := range []struct {
		name   string
		health int
		next   string
	}{
		{"it is not ready", 500, "b"},
		{"it is ready", 200, "a"},
		{"the client may not read its health", 403, "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			ended := r.watch()
			r.takenBy("a")
			r.set("a:1", behaviour{status: 500, health: tc.health})
			r.takes("a") // with its response, which does not end
			if tc.next == "b" {
				r.down(0)
				if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("the watch ends with %v", err)
				}
			}
			r.set("a:1", behaviour{})
			r.takes(tc.next)
		})
	}
}

func TestAClientThatGivesUpSaysNothingOfTheServer(t *testing.T) {
	r := newRig(t, 2)
	r.set("a:1", behaviour{cutOff: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := r.send(ctx, http.MethodGet, ""); done <- err }()
	kit.Eventually(t, "the request waits", func(context.Context) bool { return r.clock.HasWaiters() })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.set("a:1", behaviour{})
	r.takenBy("a")
	r.takes("a")
}
