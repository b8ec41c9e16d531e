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

package apiserver

import (
	"reflect"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	admissionregistrationinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/install"
	authenticationinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/authentication/install"
	authorizationinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/authorization/install"
	coordinationinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/coordination/install"
	coreinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/core/install"
	eventsinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/events/install"
	fleetinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/install"
	rbacinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/rbac/install"
)

// NewFleetScheme returns the scheme of our own groups, which both modes serve, and its codecs.
// instances/token takes a kind of Kubernetes', as serviceaccounts/token does, and so do scale
// endpoints.
func NewFleetScheme() (*runtime.Scheme, serializer.CodecFactory) {
	return newScheme(fleetinstall.Install, authenticationinstall.TokenRequest, scale)
}

// scale registers what scale endpoints speak. The external type is the hub, too; it comes
// first, or objects would be encoded as internal ones.
func scale(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{})
	scheme.AddKnownTypes(schema.GroupVersion{Group: autoscalingv1.GroupName, Version: runtime.APIVersionInternal}, &autoscalingv1.Scale{})
}

// NewBuiltinScheme returns the scheme of Kubernetes' own groups, which only the standalone
// mode serves, and its codecs. It is apart from ours because its hub types are the types of
// the wire: what this takes stays in one place.
func NewBuiltinScheme() (*runtime.Scheme, serializer.CodecFactory) {
	// The core group comes first: an Event belongs to two groups, and where the library asks
	// what kind an object is of, it takes the first answer.
	return newScheme(coreinstall.Install, admissionregistrationinstall.Install, authenticationinstall.Install, authorizationinstall.Install, coordinationinstall.Install, eventsinstall.Install, rbacinstall.Install)
}

func newScheme(install ...func(*runtime.Scheme)) (*runtime.Scheme, serializer.CodecFactory) {
	scheme := runtime.NewScheme()
	for _, f := range install {
		f(scheme)
	}
	// Options and answers that every API server speaks, whatever its groups: they live in
	// the version v1 of no group.
	unversioned := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(scheme, unversioned)
	scheme.AddUnversionedTypes(unversioned,
		&metav1.Status{},
		&metav1.APIVersions{},
		&metav1.APIGroupList{},
		&metav1.APIGroup{},
		&metav1.APIResourceList{},
	)
	return scheme, serializer.NewCodecFactory(scheme)
}

// external is the scheme without its hub. OpenAPI names every kind that a Go type is
// registered as, and would publish __internal where the hub's type is that of the wire.
func external(scheme *runtime.Scheme) *runtime.Scheme {
	out := runtime.NewScheme()
	for kind, goType := range scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal {
			out.AddKnownTypeWithName(kind, reflect.New(goType).Interface().(runtime.Object))
		}
	}
	return out
}
