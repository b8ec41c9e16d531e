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
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// Cheapest returns the active instances with the lowest cost of deletion. Neighbours are all
// instances of the same app, or of the release itself if it has none: instances that share a host
// with more of them are deleted before others.
func Cheapest(active, neighbours []*v1alpha1.Instance, count int, now time.Time) []*v1alpha1.Instance {
	if count >= len(active) {
		return active
	}
	onHost := map[string]int{}
	for _, i := range neighbours {
		if helper.IsInstanceActive(i) {
			onHost[i.Spec.HostName]++
		}
	}
	ordered := slices.Clone(active)
	slices.SortFunc(ordered, func(a, b *v1alpha1.Instance) int {
		return Compare(a, b, onHost[a.Spec.HostName], onHost[b.Spec.HostName], now)
	})
	return ordered[:count]
}

// Compare is negative if a should be deleted before b, and zero if the order does not matter. The
// first of these that differs decides: unbound before bound; by phase, Pending, Unknown, Running;
// not ready before ready; the lower deletion cost; more neighbours on the host; ready for a shorter
// time; more restarts; created later.
//
// Times are compared by their order of magnitude, and within one by UID: otherwise the youngest
// would always be deleted, and with them all those of the host or zone that was added last. So the
// order is not transitive everywhere, as upstream's is not; the sort then decides among instances
// of similar age.
func Compare(a, b *v1alpha1.Instance, neighboursOfA, neighboursOfB int, now time.Time) int {
	aReady, bReady := helper.IsInstanceReady(a), helper.IsInstanceReady(b)
	if order := cmp.Or(
		compareBools(a.Spec.HostName != "", b.Spec.HostName != ""),
		cmp.Compare(ordinal(a.Status.Phase), ordinal(b.Status.Phase)),
		compareBools(aReady, bReady),
		cmp.Compare(deletionCost(a), deletionCost(b)),
		cmp.Compare(neighboursOfB, neighboursOfA),
	); order != 0 {
		return order
	}
	if aReady && bReady {
		aSince, _ := helper.InstanceReadySince(a)
		bSince, _ := helper.InstanceReadySince(b)
		if !aSince.Equal(bSince) {
			return cmp.Or(compareAges(aSince, bSince, now), cmp.Compare(a.UID, b.UID))
		}
	}
	if order := cmp.Compare(mostRestarts(b), mostRestarts(a)); order != 0 {
		return order
	}
	if aCreated, bCreated := a.CreationTimestamp.Time, b.CreationTimestamp.Time; !aCreated.Equal(bCreated) {
		return cmp.Or(compareAges(aCreated, bCreated, now), cmp.Compare(a.UID, b.UID))
	}
	return 0
}

// compareBools orders false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// ordinal treats a phase that has not been reported yet as Pending.
func ordinal(phase v1alpha1.InstancePhase) int {
	switch phase {
	case v1alpha1.InstanceRunning:
		return 2
	case v1alpha1.InstanceUnknown:
		return 1
	}
	return 0
}

// deletionCost returns 0 for a value that is not a 32 bit integer in canonical form, except for
// zeros after a minus sign, which upstream accepts.
func deletionCost(i *v1alpha1.Instance) int32 {
	said := i.Annotations[v1alpha1.DeletionCostAnnotation]
	if said == "" || said[0] == '+' || said[0] == '0' && said != "0" {
		return 0
	}
	cost, err := strconv.ParseInt(said, 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

// compareAges orders the younger first, and an unknown time before all others.
func compareAges(a, b, now time.Time) int {
	switch {
	case a.IsZero():
		return -1
	case b.IsZero():
		return 1
	case now.IsZero():
		return b.Compare(a)
	}
	return cmp.Compare(magnitude(now.Sub(a)), magnitude(now.Sub(b)))
}

// magnitude returns the integer part of the binary logarithm.
func magnitude(age time.Duration) int64 {
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

func mostRestarts(i *v1alpha1.Instance) int32 {
	most := int32(0)
	for _, c := range i.Status.ContainerStatuses {
		most = max(most, c.RestartCount)
	}
	return most
}
