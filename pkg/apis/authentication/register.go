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

package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the name of the group.
const GroupName = authenticationv1.GroupName

// SchemeGroupVersion is the hub.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

// TokenRequestKind is the kind that endpoints of tokens take and return, in whatever group
// they are.
var TokenRequestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")

var (
	// SchemeBuilder collects the functions that register the group.
	SchemeBuilder = runtime.NewSchemeBuilder(addTokenRequest, addReviews)
	// AddToScheme registers the group in a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
	// AddTokenRequestToScheme registers TokenRequest alone.
	AddTokenRequestToScheme = addTokenRequest
)

// Resource qualifies a name with the group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addTokenRequest(scheme *runtime.Scheme) error {
	scheme.AddTypeDefaultingFunc(&authenticationv1.TokenRequest{}, func(obj any) {
		SetDefaults_TokenRequest(obj.(*authenticationv1.TokenRequest))
	})
	return addKnownTypes(scheme, &authenticationv1.TokenRequest{})
}

func addReviews(scheme *runtime.Scheme) error {
	return addKnownTypes(scheme, &authenticationv1.TokenReview{}, &authenticationv1.SelfSubjectReview{})
}

func addKnownTypes(scheme *runtime.Scheme, types ...runtime.Object) error {
	// The external version comes first: the library takes the first registered kind as the kind
	// of an object.
	scheme.AddKnownTypes(authenticationv1.SchemeGroupVersion, types...)
	scheme.AddKnownTypes(SchemeGroupVersion, types...)
	metav1.AddToGroupVersion(scheme, authenticationv1.SchemeGroupVersion)
	return nil
}
