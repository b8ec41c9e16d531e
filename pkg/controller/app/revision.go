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

// HistoryLength is how many characters the list of a release's earlier numbers may have. It
// grows with each rollback, and annotations are not the place for what grows.
const HistoryLength = 2000

// MaxRevision is the highest number among the releases. What is no number counts as none:
// somebody has tampered with it, and the others go on.
func MaxRevision(releases []*v1alpha1.Release) int64 {
	newest, _ := lastTwo(releases)
	return newest
}

// LastRevision is the number before the highest.
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

// SetNewReleaseAnnotations gives the newest release the annotations of its app, and a number
// that is higher than it was: revision, unless it has a higher one already, because older
// releases were deleted since. A number that it had before is kept in its history. One that is
// not stored yet is given the annotations about replicas, too. It says whether anything
// changed.
func SetNewReleaseAnnotations(app *v1alpha1.App, release *v1alpha1.Release, revision int64, exists bool, historyLength int) bool {
	changed := copyAnnotations(app, release)
	before, numbered := release.Annotations[v1alpha1.RevisionAnnotation]
	var number int64
	if before != "" {
		var err error
		// Whoever wrote something else there may have meant it: it is left alone.
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

// remember adds a number to the history. Where there is no room the oldest make it.
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

// notCopied are annotations that say something of the object that they are on.
func notCopied(annotation string) bool {
	return slices.Contains([]string{
		corev1.LastAppliedConfigAnnotation,
		v1alpha1.RevisionAnnotation, v1alpha1.RevisionHistoryAnnotation,
		v1alpha1.DesiredReplicasAnnotation, v1alpha1.MaxReplicasAnnotation,
	}, annotation)
}

// copyAnnotations never takes any away: the release may have some of its own.
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

// DesiredReplicas is how many replicas the app of a release wanted when the release was last
// scaled; false where nothing useful is said.
func DesiredReplicas(release *v1alpha1.Release) (int32, bool) {
	return countIn(release, v1alpha1.DesiredReplicasAnnotation)
}

// maxReplicas is how many replicas the app of a release might have had, surge and all, when
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

// SetReplicasAnnotations remembers on a release how large its app is. It says whether
// anything changed.
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

// ReplicasAnnotationsNeedUpdate says whether SetReplicasAnnotations would change anything.
func ReplicasAnnotationsNeedUpdate(release *v1alpha1.Release, desired, most int32) bool {
	return release.Annotations[v1alpha1.DesiredReplicasAnnotation] != strconv.FormatInt(int64(desired), 10) ||
		release.Annotations[v1alpha1.MaxReplicasAnnotation] != strconv.FormatInt(int64(most), 10)
}
