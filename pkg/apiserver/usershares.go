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
	"k8s.io/apiserver/pkg/authentication/user"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
)

const (
	// freePerProcessor is how many requests run at once for each processor before users are held to
	// their shares: more of them do not make a server faster, but for those that wait for webhooks.
	freePerProcessor = 8
	// sharePerProcessor is how many requests of a user run for each processor in any case.
	sharePerProcessor = 2
	// mostWaiting is how many requests of a user wait for the user's share.
	mostWaiting = 500
	// userShareName stands in the headers and metrics of a request that has waited in vain.
	userShareName = "gatehouse-user-share"
)

// WithUserShares has flow control run a request of a user that has its share of requests running
// only while the server has room. The library shares out seats that are free, but a request keeps
// its seat to the end: writes of one user that wait for a webhook, or that need seconds of a
// processor, would take all of a level's, and others would wait until one ends. Administrators
// (system:masters), the users of controllers, and requests for no resource are not held.
func WithUserShares(flowControl utilflowcontrol.Interface, controllers []string) utilflowcontrol.Interface {
	processors := runtime.GOMAXPROCS(0)
	return &userShares{
		Interface: flowControl, controllers: controllers, free: freePerProcessor * processors, share: sharePerProcessor * processors,
		byUser: map[string]*userShare{}, waiting: list.New(),
	}
}

// userShares is a flow control that bounds how many requests of a user run.
type userShares struct {
	utilflowcontrol.Interface
	controllers []string
	free, share int

	mu      sync.Mutex
	running int
	byUser  map[string]*userShare
	// waiting are the requests that wait, in their order, each a *shareWait.
	waiting *list.List
}

// userShare counts the requests of a user.
type userShare struct{ running, waiting int }

// shareWait is a request that waits. begun is closed when it may run.
type shareWait struct {
	user  string
	begun chan struct{}
}

// Handle implements utilflowcontrol.Interface. A request that waits in vain until its context ends
// is not executed, which the library answers with 429.
func (s *userShares) Handle(ctx context.Context, digest utilflowcontrol.RequestDigest,
	noteFn func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	workEstimator func() fcrequest.WorkEstimate, queueNoteFn fq.QueueNoteFn, execFn func(),
) {
	if s.exempt(digest) {
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

// begin returns true when the request may run, and false when it has waited in vain.
func (s *userShares) begin(ctx context.Context, name string) bool {
	s.mu.Lock()
	of := s.byUser[name]
	if of == nil {
		of = &userShare{}
		s.byUser[name] = of
	}
	if s.admits(of) {
		s.admit(of)
		s.mu.Unlock()
		return true
	}
	if of.waiting >= mostWaiting {
		s.mu.Unlock()
		return false
	}
	wait := &shareWait{name, make(chan struct{})}
	place := s.waiting.PushBack(wait)
	of.waiting++
	s.mu.Unlock()
	select {
	case <-wait.begun:
		return true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-wait.begun: // in the meantime
		return true
	default:
	}
	s.waiting.Remove(place)
	of.waiting--
	s.forget(name, of)
	return false
}

func (s *userShares) admits(of *userShare) bool { return of.running < s.share || s.running < s.free }

func (s *userShares) admit(of *userShare) {
	s.running++
	of.running++
}

// end gives the place of a request to those that wait.
func (s *userShares) end(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	of := s.byUser[name]
	of.running--
	for at := s.waiting.Front(); at != nil; {
		next, wait := at.Next(), at.Value.(*shareWait) //nolint:forcetypeassert // nothing else is in the list
		if theirs := s.byUser[wait.user]; s.admits(theirs) {
			s.waiting.Remove(at)
			theirs.waiting--
			s.admit(theirs)
			close(wait.begun)
		}
		at = next
	}
	s.forget(name, of)
}

// forget drops the counts of a user without requests.
func (s *userShares) forget(name string, of *userShare) {
	if *of == (userShare{}) {
		delete(s.byUser, name)
	}
}
