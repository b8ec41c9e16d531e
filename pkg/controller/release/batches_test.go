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

package release

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBatchesGrowUntilOneFails(t *testing.T) {
	refused := errors.New("quota")
	for _, tc := range []struct {
		name             string
		count, first     int
		allowed          int64
		succeeded, calls int
	}{
		{"nothing to do", 0, 1, 0, 0, 0},
		{"all succeed: 1, 2, 4, 3", 10, 1, 10, 10, 10},
		{"all fail: only one is tried", 10, 1, 0, 0, 1},
		{"five are allowed: 1, 2, then two of 4, and no more", 10, 1, 5, 5, 7},
		{"a first batch of four: 4, then one of 6", 10, 4, 5, 5, 10},
		{"a first batch larger than all", 3, 8, 8, 3, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var calls atomic.Int64
			succeeded, err := SlowStart(tc.count, tc.first, func() error {
				if calls.Add(1) > tc.allowed {
					return refused
				}
				return nil
			})
			if succeeded != tc.succeeded || int(calls.Load()) != tc.calls || (err != nil) != (tc.succeeded < tc.count) {
				t.Errorf("%d of %d calls succeeded, %v", succeeded, calls.Load(), err)
			}
		})
	}
}

func TestTheCallsOfABatchAreMadeAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		// 1, 2, 4 and 1: four batches, each as long as one call.
		if _, err := SlowStart(8, 1, func() error { time.Sleep(time.Second); return nil }); err != nil || time.Since(started) != 4*time.Second {
			t.Errorf("took %s, %v", time.Since(started), err)
		}
	})
}
