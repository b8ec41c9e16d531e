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
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

// decide returns the status that a quota should have, given the figures of the counted names, and
// the time after which to decide again; zero for only when something changes.
func decide(q *corev1.ResourceQuota, all map[corev1.ResourceName]figures, whole bool, now time.Time) (status corev1.ResourceQuotaStatus, again time.Duration) {
	q.Status.DeepCopyInto(&status)
	if status.Used == nil {
		status.Used = corev1.ResourceList{}
	}
	if whole {
		status.Hard = q.Spec.Hard.DeepCopy()
		for name := range status.Used {
			if _, limited := status.Hard[name]; !limited {
				delete(status.Used, name)
			}
		}
	}
	scoped := quota.Scoped(&q.Spec)
	for name, f := range all {
		if scoped {
			f = figures{} // none of the counted kinds is in a scope
		}
		used, wait := judge(amountOf(q.Status.Used, name), f, now)
		// A correct number keeps its notation.
		if before := amountOf(q.Status.Used, name); before == nil || *before != used {
			status.Used[name] = *resource.NewQuantity(used, q.Spec.Hard[name].Format)
		}
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return status, again
}

// judge returns the usage of one name: the counted amount, and of the charges beyond that the
// pending ones.
func judge(used *int64, f figures, now time.Time) (amount int64, again time.Duration) {
	if used == nil {
		// Nothing is admitted before this is written, so nothing can have been charged.
		return f.counted, 0
	}
	most := add(f.counted, f.pending)
	switch {
	case *used < f.counted, *used > most:
		// If the watch of an object is ahead of that of its charge, too little seems to be charged. The write of
		// most conflicts then, so there is no need to wait for the charge.
		return most, until(f.expires, now)
	case *used > f.counted:
		return *used, until(f.expires, now)
	}
	return *used, 0
}

func until(then, now time.Time) time.Duration {
	if then.IsZero() {
		return 0
	}
	return max(then.Sub(now), time.Millisecond)
}

// sameStatus compares amounts, and not their notation.
func sameStatus(a, b *corev1.ResourceQuotaStatus) bool {
	return apiequality.Semantic.DeepEqual(a.Hard, b.Hard) && apiequality.Semantic.DeepEqual(a.Used, b.Used)
}
