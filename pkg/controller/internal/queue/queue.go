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

// Package queue is what all controllers do with their work queues. Read Run.
package queue

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// The first retry comes soon, because most failures are conflicts; the last ones come so
// seldom that a server that is ill is left alone.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 15 * time.Second
)

// New makes a queue that takes a key again after a failure, later each time.
func New[K comparable](name string) workqueue.TypedRateLimitingInterface[K] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, lastRetry),
		workqueue.TypedRateLimitingQueueConfig[K]{Name: name},
	)
}

// Again asks for the same key once more, without a failure: something is waited for that
// nobody announces.
type Again struct{ Why string }

// Error implements error.
func (a Again) Error() string { return a.Why }

// Refused is a failure that whoever wrote an object has to cure: a policy, a quota or a missing
// service account refuses what the object asks for. The object's conditions and events tell it,
// so it is no error of the server's.
type Refused struct{ Err error }

// Error implements error.
func (r Refused) Error() string { return r.Err.Error() }

// Unwrap returns what was refused.
func (r Refused) Unwrap() error { return r.Err }

// Refusal marks an error as Refused where the server has answered that the request is at fault,
// and not the server: 4xx, but for conflicts and for too many requests.
func Refusal(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	switch code := status.Status().Code; {
	case code < 400 || code >= 500, code == http.StatusConflict, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusUnauthorized:
		return err
	}
	return Refused{err}
}

// Run hands keys to work until the context ends, and returns when the last worker is done.
// A key whose work returns an error comes again.
func Run[K comparable](ctx context.Context, q workqueue.TypedRateLimitingInterface[K], workers int, work func(context.Context, K) error) {
	stop := context.AfterFunc(ctx, q.ShutDown)
	defer stop()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next(ctx, q, work) {
			}
		})
	}
	wg.Wait()
}

func next[K comparable](ctx context.Context, q workqueue.TypedRateLimitingInterface[K], work func(context.Context, K) error) bool {
	key, shutdown := q.Get()
	if shutdown {
		return false
	}
	defer q.Done(key)
	err := work(ctx, key)
	if err == nil {
		q.Forget(key)
		return true
	}
	var again Again
	var refused Refused
	switch logger := klog.FromContext(ctx); {
	case ctx.Err() != nil:
		return true
	case errors.As(err, &again):
		logger.V(4).Info("Again later", "key", key, "why", err.Error())
	case errors.As(err, &refused):
		logger.V(2).Info("Refused, again later", "key", key, "why", err.Error())
	default:
		logger.Error(err, "Again later", "key", key)
	}
	q.AddRateLimited(key)
	return true
}
