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
	"container/list"
	"context"
	"runtime"
	"slices"
	"sync"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/authentication/user"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

const (
	// freePerProcessor is the number of requests per processor that run at once before users are held
	// to their shares. With 8, one user of 64 clients creates 13 % slower (docs/bench/write.md); more of
	// them do not make the server faster, unless they wait for webhooks.
	freePerProcessor = 16
	// processorsPerShare is the number of processors for each request that a user may always run, which
	// is one request at least. With 1 instead of 2 an ordinary user waited up to 1.7 s instead of 1.1 s
	// during "make bench-siege" (docs/bench/siege.md).
	processorsPerShare = 2
	// mostWaiting is the largest number of waiting requests of a user.
	mostWaiting = 500
	// userShareName is the name of FlowSchema and priority level in the headers and metrics of a
	// request that is rejected here.
	userShareName = "gatehouse-user-share"
)

// WithUserShares returns a flow control that bounds the running requests of each user. API priority
// and fairness (KEP-1040) shares out free seats only: a request keeps its seat to its end, so writes
// of one user that wait for a webhook, or that need seconds of processor time, can occupy all seats
// of a priority level. Once the server runs freePerProcessor requests per processor, the requests of
// a user beyond one for every processorsPerShare processors wait for the end of another one. Administrators (system:masters),
// the users of controllers, and requests for no resource are exempt.
//
// concurrency is the number of seats of flowControl. So that a user that has all of the free places does
// not have all seats of the priority level that it shares with others, they are fewer than these.
func WithUserShares(flowControl utilflowcontrol.Interface, concurrency int, controllers []string) utilflowcontrol.Interface {
	processors := runtime.GOMAXPROCS(0)
	return &userShares{
		Interface: flowControl, controllers: controllers, free: freeRequests(processors, concurrency), share: max(1, processors/processorsPerShare),
		byUser: map[string]*userShare{}, waiting: list.New(),
	}
}

// freeRequests returns the number of requests that run before users are held to their shares: at most
// three quarters of the seats that the level global-default has by default, which has the users that no
// FlowSchema names.
func freeRequests(processors, concurrency int) int {
	var own, all int32
	for _, level := range slices.Concat(bootstrap.MandatoryPriorityLevelConfigurations, bootstrap.SuggestedPriorityLevelConfigurations) {
		if level.Spec.Limited == nil {
			continue
		}
		shares := ptr.Deref(level.Spec.Limited.NominalConcurrencyShares, 0)
		all += shares
		if level.Name == bootstrap.SuggestedPriorityLevelConfigurationGlobalDefault.Name {
			own = shares
		}
	}
	return max(1, min(freePerProcessor*processors, concurrency*int(own)*3/4/int(all)))
}

// userShares is the flow control of WithUserShares.
type userShares struct {
	utilflowcontrol.Interface
	controllers []string
	free, share int

	mu      sync.Mutex
	running int
	byUser  map[string]*userShare
	// waiting has a *userShare for each user with waiting requests, in the order in which they are
	// given what is free.
	waiting *list.List
}

// userShare has the requests of a user.
type userShare struct {
	running int
	// requests has a channel for each waiting request, which is closed when the request may run.
	requests list.List
	// element is the user's place in userShares.waiting, nil without waiting requests.
	element *list.Element
}

// Handle implements utilflowcontrol.Interface. A request that still waits when its context ends is
// not executed, which the library answers with 429.
func (s *userShares) Handle(ctx context.Context, digest utilflowcontrol.RequestDigest,
	noteFn func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	workEstimator func() fcrequest.WorkEstimate, queueNoteFn fq.QueueNoteFn, execFn func(),
) {
	if s.exempt(digest) || diagnostics.From(ctx).Reviewed() { // a review is classified only
		s.Interface.Handle(ctx, digest, noteFn, workEstimator, queueNoteFn, execFn)
		return
	}
	name := digest.User.GetName()
	if !s.begin(ctx, name) {
		meta := metav1.ObjectMeta{Name: userShareName}
		noteFn(&flowcontrolv1.FlowSchema{ObjectMeta: meta}, &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: meta}, name)
		return
	}
	defer s.end(name)
	s.Interface.Handle(ctx, digest, noteFn, workEstimator, queueNoteFn, execFn)
}

func (s *userShares) exempt(digest utilflowcontrol.RequestDigest) bool {
	return digest.RequestInfo == nil || !digest.RequestInfo.IsResourceRequest || digest.User == nil ||
		slices.Contains(digest.User.GetGroups(), user.SystemPrivilegedGroup) || slices.Contains(s.controllers, digest.User.GetName())
}

// begin returns true once a request of the user may run, and false when it must not wait any longer.
func (s *userShares) begin(ctx context.Context, name string) bool {
	s.mu.Lock()
	of := s.byUser[name]
	if of == nil {
		of = &userShare{}
		s.byUser[name] = of
	}
	if of.running < s.share || s.running < s.free {
		s.running++
		of.running++
		s.mu.Unlock()
		return true
	}
	if of.requests.Len() >= mostWaiting {
		s.mu.Unlock()
		return false
	}
	begun := make(chan struct{})
	request := of.requests.PushBack(begun)
	if of.element == nil {
		of.element = s.waiting.PushBack(of)
	}
	s.mu.Unlock()
	select {
	case <-begun:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-begun: // in the meantime
		return true
	default:
	}
	s.remove(of, request)
	s.forget(name, of)
	return false
}

// end lets one waiting request run in place of the one that has ended: of the same user when that has
// less than its share running, otherwise of the user that has waited longest for what is free.
func (s *userShares) end(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.byUser[name]
	s.running--
	of.running--
	next := of
	if of.requests.Len() == 0 || of.running >= s.share {
		next = nil
		if first := s.waiting.Front(); first != nil && s.running < s.free {
			next = first.Value.(*userShare) // nothing else is in the list
			s.waiting.MoveToBack(first)
		}
	}
	if next != nil {
		begun := s.remove(next, next.requests.Front())
		s.running++
		next.running++
		close(begun)
	}
	s.forget(name, of)
}

// remove takes a request out of those that wait.
func (s *userShares) remove(of *userShare, request *list.Element) chan struct{} {
	begun := of.requests.Remove(request).(chan struct{}) // nothing else is in the list
	if of.requests.Len() == 0 {
		s.waiting.Remove(of.element)
		of.element = nil
	}
	return begun
}

// forget drops a user without requests.
func (s *userShares) forget(name string, of *userShare) {
	if of.running == 0 && of.requests.Len() == 0 {
		delete(s.byUser, name)
	}
}
