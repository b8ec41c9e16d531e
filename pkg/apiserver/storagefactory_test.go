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
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func TestResourcesAreStoredByGroup(t *testing.T) {
	fleetScheme, fleetCodecs := NewFleetScheme()
	builtinScheme, builtinCodecs := NewBuiltinScheme()
	config := storagebackend.Config{}
	factory := WithBuiltins(
		NewStorageFactory(config, runtime.ContentTypeProtobuf, fleetScheme, fleetCodecs),
		NewStorageFactory(config, runtime.ContentTypeProtobuf, builtinScheme, builtinCodecs),
	)
	for resource, want := range map[schema.GroupResource]string{
		fleet.Resource("hosts"):            "fleet.gatehouse.dev/hosts",
		corev1.Resource("secrets"):         "secrets",
		rbacv1.Resource("clusterroles"):    "clusterroles",
		corev1.Resource("serviceaccounts"): "serviceaccounts",
	} {
		if got := factory.ResourcePrefix(resource); got != want {
			t.Errorf("%s lies at %s, want %s", resource, got, want)
		}
	}

	t.Run("what is decoded carries no kind, and what is encoded does", func(t *testing.T) {
		config, err := factory.NewConfig(corev1.Resource("secrets"), &corev1.Secret{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := runtime.Encode(config.Codec, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		secret := &corev1.Secret{}
		_, kind, err := config.Codec.Decode(data, nil, secret)
		if err != nil || *kind != corev1.SchemeGroupVersion.WithKind("Secret") {
			t.Errorf("stored as %v (%v)", kind, err)
		}
		if secret.Name != "a" || secret.TypeMeta != (metav1.TypeMeta{}) {
			t.Errorf("decoded as %+v", secret)
		}
	})
	t.Run("each scheme encodes its own", func(t *testing.T) {
		if _, err := factory.NewConfig(fleet.Resource("hosts"), &fleet.Host{}); err != nil {
			t.Error(err)
		}
	})
}

func TestTheHubIsNotPublished(t *testing.T) {
	scheme, _ := NewBuiltinScheme()
	for kind := range external(scheme).AllKnownTypes() {
		if kind.Version == runtime.APIVersionInternal {
			t.Errorf("%s would be named in OpenAPI", kind)
		}
	}
}
