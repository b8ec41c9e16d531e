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

package kit

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Patience bounds the wait for a condition. No wait takes seconds on an idle machine; this is for one that is busy
// with other tests.
const Patience = 2 * time.Minute

// interval is the pause between two looks at a condition.
const interval = 10 * time.Millisecond

// Eventually waits until the condition holds, and fails the test after Patience, or when the test's own
// context ends. what is the condition in words.
func Eventually(t testing.TB, what string, condition func(context.Context) bool) {
	t.Helper()
	EventuallyState(t, what, func(ctx context.Context) (bool, string) { return condition(ctx), "" })
}

// EventuallyState is Eventually for a condition that also describes the state that it found. The last state is part
// of the failure.
func EventuallyState(t testing.TB, what string, condition func(context.Context) (done bool, state string)) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(t.Context(), interval, Patience, true, func(ctx context.Context) (done bool, _ error) {
		done, last = condition(ctx)
		return done, nil
	})
	if err == nil {
		return
	}
	if last != "" {
		last = "; the last state: " + last
	}
	t.Fatalf("waiting until %s: %v%s", what, err, last)
}
