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
	"math"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// surge sets maxSurge.
func surge(most intstr.IntOrString) func(*v1alpha1.App) {
	return func(app *v1alpha1.App) { app.Spec.Strategy.RollingUpdate.MaxSurge = ptr.To(most) }
}

// Sums near the largest int32 saturate, and none is negative: an overflow would
// keep an app at 0, or become the size of a release.
func TestNumbersNearTheLargestSaturate(t *testing.T) {
	const largest = math.MaxInt32
	huge := []func(*v1alpha1.App){surge(intstr.FromInt32(largest)), surge(intstr.FromString("100%")), surge(intstr.FromString("2147483647%"))}
	for _, change := range huge {
		app := makeApp(largest, change)
		if got := MaxSurge(app); got != largest {
			t.Errorf("surge %d", got)
		}
		if got := mostReplicas(app); got != largest {
			t.Errorf("most replicas %d", got)
		}
		if got, err := RollNew(app, nil, makeRelease(9, 0)); err != nil || got != largest {
			t.Errorf("the first release gets %d (%v)", got, err)
		}
		full := []*v1alpha1.Release{makeRelease(1, largest), makeRelease(2, largest)}
		if got := ReplicaCount(full); got != largest {
			t.Errorf("two full releases have %d", got)
		}
		if got, err := RollNew(app, full, makeRelease(9, 5)); err != nil || got != 5 {
			t.Errorf("beside two full releases the newest gets %d (%v)", got, err)
		}
		status := SizeStatus(app, full, full[0], metav1.NewTime(noon))
		if status.Replicas != largest || status.AvailableReplicas != largest || status.UnavailableReplicas != 0 {
			t.Errorf("status %+v", status)
		}
	}
	for _, wanted := range []int32{0, 1, 7, largest / 2, largest - 1, largest} {
		for _, before := range []int32{1, 2, 1000, largest} {
			for _, sizes := range [][2]int32{{1, 1}, {largest, 1}, {largest / 2, largest / 2}, {largest, largest}} {
				app := makeApp(wanted, huge[0])
				newest, old := makeRelease(9, sizes[0], remembers(before, before)), makeRelease(1, sizes[1], remembers(before, before))
				for _, scaling := range append(Scale(app, []*v1alpha1.Release{old}, newest), RollOld(app, []*v1alpha1.Release{old}, newest)...) {
					if scaling.Replicas < 0 {
						t.Errorf("wanted %d, sizes %v, remembered %d: %s becomes %d", wanted, sizes, before, scaling.Release.Name, scaling.Replicas)
					}
				}
			}
		}
	}
}
