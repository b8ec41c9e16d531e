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

package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

const (
	// patience is the time after which a request that etcd has not answered is examined, and examineAgain the
	// interval from then on. It is longer than an election. etcd itself responds after 7 s, and its client, if no
	// member can be reached, never.
	patience     = 2 * time.Second
	examineAgain = time.Second
	// refuseFor is the time for which requests are refused at once after one that was not answered. It is
	// short because the members may respond to each other and not to this server.
	refuseFor = 3 * time.Second
	// explainFor bounds the wait for the observation of the members, after an error of etcd.
	explainFor = 3 * time.Second
	// retryAfterSeconds is for requests of which nothing was sent to etcd, and for reads. Clients repeat
	// requests by themselves when a response has it, so that a write that may have been applied is without.
	retryAfterSeconds = 1
)

// Members knows which members of etcd respond: see members.Poller.
type Members interface {
	// Fresh waits until the observations are recent.
	Fresh(ctx context.Context) error
	// Responding returns the number of voters that have responded to the last question, and the number of all
	// voters, which is 0 if none was observed.
	Responding() (responding, voters int)
}

// WithMajority returns a getter of storages whose requests fail with 503 and the number of members that respond, if
// etcd does not answer them and no majority of its members responds. After such a failure, requests are refused at once for a short time.
func WithMajority(getter generic.RESTOptionsGetter, members Members) generic.RESTOptionsGetter {
	return majorityGetter{getter, &majority{members: members}}
}

type majorityGetter struct {
	generic.RESTOptionsGetter
	majority *majority
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g majorityGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	decorate := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		store, destroy, err := decorate(config, resourcePrefix, keyFunc, newFunc, newListFunc, attrs, triggers, indexers)
		if err != nil {
			return nil, nil, err
		}
		return &majorityStorage{store, g.majority}, sync.OnceFunc(destroy), nil
	}
	return options, nil
}

// majority decides what a request gets while a majority of the members is missing.
type majority struct {
	members Members
	// refuseUntil is the time in nanoseconds until which requests are refused at once.
	refuseUntil atomic.Int64
}

// missing returns the response to a request while no majority responds, and nil otherwise.
func (m *majority) missing(inDoubt bool) error {
	responding, voters := m.members.Responding()
	quorum := QuorumOf(voters)
	if voters == 0 || responding >= quorum.Needed {
		return nil
	}
	return newWithoutMajority(responding, quorum, inDoubt)
}

// newWithoutMajority returns the response to a request that etcd did not answer. inDoubt is true for a write that
// may be applied later.
func newWithoutMajority(responding int, quorum Quorum, inDoubt bool) error {
	refused := metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Message: fmt.Sprintf("%d of %d members of etcd answer; %d needed: \"kubectl gatehouse storage status\" names those that do not",
			responding, quorum.Members, quorum.Needed),
	}
	if inDoubt {
		refused.Message += "; the write may be applied then"
	} else {
		refused.Details = &metav1.StatusDetails{RetryAfterSeconds: retryAfterSeconds}
	}
	return &apierrors.StatusError{ErrStatus: refused}
}

// refuse returns the response to a request shortly after another one was not answered, and nil otherwise.
func (m *majority) refuse() error {
	if until := m.refuseUntil.Load(); until == 0 || time.Now().UnixNano() > until {
		return nil
	}
	return m.missing(false)
}

// call calls etcd, and ends the call when etcd does not answer and no majority responds.
func (m *majority) call(ctx context.Context, write bool, call func(context.Context) error) error {
	if err := m.refuse(); err != nil {
		return err
	}
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer m.watchOver(bounded, cancel, write, patience).Stop()
	err := call(bounded)
	switch cause := context.Cause(bounded); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err
	case cause != nil:
		return cause
	case isUnanswered(err):
		return m.explain(ctx, write, err)
	}
	return err
}

// watchOver ends a call that is not over after a time, or later, if no majority responds.
func (m *majority) watchOver(ctx context.Context, cancel context.CancelCauseFunc, write bool, after time.Duration) *time.Timer {
	return time.AfterFunc(after, func() {
		if ctx.Err() != nil {
			return
		}
		if err := m.examine(ctx, write); err != nil {
			cancel(err)
			return
		}
		m.watchOver(ctx, cancel, write, examineAgain)
	})
}

// explain returns the response to a request that has failed if no majority responds, and its error otherwise.
func (m *majority) explain(ctx context.Context, write bool, err error) error {
	ctx, done := context.WithTimeout(ctx, explainFor)
	defer done()
	if explained := m.examine(ctx, write); explained != nil {
		return explained
	}
	return err
}

// examine asks the members, and returns the response to a request that was not answered if no majority responds.
func (m *majority) examine(ctx context.Context, write bool) error {
	// What is known of the members counts even if none has ever responded.
	_ = m.members.Fresh(ctx)
	err := m.missing(write)
	if err != nil {
		m.refuseUntil.Store(time.Now().Add(refuseFor).UnixNano())
	}
	return err
}

// isUnanswered reports whether an error may be that of an etcd without a majority.
func isUnanswered(err error) bool {
	if IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// majorityStorage is a storage whose requests fail with the number of members that respond.
type majorityStorage struct {
	storage.Interface
	majority *majority
}

// Unwrap returns the storage below.
func (s *majorityStorage) Unwrap() storage.Interface { return s.Interface }

// Create implements storage.Interface.
func (s *majorityStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	return s.majority.call(ctx, true, func(ctx context.Context) error {
		return s.Interface.Create(ctx, key, obj, out, ttl)
	})
}

// Delete implements storage.Interface.
func (s *majorityStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	return s.majority.call(ctx, true, func(ctx context.Context) error {
		return s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
	})
}

// GuaranteedUpdate implements storage.Interface.
func (s *majorityStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object) error {
	return s.majority.call(ctx, true, func(ctx context.Context) error {
		return s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached)
	})
}

// Get implements storage.Interface.
func (s *majorityStorage) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	if s.cached(opts.ResourceVersion) {
		return s.Interface.Get(ctx, key, opts, out)
	}
	return s.majority.call(ctx, false, func(ctx context.Context) error {
		return s.Interface.Get(ctx, key, opts, out)
	})
}

// GetList implements storage.Interface.
func (s *majorityStorage) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if s.cached(opts.ResourceVersion) {
		return s.Interface.GetList(ctx, key, opts, list)
	}
	return s.majority.call(ctx, false, func(ctx context.Context) error {
		return s.Interface.GetList(ctx, key, opts, list)
	})
}

// cached reports whether a read of any age is served by a watch cache, without etcd.
func (s *majorityStorage) cached(resourceVersion string) bool {
	return resourceVersion == "0" && s.ReadinessCheck() == nil
}

// Watch implements storage.Interface. The context is that of the whole watch, so only an error at its begin is
// explained.
func (s *majorityStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	watched, err := s.Interface.Watch(ctx, key, opts)
	if err != nil && ctx.Err() == nil && isUnanswered(err) {
		err = s.majority.explain(ctx, false, err)
	}
	return watched, err
}
