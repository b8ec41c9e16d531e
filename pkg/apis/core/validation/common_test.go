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

// expect compares errors by type and field, which are what a client may rely on.
func expect(t *testing.T, got field.ErrorList, want ...string) {
	t.Helper()
	var found []string
	for _, err := range got {
		found = append(found, string(err.Type)+" "+err.Field)
	}
	// The library may return several errors for one value.
	slices.Sort(found)
	found = slices.Compact(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("got %q, want %q\n%v", found, want, got)
	}
}

const (
	invalid   = string(field.ErrorTypeInvalid) + " "
	required  = string(field.ErrorTypeRequired) + " "
	forbidden = string(field.ErrorTypeForbidden) + " "
	tooMuch   = string(field.ErrorTypeTooLong) + " "
)

var named = metav1.ObjectMeta{Namespace: "default", Name: "a"}
