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

package app

import (
	"context"
	"sync/atomic"
	"testing"
)

func TestNewsIsWaitedFor(t *testing.T) {
	for _, tc := range []struct {
		name string
		// yes is with which question the answer becomes yes; 0 for never.
		yes  int32
		want bool
	}{
		{"the answer is yes at once", 1, true},
		{"the answer is yes after news", 2, true},
		{"the answer is yes after the third news", 4, true},
		{"the answer is never yes", 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var n news
			var asked atomic.Int32
			got := n.until(ctx, func() bool {
				number := asked.Add(1)
				switch {
				case number == tc.yes:
					return true
				case number == 5:
					cancel()
				default:
					// Comes between the question and the wait, and must not be missed.
					n.tell()
				}
				return false
			})
			if got != tc.want {
				t.Errorf("got %t after %d questions", got, asked.Load())
			}
		})
	}
}
