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

// HasRevisionHistoryLimit says whether old releases of an app are deleted at all.
func HasRevisionHistoryLimit(app *v1alpha1.App) bool {
	return app.Spec.RevisionHistoryLimit != nil && *app.Spec.RevisionHistoryLimit != math.MaxInt32
}

// Excess is which old releases are more than the app keeps: those with the lowest numbers. Of
// these the ones that have instances, or may have because their controller has not seen the
// last change, are left for another time.
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

// byRevision sorts the lowest number first. What has no number that can be read comes before
// all others, so that the order is one.
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
