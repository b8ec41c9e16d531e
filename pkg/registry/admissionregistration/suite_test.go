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

package admissionregistration_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

func TestResourcesDoWhatTheLibraryExpectsOfARegistry(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			suite := func(t *testing.T) *registrytest.Suite {
				scheme, built := storages(t, &rights{all: true})
				return registrytest.NewSuite(t, scheme, built[name].(registrytest.Storage))
			}
			// The suite's requests have no user with a right to read parameters.
			valid := func() runtime.Object { return withoutParams(sample(name)) }
			t.Run("create", func(t *testing.T) {
				wrong := valid()
				field := spoil(wrong)
				suite(t).Create(valid(), registrytest.Refused{Object: wrong, Fields: []string{field}})
			})
			t.Run("delete", func(t *testing.T) { suite(t).Delete(valid()) })
			t.Run("get", func(t *testing.T) { suite(t).Get(valid()) })
			t.Run("list", func(t *testing.T) { suite(t).List(valid()) })
			t.Run("watch", func(t *testing.T) {
				suite(t).Watch(valid(), []labels.Set{{"zone": "a"}}, []labels.Set{{"zone": "b"}},
					[]fields.Set{{"metadata.name": "a"}}, []fields.Set{{"metadata.name": "b"}})
			})
		})
	}
}
