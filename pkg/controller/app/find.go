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
	"cmp"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// EqualIgnoreHash reports whether two templates are equal except for the hash label, which only the
// templates of releases have. An absent protocol of a port equals TCP.
func EqualIgnoreHash(a, b *v1alpha1.InstanceTemplateSpec) bool {
	return apiequality.Semantic.DeepEqual(helper.WithProtocols(withoutHash(a)), helper.WithProtocols(withoutHash(b)))
}

func withoutHash(template *v1alpha1.InstanceTemplateSpec) *v1alpha1.InstanceTemplateSpec {
	if _, found := template.Labels[v1alpha1.TemplateHashLabel]; !found {
		return template
	}
	without := template.DeepCopy()
	delete(without.Labels, v1alpha1.TemplateHashLabel)
	return without
}

// FindNewRelease returns the oldest release that has the app's template; nil if there is none.
func FindNewRelease(app *v1alpha1.App, releases []*v1alpha1.Release) *v1alpha1.Release {
	for _, release := range slices.SortedFunc(slices.Values(releases), byCreation) {
		if EqualIgnoreHash(&release.Spec.Template, &app.Spec.Template) {
			return release
		}
	}
	return nil
}

// FindOldReleases returns the releases that FindNewRelease does not: all of them, and those that
// have replicas.
func FindOldReleases(app *v1alpha1.App, releases []*v1alpha1.Release) (active, all []*v1alpha1.Release) {
	newest := FindNewRelease(app, releases)
	for _, release := range releases {
		if newest == nil || release.UID != newest.UID {
			all = append(all, release)
		}
	}
	return activeOf(all), all
}

// FindActiveOrLatest returns the one release that a change of the app's size applies to: the only
// one with replicas, or the latest if none has any. It returns nil if several have replicas, which
// then share the change.
func FindActiveOrLatest(newest *v1alpha1.Release, old []*v1alpha1.Release) *v1alpha1.Release {
	switch active := activeOf(addNewest(old, newest)); {
	case len(active) == 1:
		return active[0]
	case len(active) > 1:
		return nil
	case newest != nil:
		return newest
	case len(old) > 0:
		return slices.MaxFunc(old, byCreation)
	}
	return nil
}

// addNewest returns all releases; newest may be nil.
func addNewest(old []*v1alpha1.Release, newest *v1alpha1.Release) []*v1alpha1.Release {
	all := slices.Clone(old)
	if newest != nil {
		all = append(all, newest)
	}
	return all
}

// activeOf returns the releases that want replicas.
func activeOf(releases []*v1alpha1.Release) []*v1alpha1.Release {
	return slices.DeleteFunc(slices.Clone(releases), func(r *v1alpha1.Release) bool { return size(r) == 0 })
}

// size returns the replicas that a release wants; 0 for nil.
func size(release *v1alpha1.Release) int32 {
	switch {
	case release == nil:
		return 0
	case release.Spec.Replicas == nil:
		return 1
	}
	return *release.Spec.Replicas
}

// wanted returns the replicas that an app wants.
func wanted(app *v1alpha1.App) int32 {
	if app.Spec.Replicas == nil {
		return 1
	}
	return *app.Spec.Replicas
}

// byCreation sorts the oldest first, and releases of the same second by name.
func byCreation(a, b *v1alpha1.Release) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// bySizeNewer sorts the largest first, and releases of the same size the newest first.
func bySizeNewer(a, b *v1alpha1.Release) int {
	return cmp.Or(cmp.Compare(size(b), size(a)), byCreation(b, a))
}

// bySizeOlder sorts the largest first, and releases of the same size the oldest first.
func bySizeOlder(a, b *v1alpha1.Release) int {
	return cmp.Or(cmp.Compare(size(b), size(a)), byCreation(a, b))
}

// sum sums up a number of each release, and skips nil.
func sum(releases []*v1alpha1.Release, number func(*v1alpha1.Release) int32) int32 {
	var total int64
	for _, release := range releases {
		if release != nil {
			total += int64(number(release))
		}
	}
	return clamp(total)
}

// ReplicaCount returns the replicas that the releases want.
func ReplicaCount(releases []*v1alpha1.Release) int32 { return sum(releases, size) }

// ActualReplicaCount returns the number of instances of the releases.
func ActualReplicaCount(releases []*v1alpha1.Release) int32 {
	return sum(releases, func(r *v1alpha1.Release) int32 { return r.Status.Replicas })
}

// ReadyReplicaCount returns the number of ready instances of the releases.
func ReadyReplicaCount(releases []*v1alpha1.Release) int32 {
	return sum(releases, func(r *v1alpha1.Release) int32 { return r.Status.ReadyReplicas })
}

// AvailableReplicaCount returns the number of available instances of the releases.
func AvailableReplicaCount(releases []*v1alpha1.Release) int32 {
	return sum(releases, func(r *v1alpha1.Release) int32 { return r.Status.AvailableReplicas })
}
