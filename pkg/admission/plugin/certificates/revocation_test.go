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

package certificates

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestAWriteOfRevocationsNeedsTheRightToRevoke(t *testing.T) {
	const system, name, refused = "kube-system", "gatehouse-revoked-hosts", "it needs the verb revoke on signers.certificates.k8s.io of that name or named kubernetes.io/*"
	object := func(namespace, name string) runtime.Object {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	revocations := object(system, name)
	changed := func(change func(*corev1.ConfigMap)) runtime.Object {
		m := object(system, name).(*corev1.ConfigMap)
		change(m)
		return m
	}
	lifted := changed(func(m *corev1.ConfigMap) { m.Data = map[string]string{"user_jane": ""} })
	owned := changed(func(m *corev1.ConfigMap) { m.OwnerReferences = []metav1.OwnerReference{{Name: "a"}} })
	again := changed(func(m *corev1.ConfigMap) {
		m.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "a"}}
	})
	for _, tc := range []struct {
		name        string
		operation   admission.Operation
		named       string
		namespace   string
		object, old runtime.Object
		rights      rights
		message     string
	}{
		{"a create", admission.Create, name, system, revocations, nil, rights{}, refused},
		{"a create without a name in the request", admission.Create, "", system, revocations, nil, rights{}, refused},
		{"an update", admission.Update, name, system, lifted, revocations, rights{}, refused},
		{"an update to nothing", admission.Update, name, system, revocations, lifted, rights{}, refused},
		{"an owner", admission.Update, name, system, owned, revocations, rights{}, refused},
		{"an update that changes nothing, as after a change of the encryption key", admission.Update, name, system, again, revocations, rights{}, ""},
		{"a deletion", admission.Delete, name, system, nil, revocations, rights{}, refused},
		{"the deletion of a collection, for the object", admission.Delete, "", system, nil, revocations, rights{}, refused},
		{"the deletion of a collection, at its begin", admission.Delete, "", system, nil, nil, rights{}, ""},
		{"the deletion of a collection, for another object", admission.Delete, "", system, nil, object(system, "other"), rights{}, ""},
		{"a write with the right to other verbs", admission.Update, name, system, lifted, revocations, rights{"attest kubernetes.io/*": true, "approve kubernetes.io/kube-apiserver-client": true}, refused},
		{"a write with the right for another signer", admission.Update, name, system, lifted, revocations, rights{"revoke kubernetes.io/kube-apiserver-client-kubelet": true}, refused},
		{"a write with the right", admission.Update, name, system, lifted, revocations, rights{"revoke kubernetes.io/kube-apiserver-client": true}, ""},
		{"a deletion with the right for the domain", admission.Delete, name, system, nil, revocations, rights{"revoke kubernetes.io/*": true}, ""},
		{"a write while rights cannot be determined", admission.Update, name, system, lifted, revocations, rights{"broken": true}, "cannot be determined"},
		{"a config map of that name elsewhere", admission.Create, name, "shop", object("shop", name), nil, rights{}, ""},
		{"another config map there", admission.Update, "other", system, object(system, "other"), object(system, "other"), rights{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plugin := NewRevocation()
			plugin.SetAuthorizer(tc.rights)
			if !plugin.Handles(tc.operation) {
				t.Fatalf("the plugin does not handle %s", tc.operation)
			}
			check(t, plugin.Validate(t.Context(), admission.NewAttributesRecord(tc.object, tc.old, schema.GroupVersionKind{}, tc.namespace, tc.named,
				corev1.SchemeGroupVersion.WithResource("configmaps"), "", tc.operation, nil, false, &user.DefaultInfo{Name: "jane"}), nil), tc.message)
		})
	}
}

func TestRevocationLooksAtConfigMapsOnly(t *testing.T) {
	plugin := NewRevocation()
	if err := plugin.ValidateInitialization(); err == nil {
		t.Error("a plugin without an authorizer is not reported")
	}
	plugin.SetAuthorizer(rights{})
	check(t, plugin.Validate(t.Context(), admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "kube-system", "gatehouse-revoked-hosts",
		corev1.SchemeGroupVersion.WithResource("secrets"), "", admission.Delete, nil, false, &user.DefaultInfo{Name: "jane"}), nil), "")
}
