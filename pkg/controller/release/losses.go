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
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// The back-off of instances that end soon after they were made: that of the kubelet for
// containers.
const (
	firstReplacement = 10 * time.Second
	lastReplacement  = 5 * time.Minute
	// endsEarly is how old an instance may be when it ends to count as one that ends at once. It
	// is also after how long without such an end the back-off begins anew.
	endsEarly = 2 * lastReplacement
)

// losses remembers, of each release, how many of its instances ended soon after they were made
// and are not replaced yet. The first is replaced at once. After that all that end within a
// delay are replaced together when it has passed, and the delay doubles each time. Instances that
// are deleted do not count, and neither do those that have run for longer. It is safe for
// concurrent use.
type losses struct {
	clock clock.PassiveClock

	lock sync.Mutex
	of   map[types.UID]loss
	// noted has the releases for which the end of an instance was recorded, by the instance.
	noted map[types.UID][]types.UID
}

type loss struct {
	held  int
	until time.Time
	// delay is the next one.
	delay time.Duration
	last  time.Time
}

func newLosses(clock clock.PassiveClock) *losses {
	return &losses{clock: clock, of: map[types.UID]loss{}, noted: map[types.UID][]types.UID{}}
}

// ended records, once, that an instance of the release has ended. The handler of the watch reports
// each, and so does the reconciliation, whose cache may be ahead of the handler: it would replace at
// once what the handler has yet to report. Ages are told by the server's clock, which made the
// instance, and never by that of a host.
func (l *losses) ended(release types.UID, i *v1alpha1.Instance) {
	now := l.clock.Now()
	if now.Sub(i.CreationTimestamp.Time) > endsEarly {
		return
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if slices.Contains(l.noted[i.UID], release) {
		return
	}
	l.noted[i.UID] = append(l.noted[i.UID], release)
	one, known := l.of[release]
	switch {
	case !known || now.Sub(one.last) > endsEarly:
		one = loss{until: now, delay: firstReplacement}
	case now.Before(one.until):
		one.held++
	default:
		one = loss{held: 1, until: now.Add(one.delay), delay: min(2*one.delay, lastReplacement)}
	}
	one.last = now
	l.of[release] = one
}

// held returns how many instances of the release are not to be replaced yet, and for how long.
func (l *losses) held(release types.UID) (count int, left time.Duration) {
	l.lock.Lock()
	defer l.lock.Unlock()
	one := l.of[release]
	left = one.until.Sub(l.clock.Now())
	if left <= 0 {
		return 0, 0
	}
	return one.held, left
}

// deleted forgets an instance that is gone.
func (l *losses) deleted(instance types.UID) {
	l.lock.Lock()
	defer l.lock.Unlock()
	delete(l.noted, instance)
}

func (l *losses) forget(release types.UID) {
	l.lock.Lock()
	defer l.lock.Unlock()
	delete(l.of, release)
}
