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

package validation

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The types of error, short: a want reads "invalid spec.taints[0].key".
const (
	invalid      = field.ErrorTypeInvalid
	required     = field.ErrorTypeRequired
	forbidden    = field.ErrorTypeForbidden
	notSupported = field.ErrorTypeNotSupported
	duplicate    = field.ErrorTypeDuplicate
)

// want is an error that a rule must report.
type want struct {
	kind field.ErrorType
	path string
}

// check compares the errors with the expected ones, in any order.
func check(t *testing.T, errs field.ErrorList, wants []want) {
	t.Helper()
	left := slices.Clone(wants)
	for _, err := range errs {
		i := slices.Index(left, want{err.Type, err.Field})
		if i < 0 {
			t.Errorf("unexpected error: %v", err)
			continue
		}
		left = slices.Delete(left, i, i+1)
		if err.Detail == "" && (err.Type == invalid || err.Type == forbidden) {
			t.Errorf("the error has no reason: %v", err)
		}
	}
	for _, missing := range left {
		t.Errorf("no error %q of %s", missing.kind, missing.path)
	}
}

// condition is a valid condition.
func condition(kind string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "Tested", LastTransitionTime: metav1.Now()}
}
