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
	"slices"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// IsScaled reports whether an app's size was changed since its releases were last scaled. Scaling
// precedes any rollout, and must not accelerate it.
func IsScaled(app *v1alpha1.App, old []*v1alpha1.Release, newest *v1alpha1.Release) bool {
	// An app that replaces all instances at once distributes nothing among its releases: the
	// rollout itself scales each.
	if !IsRollingUpdate(app) && FindActiveOrLatest(newest, old) == nil {
		return false
	}
	return slices.ContainsFunc(activeOf(addNewest(old, newest)), func(release *v1alpha1.Release) bool {
		desired, found := DesiredReplicas(release)
		return found && desired != wanted(app)
	})
}

// IsSaturated reports whether a release has all of an app's instances, and the app has not been
// scaled since.
func IsSaturated(app *v1alpha1.App, release *v1alpha1.Release) bool {
	if release == nil {
		return false
	}
	desired, found := DesiredReplicas(release)
	return found && desired == wanted(app) && size(release) == wanted(app) && release.Status.AvailableReplicas == wanted(app)
}

// Scale returns the sizes of releases after a change of the app's size, or for a paused app if its
// releases have another size. A single release takes the whole change; several share it, so that
// scaling does not accelerate a rollout that may be a bad one.
func Scale(app *v1alpha1.App, old []*v1alpha1.Release, newest *v1alpha1.Release) []Scaling {
	if only := FindActiveOrLatest(newest, old); only != nil {
		desired, found := DesiredReplicas(only)
		// A release that another client has already scaled must still record that the app was
		// scaled, or the app would never continue.
		if size(only) == wanted(app) && (!found || desired == wanted(app)) {
			return nil
		}
		return []Scaling{{only, wanted(app)}}
	}
	switch active := activeOf(addNewest(old, newest)); {
	case len(active) == 0:
		return nil
	// Old releases were adopted after the newest had taken over.
	case IsSaturated(app, newest):
		return EndOld(old)
	case IsRollingUpdate(app):
		return share(app, active)
	}
	return nil
}

// share scales releases in proportion to their sizes, the largest first; that one takes the rest of
// rounding. Among equals the newest grows first, and the oldest shrinks first.
func share(app *v1alpha1.App, active []*v1alpha1.Release) []Scaling {
	var allowed int32
	if wanted(app) > 0 {
		allowed = mostReplicas(app)
	}
	toAdd := allowed - ReplicaCount(active)
	order := bySizeOlder
	if toAdd > 0 {
		order = bySizeNewer
	}
	var scalings []Scaling
	var added int32
	for _, release := range slices.SortedFunc(slices.Values(active), order) {
		part := Proportion(app, release, toAdd, added)
		added += part
		// Also those that keep their size: they record the size of the app.
		scalings = append(scalings, Scaling{release, clamp(int64(size(release)) + int64(part))})
	}
	scalings[0].Replicas = max(clamp(int64(scalings[0].Replicas)+int64(toAdd)-int64(added)), 0)
	return scalings
}

// Proportion returns this release's part of the replicas that the app's releases grow or shrink by;
// added is the part that has been distributed already.
func Proportion(app *v1alpha1.App, release *v1alpha1.Release, toAdd, added int32) int32 {
	left := toAdd - added
	switch {
	case size(release) == 0 || toAdd == 0 || left == 0:
		return 0
	case toAdd > 0:
		return min(fraction(app, release), left)
	}
	return max(fraction(app, release), left)
}

// fraction returns by how much a release changes if it keeps its share of the app.
func fraction(app *v1alpha1.App, release *v1alpha1.Release) int32 {
	if wanted(app) == 0 {
		return -size(release)
	}
	before, _ := maxReplicas(release)
	if before == 0 {
		// The annotation was removed. The last observed size is close enough, because Proportion
		// bounds the result.
		before = app.Status.Replicas
	}
	if before == 0 {
		return 0
	}
	now := float64(size(release)) * float64(mostReplicas(app)) / float64(before)
	// Bounded as a float: the conversion of a number beyond int64 is undefined.
	return clamp(int64(min(math.Round(now), math.MaxInt32)) - int64(size(release)))
}
