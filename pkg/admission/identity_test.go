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

package admission

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

// mutator is a plugin that changes the metadata of a config map.
type mutator struct {
	*admission.Handler
	mutate func(*metav1.ObjectMeta)
}

func (m mutator) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	m.mutate(&a.GetObject().(*corev1.ConfigMap).ObjectMeta)
	return nil
}

func TestAChangeOfTheIdentityIsRefusedWithoutItsValues(t *testing.T) {
	const secret = "hunter2"
	for _, tc := range []struct {
		name, want string
		mutate     func(*metav1.ObjectMeta)
	}{
		{"the content may change", "", func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"a": secret} }},
		{"the name", "a mutation changed metadata.name: ", func(m *metav1.ObjectMeta) { m.Name = secret }},
		{"the generated name", "a mutation changed metadata.generateName: ", func(m *metav1.ObjectMeta) { m.GenerateName = secret }},
		{"the namespace", "a mutation changed metadata.namespace: ", func(m *metav1.ObjectMeta) { m.Namespace = secret }},
		{"the uid", "a mutation changed metadata.uid: ", func(m *metav1.ObjectMeta) { m.UID = secret }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "shop"}}
			attributes := admission.NewAttributesRecord(object, nil, schema.GroupVersionKind{}, "shop", "settings", schema.GroupVersionResource{}, "", admission.Create, nil, false, nil)
			handler := sameObject{}.Decorate(mutator{admission.NewHandler(admission.Create), tc.mutate}, "P").(admission.MutationInterface)
			err := handler.Admit(t.Context(), attributes, admission.NewObjectInterfacesFromScheme(nil))
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q without a value", err, tc.want)
			}
		})
	}
}
