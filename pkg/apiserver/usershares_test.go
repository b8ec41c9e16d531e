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

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// openFlowControl runs everything at once.
type openFlowControl struct{ utilflowcontrol.Interface }

func (openFlowControl) Handle(_ context.Context, _ utilflowcontrol.RequestDigest, _ func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	_ func() fcrequest.WorkEstimate, _ fq.QueueNoteFn, execFn func(),
) {
	execFn()
}

// sharing plays requests on shares of a server that has room for free requests and gives each user share.
type sharing struct {
	t      *testing.T
	shares *userShares
	ended  sync.WaitGroup
	stop   chan struct{}
}

func newSharing(t *testing.T, free, share int) *sharing {
	t.Helper()
	shares := WithUserShares(openFlowControl{}, 600, []string{"system:controller:scheduler"}).(*userShares)
	shares.free, shares.share = free, share
	s := &sharing{t: t, shares: shares, stop: make(chan struct{})}
	t.Cleanup(s.end)
	return s
}

// end ends what hangs.
func (s *sharing) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.ended.Wait()
}

// runs reports whether a request of the user for the path runs before the context ends.
func (s *sharing) runs(ctx context.Context, who user.Info, path string, body func()) bool {
	ran := false
	digest := utilflowcontrol.RequestDigest{RequestInfo: infoOf(s.t, httptest.NewRequest(http.MethodPost, path, nil)), User: who}
	noted := ""
	s.shares.Handle(ctx, digest, func(fs *flowcontrolv1.FlowSchema, _ *flowcontrolv1.PriorityLevelConfiguration, _ string) {
		noted = fs.Name
	}, nil, nil, func() { ran = true; body() })
	if !ran && noted == "" {
		s.t.Error("the library needs the name of a schema for what does not run")
	}
	return ran
}

// hang begins requests of a user that do not end, and returns when as many run as are to run.
func (s *sharing) hang(name string, count, running int) {
	s.t.Helper()
	begun := make(chan struct{}, count)
	for range count {
		s.ended.Go(func() {
			s.runs(s.t.Context(), &user.DefaultInfo{Name: name}, "/api/v1/namespaces/a/configmaps", func() {
				begun <- struct{}{}
				<-s.stop
			})
		})
	}
	for range running {
		<-begun
	}
}

func TestOneUserCannotKeepOthersFromRunning(t *testing.T) {
	const resource = "/api/v1/namespaces/a/configmaps"
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name string
		who  *user.DefaultInfo
		path string
		runs bool
	}{
		{"the same user waits", &user.DefaultInfo{Name: "many"}, resource, false},
		{"another user runs", &user.DefaultInfo{Name: "few"}, resource, true},
		{"an administrator runs", &user.DefaultInfo{Name: "many", Groups: []string{user.SystemPrivilegedGroup}}, resource, true},
		{"a controller runs", &user.DefaultInfo{Name: "system:controller:scheduler"}, resource, true},
		{"a health check runs", &user.DefaultInfo{Name: "many"}, "/readyz", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSharing(t, 4, 2)
			s.hang("many", 10, 4)
			// The context has ended, so what would wait does not run.
			if got := s.runs(ended, row.who, row.path, func() {}); got != row.runs {
				t.Errorf("runs: %t, want %t", got, row.runs)
			}
		})
	}
}

func TestAUserHasNoMoreThanItsShareOfAServerWithoutRoom(t *testing.T) {
	s := newSharing(t, 4, 2)
	s.hang("many", 10, 4)
	s.hang("few", 5, 2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if s.runs(ended, &user.DefaultInfo{Name: "few"}, "/api/v1/namespaces/a/configmaps", func() {}) {
		t.Error("a third request runs")
	}
}

func TestWhatWaitsRunsWhenOthersEndAndNothingIsKept(t *testing.T) {
	s := newSharing(t, 2, 1)
	s.hang("many", 2, 2)
	var waited sync.WaitGroup
	for i := range 20 {
		waited.Go(func() {
			if !s.runs(t.Context(), &user.DefaultInfo{Name: fmt.Sprint("user-", i%2)}, "/api/v1/namespaces/a/configmaps", func() {}) {
				t.Error("a request was dropped")
			}
		})
	}
	s.end()
	waited.Wait()
	if s.shares.running != 0 || len(s.shares.byUser) != 0 || s.shares.waiting.Len() != 0 {
		t.Errorf("%d running, %d users and %d waiting are left", s.shares.running, len(s.shares.byUser), s.shares.waiting.Len())
	}
}

func TestFewerRequestsAreFreeThanThePriorityLevelHasSeats(t *testing.T) {
	for _, row := range []struct{ processors, concurrency, want int }{
		{2, 600, 32}, {64, 600, 36}, {2, 60, 3}, {2, 1, 1},
	} {
		if got := freeRequests(row.processors, row.concurrency); got != row.want {
			t.Errorf("%d processors and %d seats: %d, want %d", row.processors, row.concurrency, got, row.want)
		}
	}
}

func TestWhatIsFreeGoesToTheUsersInTurn(t *testing.T) {
	s := newSharing(t, 1, 0)
	s.hang("first", 1, 1)
	order := make(chan string, 6)
	var ran sync.WaitGroup
	// All requests of many wait before those of few.
	for i, name := range []string{"many", "many", "many", "many", "few", "few"} {
		ran.Go(func() {
			s.runs(t.Context(), &user.DefaultInfo{Name: name}, "/api/v1/namespaces/a/configmaps", func() { order <- name })
		})
		kit.Eventually(t, "the request waits", func(context.Context) bool {
			s.shares.mu.Lock()
			defer s.shares.mu.Unlock()
			waiting := 0
			for _, of := range s.shares.byUser {
				waiting += of.requests.Len()
			}
			return waiting == i+1
		})
	}
	s.end()
	ran.Wait()
	got := ""
	for range cap(order) {
		got += <-order + " "
	}
	if want := "many few many few many many "; got != want {
		t.Errorf("run in the order %q, want %q", got, want)
	}
}

// refusesToWait is a context that fails the test when something waits for its end.
type refusesToWait struct {
	context.Context
	t *testing.T
}

func (c refusesToWait) Done() <-chan struct{} {
	c.t.Error("the request waits")
	ended := make(chan struct{})
	close(ended)
	return ended
}

func TestAUserHasNoMoreThanSoManyRequestsWaiting(t *testing.T) {
	s := newSharing(t, 1, 1)
	many := &userShare{running: 1}
	for range mostWaiting {
		many.requests.PushBack(make(chan struct{}))
	}
	s.shares.byUser["many"], s.shares.running = many, 1
	if s.runs(refusesToWait{t.Context(), t}, &user.DefaultInfo{Name: "many"}, "/api/v1/namespaces/a/configmaps", func() {}) {
		t.Error("it runs")
	}
}
