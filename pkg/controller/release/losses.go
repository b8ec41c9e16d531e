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

// The backoff of instances that end soon after creation is that of the kubelet for containers.
const (
	firstReplacement = 10 * time.Second
	lastReplacement  = 5 * time.Minute
	// endsEarly is the age below which an instance ends early. It is also the time without an early
	// end after which the backoff is reset.
	endsEarly = 2 * lastReplacement
)

// losses counts, for each release, the instances that ended early and are not replaced yet. The first
// is replaced at once. After that all that end within a delay are replaced together when it has
// passed, and the delay doubles each time. Deleted instances do not count, and neither do those
// that ran for longer. It is safe for concurrent use.
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
// each, and so does the reconciliation, because its cache may be ahead of the handler: otherwise it would
// replace at once what the handler has yet to report. The age is computed from the creation time, which
// is of the server's clock, and never from a host's clock.
//
// cached reports whether the informers still have the release and the instance. It is called with the
// lock: what is cached then is removed by deleted and forget later, and what is not would be recorded
// forever, or twice.
func (l *losses) ended(release types.UID, i *v1alpha1.Instance, cached func() bool) {
	now := l.clock.Now()
	if now.Sub(i.CreationTimestamp.Time) > endsEarly {
		return
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if slices.Contains(l.noted[i.UID], release) || !cached() {
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

// held returns the number of instances of the release that are not to be replaced yet, and the time
// left.
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
