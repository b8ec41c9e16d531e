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
