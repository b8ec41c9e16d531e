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

// EqualIgnoreHash reports whether two templates are the same but for the hash, which is on a
// release's and not on an app's. An absent protocol of a port equals TCP.
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

// FindNewRelease finds the release that has the app's template, nil where there is none. Of
// several it is always the oldest.
func FindNewRelease(app *v1alpha1.App, releases []*v1alpha1.Release) *v1alpha1.Release {
	for _, release := range slices.SortedFunc(slices.Values(releases), byCreation) {
		if EqualIgnoreHash(&release.Spec.Template, &app.Spec.Template) {
			return release
		}
	}
	return nil
}

// FindOldReleases finds the releases that FindNewRelease does not: all of them, and those
// that have replicas.
func FindOldReleases(app *v1alpha1.App, releases []*v1alpha1.Release) (active, all []*v1alpha1.Release) {
	newest := FindNewRelease(app, releases)
	for _, release := range releases {
		if newest == nil || release.UID != newest.UID {
			all = append(all, release)
		}
	}
	return activeOf(all), all
}

// FindActiveOrLatest finds the one release that a change of the app's size is for: the only
// one that has replicas, or the latest where none has. It is nil where several have, which
// then share.
func FindActiveOrLatest(newest *v1alpha1.Release, old []*v1alpha1.Release) *v1alpha1.Release {
	switch active := activeOf(with(old, newest)); {
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

// with is a list of all releases, without one that is not there.
func with(old []*v1alpha1.Release, newest *v1alpha1.Release) []*v1alpha1.Release {
	all := slices.Clone(old)
	if newest != nil {
		all = append(all, newest)
	}
	return all
}

// activeOf are the releases that want replicas.
func activeOf(releases []*v1alpha1.Release) []*v1alpha1.Release {
	return slices.DeleteFunc(slices.Clone(releases), func(r *v1alpha1.Release) bool { return size(r) == 0 })
}

// size is how many replicas a release wants; none where there is no release.
func size(release *v1alpha1.Release) int32 {
	switch {
	case release == nil:
		return 0
	case release.Spec.Replicas == nil:
		return 1
	}
	return *release.Spec.Replicas
}

// wanted is how many replicas an app wants.
func wanted(app *v1alpha1.App) int32 {
	if app.Spec.Replicas == nil {
		return 1
	}
	return *app.Spec.Replicas
}

// byCreation sorts the oldest first, and by name what was made in the same second.
func byCreation(a, b *v1alpha1.Release) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// bySizeNewer sorts the largest first, and of like size the newest.
func bySizeNewer(a, b *v1alpha1.Release) int {
	return cmp.Or(cmp.Compare(size(b), size(a)), byCreation(b, a))
}

// bySizeOlder sorts the largest first, and of like size the oldest.
func bySizeOlder(a, b *v1alpha1.Release) int {
	return cmp.Or(cmp.Compare(size(b), size(a)), byCreation(a, b))
}

// sum adds up a number of each release; nil releases count nothing.
func sum(releases []*v1alpha1.Release, number func(*v1alpha1.Release) int32) int32 {
	var total int64
	for _, release := range releases {
		if release != nil {
			total += int64(number(release))
		}
	}
	return clamp(total)
}

// ReplicaCount is how many replicas the releases want.
func ReplicaCount(releases []*v1alpha1.Release) int32 { return sum(releases, size) }

// ActualReplicaCount is how many instances the releases have.
func ActualReplicaCount(releases []*v1alpha1.Release) int32 {
	return sum(releases, func(r *v1alpha1.Release) int32 { return r.Status.Replicas })
}

// ReadyReplicaCount is how many ready instances the releases have.
func ReadyReplicaCount(releases []*v1alpha1.Release) int32 {
	return sum(releases, func(r *v1alpha1.Release) int32 { return r.Status.ReadyReplicas })
}

// AvailableReplicaCount is how many available instances the releases have.
func AvailableReplicaCount(releases []*v1alpha1.Release) int32 {
	return sum(releases, func(r *v1alpha1.Release) int32 { return r.Status.AvailableReplicas })
}
