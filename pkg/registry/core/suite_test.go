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

package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// suiteOf returns the library's suite for a registry, on one of the group's resources in a real etcd.
func suiteOf(t *testing.T, resource string) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewBuiltinScheme()
	storages, err := newStorage(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, storage := range storages["v1"] {
			storage.Destroy()
		}
	})
	return registrytest.NewSuite(t, scheme, storages["v1"][resource].(registrytest.Storage))
}

// checked holds the inputs of the suite for a resource.
type checked struct {
	resource string
	valid    func() runtime.Object
	// invalid are objects that a create refuses, and wrong changes that an update refuses.
	invalid func() []registrytest.Refused
	change  func(runtime.Object)
	wrong   []registrytest.RefusedChange
	// selected is a field, besides those of metadata, that the valid object has.
	selected fields.Set
}

func inTest(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "test", Name: name, Labels: map[string]string{"zone": "a"}}
}

func refused(object runtime.Object, fields ...string) []registrytest.Refused {
	return []registrytest.Refused{{Object: object, Fields: fields}}
}

func refusedChange(change func(runtime.Object), fields ...string) []registrytest.RefusedChange {
	return []registrytest.RefusedChange{{Change: change, Fields: fields}}
}

func suites() []checked {
	return []checked{{
		resource: "configmaps",
		valid: func() runtime.Object {
			return &corev1.ConfigMap{ObjectMeta: inTest("a"), Data: map[string]string{"k": "v"}}
		},
		invalid: func() []registrytest.Refused {
			return refused(&corev1.ConfigMap{ObjectMeta: inTest("a"), Data: map[string]string{"k/": "v"}}, "data[k/]")
		},
		change: func(obj runtime.Object) { obj.(*corev1.ConfigMap).Data["k"] = "w" },
		wrong:  refusedChange(func(obj runtime.Object) { obj.(*corev1.ConfigMap).Data["k/"] = "w" }, "data[k/]"),
	}, {
		resource: "events",
		valid: func() runtime.Object {
			return &corev1.Event{ObjectMeta: inTest("a"), Type: "Normal", InvolvedObject: corev1.ObjectReference{Namespace: "test", Name: "web-1"}}
		},
		invalid: func() []registrytest.Refused {
			return refused(&corev1.Event{ObjectMeta: inTest("a"), InvolvedObject: corev1.ObjectReference{Namespace: "elsewhere"}}, "involvedObject.namespace")
		},
		// The suite rejects a PUT that creates: see the contract test.
		change:   nil,
		selected: fields.Set{"involvedObject.name": "web-1"},
	}, {
		resource: "limitranges",
		valid: func() runtime.Object {
			return &corev1.LimitRange{ObjectMeta: inTest("a"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePod}}}}
		},
		invalid: func() []registrytest.Refused {
			return refused(&corev1.LimitRange{ObjectMeta: inTest("a"), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: "Node"}}}}, "spec.limits[0].type")
		},
		// The suite rejects a PUT that creates: see the contract test.
		change: nil,
	}, {
		resource: "resourcequotas",
		valid: func() runtime.Object {
			return &corev1.ResourceQuota{ObjectMeta: inTest("a"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"secrets": resource.MustParse("1")}}}
		},
		invalid: func() []registrytest.Refused {
			return refused(&corev1.ResourceQuota{ObjectMeta: inTest("a"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"secrets": resource.MustParse("-1")}}}, "spec.hard[secrets]")
		},
		change: func(obj runtime.Object) {
			obj.(*corev1.ResourceQuota).Spec.Hard["secrets"] = resource.MustParse("2")
		},
		wrong: refusedChange(func(obj runtime.Object) {
			obj.(*corev1.ResourceQuota).Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating}
		}, "spec.scopes"),
	}, {
		resource: "secrets",
		valid: func() runtime.Object {
			return &corev1.Secret{ObjectMeta: inTest("a"), Type: "example.com/own", Data: map[string][]byte{"k": []byte("v")}}
		},
		invalid: func() []registrytest.Refused {
			return refused(&corev1.Secret{ObjectMeta: inTest("a"), Type: corev1.SecretTypeTLS}, "data[tls.crt]", "data[tls.key]")
		},
		change:   func(obj runtime.Object) { obj.(*corev1.Secret).Data["k"] = []byte("w") },
		wrong:    refusedChange(func(obj runtime.Object) { obj.(*corev1.Secret).Type = corev1.SecretTypeOpaque }, "type"),
		selected: fields.Set{"type": "example.com/own"},
	}, {
		resource: "serviceaccounts",
		valid:    func() runtime.Object { return &corev1.ServiceAccount{ObjectMeta: inTest("a")} },
		invalid: func() []registrytest.Refused {
			return refused(&corev1.ServiceAccount{ObjectMeta: inTest("A")}, "metadata.name")
		},
		change: func(obj runtime.Object) {
			obj.(*corev1.ServiceAccount).Secrets = []corev1.ObjectReference{{Name: "b"}}
		},
		wrong: refusedChange(func(obj runtime.Object) { obj.(*corev1.ServiceAccount).Finalizers = []string{"mine"} }, "metadata.finalizers[0]"),
	}}
}

func TestResourcesDoWhatTheLibraryExpectsOfARegistry(t *testing.T) {
	for _, c := range suites() {
		t.Run(c.resource, func(t *testing.T) {
			t.Run("create", func(t *testing.T) { suiteOf(t, c.resource).Create(c.valid(), c.invalid()...) })
			if c.change != nil {
				t.Run("update", func(t *testing.T) { suiteOf(t, c.resource).Update(c.valid(), c.change, c.wrong...) })
			}
			t.Run("delete", func(t *testing.T) { suiteOf(t, c.resource).Delete(c.valid()) })
			t.Run("watch", func(t *testing.T) {
				match, differ := []fields.Set{{"metadata.name": "a"}}, []fields.Set{{"metadata.name": "b"}}
				for name, value := range c.selected {
					match, differ = append(match, fields.Set{name: value}), append(differ, fields.Set{name: "other"})
				}
				suiteOf(t, c.resource).Watch(c.valid(), []labels.Set{{"zone": "a"}}, []labels.Set{{"zone": "b"}}, match, differ)
			})
			if c.resource == "events" {
				return // the library moves objects between namespaces, and expects the name in the first column
			}
			t.Run("get", func(t *testing.T) { suiteOf(t, c.resource).Get(c.valid()) })
			t.Run("list", func(t *testing.T) { suiteOf(t, c.resource).List(c.valid()) })
		})
	}
}
