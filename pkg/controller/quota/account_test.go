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

package quota

import (
	"math"
	"testing"
	"time"

	"k8s.io/utils/ptr"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestWhatMayBeOnItsWay(t *testing.T) {
	type step struct {
		after           time.Duration
		charged, stored int64
		revision        uint64
	}
	for _, tc := range []struct {
		name  string
		steps []step
		at    time.Duration
		want  int64
	}{
		{"nothing was charged", nil, 0, 0},
		{"all that was charged just now", []step{{charged: 3}, {after: time.Second, charged: 2}}, 0, 5},
		{"not what has been stored since", []step{{charged: 3}, {after: time.Second, stored: 2}}, 0, 1},
		{"what is stored counts against the oldest charge, so that none is given up too early", []step{{charged: 1}, {after: 4 * time.Second, charged: 1}, {stored: 1}}, settle - 3*time.Second, 1},
		{"what is stored may come with several charges", []step{{charged: 1}, {charged: 2}, {stored: 3}}, 0, 0},
		{"not a charge that is heard of after what was stored for it", []step{{stored: 1}, {after: grace / 2, charged: 3}}, 0, 2},
		{"not less for what was stored long before", []step{{stored: 1}, {after: grace, charged: 3}}, 0, 3},
		{"not less for what was stored before the charge was written, which had none", []step{{stored: 2, revision: 7}, {charged: 1, revision: 8}}, 0, 1},
		{"less for what was stored after the charge, though it was seen before", []step{{stored: 2, revision: 9}, {charged: 3, revision: 8}}, 0, 1},
		{"not less for what is seen late, and was stored before the charge", []step{{charged: 1, revision: 8}, {stored: 2, revision: 7}}, 0, 1},
		{"nothing once the time is over", []step{{charged: 3}}, settle, 0},
		{"only the expired charge is dropped", []step{{charged: 3}, {after: time.Second, charged: 4}}, settle - time.Second, 4},
		{"never more than there are numbers", []step{{charged: math.MaxInt64}, {charged: 1}}, 0, math.MaxInt64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, now := &account{}, start
			for _, s := range tc.steps {
				now = now.Add(s.after)
				if s.charged > 0 {
					a.charged(s.charged, s.revision, now)
				}
				if s.stored > 0 {
					a.stored(s.stored, s.revision, now)
				}
			}
			if got := a.figures(0, now.Add(tc.at)).pending; got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestACorrectionEndsWhatItCounted(t *testing.T) {
	a := &account{}
	a.stored(2, 5, start)
	decided := start.Add(time.Millisecond)
	a.stored(1, 8, decided.Add(time.Millisecond))
	a.charged(2, 6, decided.Add(time.Millisecond)) // the correction itself, as the watch shows it
	a.corrected(decided, 6)
	a.charged(4, 7, decided.Add(2*time.Millisecond))
	if got := a.figures(0, decided.Add(2*time.Millisecond)).pending; got != 4 {
		t.Errorf("%d are pending, want the four charged afterwards", got)
	}
}

func TestHowMuchIsUsed(t *testing.T) {
	const soon = 3 * time.Second
	for _, tc := range []struct {
		name  string
		used  *int64
		given figures
		want  int64
		again time.Duration
	}{
		{"the counted amount, without a status yet", nil, figures{counted: 7, pending: 2}, 7, 0},
		{"what is charged, where it is right", ptr.To[int64](7), figures{counted: 7}, 7, 0},
		{"what is charged, while more may be on its way", ptr.To[int64](9), figures{counted: 7, pending: 2, expires: start.Add(soon)}, 9, soon},
		{"what is there and on its way, where more is charged than that", ptr.To[int64](12), figures{counted: 7, pending: 2, expires: start.Add(soon)}, 9, soon},
		{"what is there, where more is charged and nothing is on its way", ptr.To[int64](12), figures{counted: 7}, 7, 0},
		{"what is there, where less was charged", ptr.To[int64](6), figures{counted: 7}, 7, 0},
		{"what is there and on its way, where less was charged", ptr.To[int64](6), figures{counted: 7, pending: 1, expires: start.Add(soon)}, 8, soon},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, again := judge(tc.used, tc.given, start)
			if got != tc.want || again != tc.again {
				t.Errorf("got %d, again after %v; want %d, %v", got, again, tc.want, tc.again)
			}
		})
	}
}
