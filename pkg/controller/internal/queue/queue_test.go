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

package queue

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRetry(t *testing.T) {
	resource := schema.GroupResource{Resource: "instances"}
	conflict, missing, failure := apierrors.NewConflict(resource, "x", errors.New("changed")), apierrors.NewNotFound(resource, "x"), errors.New("connection refused")
	terminating := apierrors.NewForbidden(resource, "x", errors.New("terminating"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for _, tc := range []struct {
		name                           string
		err                            error
		retried, notFound, notOutdated error
	}{
		{"no error", nil, nil, nil, nil},
		{"an object that is gone", missing, nil, nil, nil},
		{"a conflict is requeued without an error", conflict, Requeue{conflict.Error()}, conflict, nil},
		{"a namespace that is being deleted", terminating, nil, terminating, terminating},
		{"any other failure", failure, failure, failure, failure},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, got := range [][2]error{{Retry(tc.err), tc.retried}, {IgnoreNotFound(tc.err), tc.notFound}, {IgnoreOutdated(tc.err), tc.notOutdated}} {
				if got[0] != got[1] {
					t.Errorf("got %v, want %v", got[0], got[1])
				}
			}
		})
	}
}

func TestAFailedKeyIsRequeuedUntilItSucceeds(t *testing.T) {
	for _, tc := range []struct {
		name     string
		failures []error
	}{
		{"done at once", nil},
		{"done after failures", []error{errors.New("conflict"), errors.New("conflict")}},
		{"done after requeues without a failure", []error{Requeue{"not yet"}, Requeue{"not yet"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			q := New[string]("test")
			q.Add("key")
			calls := 0
			Run(ctx, q, 1, func(_ context.Context, key string) error {
				if key != "key" {
					t.Errorf("got %q", key)
				}
				calls++
				if calls <= len(tc.failures) {
					return tc.failures[calls-1]
				}
				cancel()
				return nil
			})
			if want := len(tc.failures) + 1; calls != want || q.NumRequeues("key") != 0 {
				t.Errorf("%d calls, want %d; %d failures remembered", calls, want, q.NumRequeues("key"))
			}
		})
	}
}

func TestRunReturnsWithItsLastWorker(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	q := New[int]("test")
	q.Add(1)
	finished := false
	Run(ctx, q, 4, func(context.Context, int) error {
		cancel()
		finished = true
		return errors.New("the context ended")
	})
	if !finished || q.NumRequeues(1) != 0 {
		t.Errorf("finished: %v, requeues: %d", finished, q.NumRequeues(1))
	}
}

func TestRefusalsByTheServerAreNotErrorsOfTheServer(t *testing.T) {
	resource := schema.GroupResource{Resource: "instances"}
	for _, tc := range []struct {
		name    string
		err     error
		refused bool
	}{
		{"a quota is exceeded", apierrors.NewForbidden(resource, "x", errors.New("exceeded quota")), true},
		{"a policy finds it invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "Instance"}, "x", nil), true},
		{"a conflict", apierrors.NewConflict(resource, "x", errors.New("changed")), false},
		{"there are too many requests", apierrors.NewTooManyRequestsError("later"), false},
		{"an internal error of the server", apierrors.NewInternalError(errors.New("broken")), false},
		{"no answer", errors.New("connection refused"), false},
		{"nothing failed", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Refusal(tc.err)
			if refused := errors.As(err, &Refused{}); refused != tc.refused || !errors.Is(err, tc.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
