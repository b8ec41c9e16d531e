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

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
)

type bundleChange = func(*certificatesv1.ClusterTrustBundle)

func bundle(change ...bundleChange) *certificatesv1.ClusterTrustBundle {
	b := &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: "example.com:signer:a"},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: "example.com/signer", TrustBundle: "x"},
	}
	for _, f := range change {
		f(b)
	}
	return b
}

func TestATrustBundleOfASignerNeedsTheRightToAttest(t *testing.T) {
	unsigned := func(b *certificatesv1.ClusterTrustBundle) { b.Spec.SignerName = "" }
	anchors := func(b *certificatesv1.ClusterTrustBundle) { b.Spec.TrustBundle = "y" }
	label := func(b *certificatesv1.ClusterTrustBundle) { b.Labels = map[string]string{"a": "b"} }
	again := func(b *certificatesv1.ClusterTrustBundle) {
		b.TypeMeta = metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "ClusterTrustBundle"}
	}
	collected := func(b *certificatesv1.ClusterTrustBundle) {
		b.Finalizers = []string{"example.com/a"}
		b.OwnerReferences = []metav1.OwnerReference{{Name: "a"}}
		b.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "a"}}
	}
	for _, tc := range []struct {
		name        string
		object, old *certificatesv1.ClusterTrustBundle
		rights      rights
		message     string
	}{
		{"a create with the right", bundle(), nil, rights{"attest example.com/signer": true}, ""},
		{"a create with the right for the domain", bundle(), nil, rights{"attest example.com/*": true}, ""},
		{"a create without any right", bundle(), nil, rights{}, `not permitted to attest for signerName "example.com/signer"`},
		{"a create with other verbs", bundle(), nil, rights{"sign example.com/signer": true, "approve example.com/*": true}, "not permitted to attest"},
		{"a create with the right for another signer", bundle(), nil, rights{"attest example.com/other": true}, "not permitted to attest"},
		{"a create with the right for another domain", bundle(), nil, rights{"attest com/*": true, "attest *": true}, "not permitted to attest"},
		{"a create while rights cannot be determined", bundle(), nil, rights{"broken": true}, "cannot be determined"},
		{"a create without a signer", bundle(unsigned), nil, rights{}, ""},
		{"other anchors with the right", bundle(anchors), bundle(), rights{"attest example.com/signer": true}, ""},
		{"other anchors without the right", bundle(anchors), bundle(), rights{}, "not permitted to attest"},
		{"a label without the right", bundle(label), bundle(), rights{}, "not permitted to attest"},
		{"other anchors beside a finalizer", bundle(anchors, collected), bundle(), rights{}, "not permitted to attest"},
		{"no change", bundle(), bundle(), rights{}, ""},
		{"a merge patch that changes nothing", bundle(again), bundle(), rights{}, ""},
		{"what the garbage collector writes", bundle(collected), bundle(), rights{}, ""},
		{"a signer for a bundle without one", bundle(), bundle(unsigned), rights{}, "not permitted to attest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			operation, old := admission.Create, runtime.Object(nil)
			if tc.old != nil {
				operation, old = admission.Update, tc.old
			}
			plugin := NewAttest()
			plugin.SetAuthorizer(tc.rights)
			check(t, plugin.Validate(t.Context(), admission.NewAttributesRecord(tc.object, old, schema.GroupVersionKind{}, "", tc.object.Name,
				certificatesv1.SchemeGroupVersion.WithResource("clustertrustbundles"), "", operation, nil, false, &user.DefaultInfo{Name: "jane"}), nil), tc.message)
		})
	}
}

func TestAttestLooksAtTrustBundlesOnly(t *testing.T) {
	plugin := NewAttest()
	if err := plugin.ValidateInitialization(); err == nil {
		t.Error("a plugin without an authorizer is not reported")
	}
	plugin.SetAuthorizer(rights{})
	check(t, plugin.Validate(t.Context(), attributesOf(request(), nil, ""), nil), "")
	if plugin.Handles(admission.Delete) || plugin.Handles(admission.Connect) {
		t.Error("the plugin handles more than creates and updates")
	}
}
