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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAKeyComesAgainUntilItsWorkIsDone(t *testing.T) {
	for _, tc := range []struct {
		name     string
		failures []error
	}{
		{"done at once", nil},
		{"done after failures", []error{errors.New("conflict"), errors.New("conflict")}},
		{"done after something that was waited for", []error{Again{"not yet"}, Again{"not yet"}}},
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

func TestWhatAUserHasToCureIsNoErrorOfTheServer(t *testing.T) {
	resource := schema.GroupResource{Resource: "instances"}
	for _, tc := range []struct {
		name    string
		err     error
		refused bool
	}{
		{"a quota is exceeded", apierrors.NewForbidden(resource, "x", errors.New("exceeded quota")), true},
		{"a policy finds it invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "Instance"}, "x", nil), true},
		{"somebody was faster", apierrors.NewConflict(resource, "x", errors.New("changed")), false},
		{"there are too many requests", apierrors.NewTooManyRequestsError("later"), false},
		{"the server is ill", apierrors.NewInternalError(errors.New("broken")), false},
		{"nobody answered", errors.New("connection refused"), false},
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
