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
	"slices"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Scaling is a new size for a release.
type Scaling struct {
	Release  *v1alpha1.Release
	Replicas int32
}

// RollNew returns the replicas of the newest release in this step of a rolling update: as many as
// the surge allows, or fewer if the app was scaled down.
func RollNew(app *v1alpha1.App, all []*v1alpha1.Release, newest *v1alpha1.Release) (int32, error) {
	if size(newest) >= wanted(app) {
		return wanted(app), nil
	}
	return NewReplicas(app, all, newest)
}

// RollOld returns the old releases that are scaled down in this step of a rolling update. Instances
// that are not available are removed first, because that costs no availability; then as many as the
// available instances of the newest release replace. Those that are not available yet do not count:
// a version that never becomes available must not replace the old one.
func RollOld(app *v1alpha1.App, old []*v1alpha1.Release, newest *v1alpha1.Release) []Scaling {
	active := activeOf(old)
	if len(active) == 0 {
		return nil
	}
	coming := size(newest) - lasting(newest)
	most := ReplicaCount(addNewest(old, newest)) - (wanted(app) - MaxUnavailable(app)) - coming
	if most <= 0 {
		return nil
	}
	// Both return new sizes; the second continues from the result of the first.
	sizes := map[*v1alpha1.Release]int32{}
	for _, scaling := range CleanUpUnhealthy(active, most) {
		sizes[scaling.Release] = scaling.Replicas
	}
	for _, scaling := range scaleDownOld(app, active, newest, sizes) {
		sizes[scaling.Release] = scaling.Replicas
	}
	var scalings []Scaling
	for _, release := range slices.SortedFunc(slices.Values(active), byCreation) {
		if replicas, scaled := sizes[release]; scaled {
			scalings = append(scalings, Scaling{release, replicas})
		}
	}
	return scalings
}

// CleanUpUnhealthy scales old releases down by their unavailable instances, the oldest first and by
// no more than most. The release controller deletes those that are not ready before others.
func CleanUpUnhealthy(old []*v1alpha1.Release, most int32) []Scaling {
	var scalings []Scaling
	for _, release := range slices.SortedFunc(slices.Values(old), byCreation) {
		unhealthy := min(size(release)-lasting(release), most)
		if unhealthy <= 0 {
			continue
		}
		scalings = append(scalings, Scaling{release, size(release) - unhealthy})
		most -= unhealthy
	}
	return scalings
}

// ScaleDownOld scales old releases down by the available instances beyond the minimum of the app, the
// oldest first.
func ScaleDownOld(app *v1alpha1.App, old []*v1alpha1.Release, newest *v1alpha1.Release) []Scaling {
	return scaleDownOld(app, old, newest, nil)
}

// scaleDownOld continues from the sizes that were decided already.
func scaleDownOld(app *v1alpha1.App, old []*v1alpha1.Release, newest *v1alpha1.Release, sizes map[*v1alpha1.Release]int32) []Scaling {
	spare := sum(addNewest(old, newest), lasting) - (wanted(app) - MaxUnavailable(app))
	var scalings []Scaling
	for _, release := range slices.SortedFunc(slices.Values(old), byCreation) {
		replicas, decided := sizes[release]
		if !decided {
			replicas = size(release)
		}
		less := min(replicas, spare)
		if less <= 0 {
			continue
		}
		scalings = append(scalings, Scaling{release, replicas - less})
		spare -= less
	}
	return scalings
}

// lasting returns how many of a release's available instances remain: while it is scaled down it has
// more than it keeps, which must not be counted twice.
func lasting(release *v1alpha1.Release) int32 {
	return min(release.Status.AvailableReplicas, size(release))
}
