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
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group.
const GroupName = certificatesv1.GroupName

// SignerNameField is the field selector of requests and of trust bundles by their signer.
const SignerNameField = "spec.signerName"

// SchemeGroupVersion is the internal version of the group.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

var (
	// SchemeBuilder collects the functions that register the group.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes, addFieldLabelConversions)
	// AddToScheme registers the group in a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

// Resource returns the GroupResource of an unqualified resource name.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

// addKnownTypes registers every type twice, the external version first: the library takes the
// first registered kind as the kind of an object.
func addKnownTypes(scheme *runtime.Scheme) error {
	types := []runtime.Object{
		&certificatesv1.CertificateSigningRequest{}, &certificatesv1.CertificateSigningRequestList{},
		&certificatesv1.ClusterTrustBundle{}, &certificatesv1.ClusterTrustBundleList{},
	}
	scheme.AddKnownTypes(certificatesv1.SchemeGroupVersion, types...)
	scheme.AddKnownTypes(SchemeGroupVersion, types...)
	metav1.AddToGroupVersion(scheme, certificatesv1.SchemeGroupVersion)
	return nil
}

// addFieldLabelConversions registers the supported field selectors.
func addFieldLabelConversions(scheme *runtime.Scheme) error {
	for _, kind := range []string{"CertificateSigningRequest", "ClusterTrustBundle"} {
		if err := scheme.AddFieldLabelConversionFunc(certificatesv1.SchemeGroupVersion.WithKind(kind), convertFieldLabel); err != nil {
			return err
		}
	}
	return nil
}

func convertFieldLabel(label, value string) (string, string, error) {
	switch label {
	case metav1.ObjectNameField, SignerNameField:
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported: %s", label)
}
