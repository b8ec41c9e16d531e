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

package base

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// resetStatus is the strategy of a kind with a status.
type resetStatus struct{}

func (resetStatus) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
}

func TestResetFieldsAreNamedInEveryServedVersion(t *testing.T) {
	versions := []schema.GroupVersion{{Group: "example.com", Version: "v1"}, {Group: "example.com", Version: "v1beta1"}}
	for _, test := range []struct {
		name     string
		strategy fieldResetter
		want     []string
	}{
		{"a kind with a status", resetStatus{}, []string{"example.com/v1", "example.com/v1beta1"}},
		{"a kind without one", Strategy{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for version, set := range (resetFields{versions, test.strategy}).GetResetFields() {
				if !set.Equals(test.strategy.ResetFields()) {
					t.Errorf("%s: fields %v", version, set)
				}
				got = append(got, string(version))
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("versions %v, want %v", got, test.want)
			}
		})
	}
}

func TestAStoreWithoutVersionsIsRefused(t *testing.T) {
	_, err := NewStore(Resource{Resource: corev1.Resource("configmaps")}, StorageOptions{})
	if err == nil || !strings.Contains(err.Error(), "Versions is empty") {
		t.Errorf("got %v", err)
	}
}
