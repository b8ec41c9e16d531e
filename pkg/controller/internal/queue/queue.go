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

// Package queue runs the work queues of all controllers, and decides which errors are requeued
// and how they are logged. Read Run.
package queue

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// The first retry comes soon, because most failures are conflicts. The last ones come seldom
// enough to leave an overloaded server alone.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 15 * time.Second
)

// New returns a queue that requeues a failed key with exponential backoff.
func New[K comparable](name string) workqueue.TypedRateLimitingInterface[K] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, lastRetry),
		workqueue.TypedRateLimitingQueueConfig[K]{Name: name},
	)
}

// Requeue is returned by a reconciler to requeue its key without a failure: it waits for
// something that no watch event announces.
type Requeue struct{ Reason string }

// Error implements error.
func (r Requeue) Error() string { return r.Reason }

// Retry converts the error of a write. It drops the error of an object or a
// namespace that is gone or being deleted, and requeues a conflict without logging an error.
func Retry(err error) error {
	switch {
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case apierrors.IsConflict(err):
		return Requeue{Reason: err.Error()}
	}
	return err
}

// IgnoreNotFound drops the error of an object that is gone.
func IgnoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// IgnoreOutdated drops the error of an object that is gone or has changed, if the watch event
// of that change enqueues the key anyway, or if a precondition of the write was meant to fail.
func IgnoreOutdated(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return IgnoreNotFound(err)
}

// Refused is a failure that the author of an object has to fix: a policy, a quota or a missing
// service account refuses what the object requests. The object's conditions and events report
// it, so it is not logged as an error of the server.
type Refused struct{ Err error }

// Error implements error.
func (r Refused) Error() string { return r.Err.Error() }

// Unwrap returns the server's error.
func (r Refused) Unwrap() error { return r.Err }

// Refusal marks an error as Refused if the request is at fault, and not the server:
// 4xx, except for conflicts and for too many requests.
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

// Run reconciles the keys of a queue until the context ends, and returns when the last worker
// has returned. A key is requeued if its reconciliation returns an error.
func Run[K comparable](ctx context.Context, q workqueue.TypedRateLimitingInterface[K], workers int, reconcile func(context.Context, K) error) {
	stop := context.AfterFunc(ctx, q.ShutDown)
	defer stop()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for processNext(ctx, q, reconcile) {
			}
		})
	}
	wg.Wait()
}

func processNext[K comparable](ctx context.Context, q workqueue.TypedRateLimitingInterface[K], reconcile func(context.Context, K) error) bool {
	key, shutdown := q.Get()
	if shutdown {
		return false
	}
	defer q.Done(key)
	err := reconcile(ctx, key)
	if err == nil {
		q.Forget(key)
		return true
	}
	var requeue Requeue
	var refused Refused
	switch logger := klog.FromContext(ctx); {
	case ctx.Err() != nil:
		return true
	case errors.As(err, &requeue):
		logger.V(4).Info("Requeuing", "key", key, "reason", err.Error())
	case errors.As(err, &refused):
		logger.V(2).Info("Write refused, requeuing", "key", key, "reason", err.Error())
	default:
		logger.Error(err, "Reconcile failed, requeuing", "key", key)
	}
	q.AddRateLimited(key)
	return true
}
