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
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// HistoryLength bounds the list of a release's earlier revisions, in characters. It grows with each
// rollback, and annotations must not grow without a bound.
const HistoryLength = 2000

// MaxRevision returns the highest revision of the releases. It skips invalid ones, which a user has
// modified.
func MaxRevision(releases []*v1alpha1.Release) int64 {
	newest, _ := lastTwo(releases)
	return newest
}

// LastRevision returns the second highest revision.
func LastRevision(releases []*v1alpha1.Release) int64 {
	_, before := lastTwo(releases)
	return before
}

func lastTwo(releases []*v1alpha1.Release) (newest, before int64) {
	for _, release := range releases {
		number, err := helper.Revision(release)
		switch {
		case err != nil:
		case number >= newest:
			newest, before = number, newest
		case number > before:
			before = number
		}
	}
	return newest, before
}

// SetNewReleaseAnnotations copies the app's annotations to the newest release, and raises its
// revision to the given one, unless it has a higher one because older releases were deleted since.
// It adds the former revision to the history. A release that is not stored yet also gets the
// annotations about replicas. It reports whether anything changed.
func SetNewReleaseAnnotations(app *v1alpha1.App, release *v1alpha1.Release, revision int64, exists bool, historyLength int) bool {
	changed := copyAnnotations(app, release)
	before, numbered := release.Annotations[v1alpha1.RevisionAnnotation]
	var number int64
	if before != "" {
		var err error
		// A user may have set it on purpose: it is not changed.
		if number, err = strconv.ParseInt(before, 10, 64); err != nil {
			return false
		}
	}
	if number < revision {
		release.Annotations[v1alpha1.RevisionAnnotation] = strconv.FormatInt(revision, 10)
		changed = true
		if numbered {
			remember(release, before, historyLength)
		}
	}
	if !exists && SetReplicasAnnotations(release, wanted(app), mostReplicas(app)) {
		changed = true
	}
	return changed
}

// remember adds a revision to the history, and drops the oldest ones beyond the length.
func remember(release *v1alpha1.Release, number string, length int) {
	history := release.Annotations[v1alpha1.RevisionHistoryAnnotation]
	if history == "" {
		release.Annotations[v1alpha1.RevisionHistoryAnnotation] = number
		return
	}
	numbers := append(strings.Split(history, ","), number)
	for len(numbers) > 0 {
		if joined := strings.Join(numbers, ","); len(joined) <= length {
			release.Annotations[v1alpha1.RevisionHistoryAnnotation] = joined
			return
		}
		numbers = numbers[1:]
	}
}

// notCopied reports whether an annotation is about the object that has it.
func notCopied(annotation string) bool {
	return slices.Contains([]string{
		corev1.LastAppliedConfigAnnotation,
		v1alpha1.RevisionAnnotation, v1alpha1.RevisionHistoryAnnotation,
		v1alpha1.DesiredReplicasAnnotation, v1alpha1.MaxReplicasAnnotation,
	}, annotation)
}

// copyAnnotations never removes any: the release may have some of its own.
func copyAnnotations(app *v1alpha1.App, release *v1alpha1.Release) bool {
	if release.Annotations == nil {
		release.Annotations = map[string]string{}
	}
	before := maps.Clone(release.Annotations)
	for annotation, value := range app.Annotations {
		if !notCopied(annotation) {
			release.Annotations[annotation] = value
		}
	}
	return !maps.Equal(before, release.Annotations)
}

// DesiredReplicas returns the replicas that the app of a release wanted when the release was last
// scaled; false without a valid annotation.
func DesiredReplicas(release *v1alpha1.Release) (int32, bool) {
	return countIn(release, v1alpha1.DesiredReplicasAnnotation)
}

// maxReplicas returns the replicas that the app of a release was allowed, including the surge, when
// the release was last scaled.
func maxReplicas(release *v1alpha1.Release) (int32, bool) {
	return countIn(release, v1alpha1.MaxReplicasAnnotation)
}

func countIn(release *v1alpha1.Release, annotation string) (int32, bool) {
	// 31 bits: an int32 that is not negative.
	count, err := strconv.ParseUint(release.Annotations[annotation], 10, 31)
	if err != nil {
		return 0, false
	}
	return int32(count), true
}

// SetReplicasAnnotations records the size of the app on a release. It reports whether anything
// changed.
func SetReplicasAnnotations(release *v1alpha1.Release, desired, most int32) bool {
	if !ReplicasAnnotationsNeedUpdate(release, desired, most) {
		return false
	}
	if release.Annotations == nil {
		release.Annotations = map[string]string{}
	}
	release.Annotations[v1alpha1.DesiredReplicasAnnotation] = strconv.FormatInt(int64(desired), 10)
	release.Annotations[v1alpha1.MaxReplicasAnnotation] = strconv.FormatInt(int64(most), 10)
	return true
}

// ReplicasAnnotationsNeedUpdate reports whether SetReplicasAnnotations would change anything.
func ReplicasAnnotationsNeedUpdate(release *v1alpha1.Release, desired, most int32) bool {
	return release.Annotations[v1alpha1.DesiredReplicasAnnotation] != strconv.FormatInt(int64(desired), 10) ||
		release.Annotations[v1alpha1.MaxReplicasAnnotation] != strconv.FormatInt(int64(most), 10)
}
