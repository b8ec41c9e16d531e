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

package backoff

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestAKeyThatKeepsFailingIsHeldBackLongerEachTime(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	b := New[string](10*time.Second, 5*time.Minute, clock)
	pass := func(d time.Duration) { clock.SetTime(clock.Now().Add(d)) }
	if left, known := b.Left("web"); left != 0 || known {
		t.Fatalf("a key that never failed waits %s (%t)", left, known)
	}
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		want *= time.Second
		if got := b.Failed("web"); got != want {
			t.Fatalf("failure %d: held back for %s, want %s", i+1, got, want)
		}
		pass(want - time.Second)
		if got := b.Failed("web"); got != time.Second {
			t.Fatalf("a failure of the same attempt: %s left, want 1s", got)
		}
		if left, known := b.Left("other"); left != 0 || known {
			t.Fatalf("another key waits %s (%t)", left, known)
		}
		pass(time.Second)
		if left, known := b.Left("web"); left != 0 || !known {
			t.Fatalf("after the delay %s are left (%t)", left, known)
		}
	}
	pass(10*time.Minute + time.Second)
	if got := b.Failed("web"); got != 10*time.Second {
		t.Errorf("after a long time without failures: %s, want the first delay", got)
	}
	b.Forget("web")
	if left, known := b.Left("web"); left != 0 || known {
		t.Errorf("a forgotten key waits %s (%t)", left, known)
	}
}

func TestKeysThatNeverComeAgainDoNotAccumulate(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	b := New[int](time.Second, time.Minute, clock)
	for key := range 1000 {
		b.Failed(key)
		clock.SetTime(clock.Now().Add(time.Second))
	}
	if len(b.entries) > 4*60 {
		t.Errorf("%d entries are kept", len(b.entries))
	}
}
