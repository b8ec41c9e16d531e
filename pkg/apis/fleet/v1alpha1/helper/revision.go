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

package helper

import (
	"cmp"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Revision returns the revision number of an app or a release; 0 without the annotation.
func Revision(object metav1.Object) (int64, error) {
	number, found := object.GetAnnotations()[v1alpha1.RevisionAnnotation]
	if !found {
		return 0, nil
	}
	return strconv.ParseInt(number, 10, 64)
}

// ValidRevision returns the revision number of an app or a release; 0 if the annotation is absent
// or not a positive number.
func ValidRevision(object metav1.Object) int64 {
	number, err := Revision(object)
	if err != nil {
		return 0
	}
	return max(number, 0)
}

// RevisionsOf returns the releases that an app controls and that have a revision number, the
// newest last. A release without a number is being created by the app controller. It works on hub
// types and on versioned ones.
func RevisionsOf[T metav1.Object](app metav1.Object, releases []T) []T {
	var revisions []T
	for _, release := range releases {
		if metav1.IsControlledBy(release, app) && ValidRevision(release) > 0 {
			revisions = append(revisions, release)
		}
	}
	slices.SortFunc(revisions, func(a, b T) int { return cmp.Compare(ValidRevision(a), ValidRevision(b)) })
	return revisions
}

// RemoveTemplateHash removes the label that the app controller adds to the template of a release,
// which makes it the template of the app again.
func RemoveTemplateHash(template metav1.Object) {
	delete(template.GetLabels(), v1alpha1.TemplateHashLabel)
}
