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
	certificatesinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/certificates/install"
	coordinationinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/coordination/install"
	coreinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/core/install"
	diagnosticsinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/install"
	eventsinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/events/install"
	fleetinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/install"
	flowcontrolinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol/install"
	rbacinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/rbac/install"
	storagemigrationinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration/install"
)

// NewFleetScheme returns the scheme of Gatehouse's own groups, which both modes serve, and its codecs. It
// includes the Kubernetes kinds of instances/token and of the scale endpoints.
func NewFleetScheme() (*runtime.Scheme, serializer.CodecFactory) {
	return newScheme(fleetinstall.Install, diagnosticsinstall.Install, authenticationinstall.TokenRequest, scale)
}

// scale registers the kind of scale endpoints. The external type is also the hub; it is registered
// first, or objects would be encoded as internal ones.
func scale(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(autoscalingv1.SchemeGroupVersion, &autoscalingv1.Scale{})
	scheme.AddKnownTypes(schema.GroupVersion{Group: autoscalingv1.GroupName, Version: runtime.APIVersionInternal}, &autoscalingv1.Scale{})
}

// NewBuiltinScheme returns the scheme of Kubernetes' own groups, which only the standalone mode serves,
// and its codecs. It is separate from the fleet's because its hub types are the wire types.
func NewBuiltinScheme() (*runtime.Scheme, serializer.CodecFactory) {
	// The core group comes first: an Event belongs to two groups, and the library uses the first kind
	// of an object.
	return newScheme(coreinstall.Install, admissionregistrationinstall.Install, authenticationinstall.Install, authorizationinstall.Install, certificatesinstall.Install, coordinationinstall.Install, eventsinstall.Install, flowcontrolinstall.Install, rbacinstall.Install, storagemigrationinstall.Install)
}

func newScheme(install ...func(*runtime.Scheme)) (*runtime.Scheme, serializer.CodecFactory) {
	scheme := runtime.NewScheme()
	for _, f := range install {
		f(scheme)
	}
	// Options and responses of every API server: they are registered in the version v1 of the empty
	// group.
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

// external returns the scheme without its hub versions. OpenAPI lists every kind of a Go type, and would
// publish __internal for a hub type that is the wire type.
func external(scheme *runtime.Scheme) *runtime.Scheme {
	out := runtime.NewScheme()
	for kind, goType := range scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal {
			out.AddKnownTypeWithName(kind, reflect.New(goType).Interface().(runtime.Object))
		}
	}
	return out
}
