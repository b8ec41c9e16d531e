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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// trustedSkew is the difference between a reported time and the time of its observation above which
// the host's clock is not trusted.
const trustedSkew = 5 * time.Second

// readiness records since when instances are ready by this process's clock. The condition Ready has
// the time of the host's clock, which may be hours off: an instance on a host that is ahead would
// not become available for hours, and one on a host that is behind at once. Only instances with an
// untrusted time use memory. It is safe for concurrent use.
type readiness struct {
	clock clock.PassiveClock

	lock sync.Mutex
	of   map[types.UID]sighting
}

// sighting is a reported time, and when the report was observed.
type sighting struct{ reported, seen time.Time }

func newReadiness(clock clock.PassiveClock) *readiness {
	return &readiness{clock: clock, of: map[types.UID]sighting{}}
}

// observe handles an event of an instance; old is nil for one that is seen for the first time: then a
// reported time in the past is trusted.
func (r *readiness) observe(old, i *v1alpha1.Instance) {
	reported, ready := helper.InstanceReadySince(i)
	if old != nil {
		if before, was := helper.InstanceReadySince(old); was && ready && before.Equal(reported) {
			return
		}
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	delete(r.of, i.UID)
	if !ready || reported.IsZero() {
		return
	}
	seen := r.clock.Now()
	if old == nil && reported.Before(seen) {
		return
	}
	if reported.Sub(seen).Abs() > trustedSkew {
		r.of[i.UID] = sighting{reported, seen}
	}
}

func (r *readiness) forget(i *v1alpha1.Instance) {
	r.lock.Lock()
	defer r.lock.Unlock()
	delete(r.of, i.UID)
}

// correct returns the instance, or a copy that is ready since the report was observed.
func (r *readiness) correct(i *v1alpha1.Instance) *v1alpha1.Instance {
	r.lock.Lock()
	s, found := r.of[i.UID]
	r.lock.Unlock()
	reported, ready := helper.InstanceReadySince(i)
	if !found || !ready || !reported.Equal(s.reported) {
		return i
	}
	corrected := *i
	corrected.Status.Conditions = slices.Clone(i.Status.Conditions)
	for at := range corrected.Status.Conditions {
		if corrected.Status.Conditions[at].Type == v1alpha1.InstanceConditionReady {
			corrected.Status.Conditions[at].LastTransitionTime = metav1.NewTime(s.seen)
		}
	}
	return &corrected
}
