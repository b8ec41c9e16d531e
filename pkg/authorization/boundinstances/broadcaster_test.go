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

package boundinstances

import (
	"context"
	"sync/atomic"
	"testing"
)

func TestBroadcasterWaitsForACondition(t *testing.T) {
	for _, tc := range []struct {
		name string
		// met is the evaluation that meets the condition; 0 for none.
		met  int32
		want bool
	}{
		{"the condition is met at once", 1, true},
		{"the condition is met after one change", 2, true},
		{"the condition is met after three changes", 4, true},
		{"the condition is never met", 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var b broadcaster
			var evaluated atomic.Int32
			got := b.waitFor(ctx, func() bool {
				number := evaluated.Add(1)
				switch {
				case number == tc.met:
					return true
				case number == 5:
					cancel()
				default:
					// A change between the evaluation and the wait must not be missed.
					b.broadcast()
				}
				return false
			})
			if got != tc.want {
				t.Errorf("got %t after %d evaluations", got, evaluated.Load())
			}
		})
	}
}
