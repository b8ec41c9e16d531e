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
	"math"
	"slices"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// HasRevisionHistoryLimit reports whether old releases of an app are deleted.
func HasRevisionHistoryLimit(app *v1alpha1.App) bool {
	return app.Spec.RevisionHistoryLimit != nil && *app.Spec.RevisionHistoryLimit != math.MaxInt32
}

// Excess returns the old releases beyond the app's history limit: those with the lowest revisions.
// It leaves out those that have instances, or may have because their controller has not observed
// the last change.
func Excess(app *v1alpha1.App, old []*v1alpha1.Release) []*v1alpha1.Release {
	if !HasRevisionHistoryLimit(app) {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(old), func(r *v1alpha1.Release) bool { return r.DeletionTimestamp != nil })
	excess := len(kept) - int(*app.Spec.RevisionHistoryLimit)
	if excess <= 0 {
		return nil
	}
	slices.SortFunc(kept, byRevision)
	return slices.DeleteFunc(kept[:excess], func(r *v1alpha1.Release) bool {
		return size(r) != 0 || r.Status.Replicas != 0 || r.Status.ObservedGeneration < r.Generation
	})
}

// byRevision sorts by revision, ascending. A release without a valid revision comes first, so that
// the order is total.
func byRevision(a, b *v1alpha1.Release) int {
	first, err := helper.Revision(a)
	if err != nil {
		first = -1
	}
	second, err := helper.Revision(b)
	if err != nil {
		second = -1
	}
	return cmp.Or(cmp.Compare(first, second), byCreation(a, b))
}
