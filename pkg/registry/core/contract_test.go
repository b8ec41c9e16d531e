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
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	coreregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/core"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// Verbs of the endpoints below a resource.
var statusVerbs = []string{"get", "patch", "update"}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	registrytest.Contract(t, registrytest.Group{
		Name:       core.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: newStorage,
		Builtin:    true,
		Resources:  []registrytest.Resource{configMaps(), events(), limitRanges(), namespaces(), resourceQuotas(), secrets(), serviceAccounts()},
	})
}

// eventTTL is longer than any test.
const eventTTL = time.Hour

func newStorage(scheme *runtime.Scheme, opts base.StorageOptions) (map[string]map[string]rest.Storage, error) {
	return registrytest.NewStorage(coreregistry.StorageProvider{EventTTL: eventTTL}, core.GroupName)(scheme, opts)
}

func configMaps() registrytest.Resource {
	return registrytest.Resource{
		Name:          "configmaps",
		Singular:      "configmap",
		Kind:          "ConfigMap",
		ShortNames:    []string{"cm"},
		Namespaced:    true,
		Verbs:         registrytest.StandardVerbs,
		Columns:       []string{"NAME", "DATA", "AGE"},
		Key:           "/registry/configmaps/default/settings",
		NoGeneration:  true,
		Unconditional: true,
		Sample: func() runtime.Object {
			return &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "settings"},
				Data:       map[string]string{"level": "info"},
				BinaryData: map[string][]byte{"blob": {0xff}},
			}
		},
		ChangeSpec: func(obj runtime.Object) { obj.(*corev1.ConfigMap).Data["level"] = "debug" },
	}
}

func limitRanges() registrytest.Resource {
	return registrytest.Resource{
		Name:          "limitranges",
		Singular:      "limitrange",
		Kind:          "LimitRange",
		ShortNames:    []string{"limits"},
		Namespaced:    true,
		Verbs:         registrytest.StandardVerbs,
		Columns:       []string{"NAME", "CREATED AT"},
		Key:           "/registry/limitranges/default/team",
		NoGeneration:  true,
		CreateByPut:   true,
		Unconditional: true,
		Sample: func() runtime.Object {
			return &corev1.LimitRange{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "team"},
				Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePod, Max: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}}}},
			}
		},
		ChangeSpec: func(obj runtime.Object) {
			obj.(*corev1.LimitRange).Spec.Limits[0].Max[corev1.ResourceCPU] = resource.MustParse("3")
		},
	}
}

func namespaces() registrytest.Resource {
	return registrytest.Resource{
		Name:             "namespaces",
		Singular:         "namespace",
		Kind:             "Namespace",
		ShortNames:       []string{"ns"},
		Verbs:            []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		Columns:          []string{"NAME", "STATUS", "AGE"},
		SelectableFields: []string{"status.phase"},
		Key:              "/registry/namespaces/team-a",
		NoGeneration:     true,
		Unconditional:    true,
		Sample: func() runtime.Object {
			return &corev1.Namespace{
				ObjectMeta: metav1.ObjectMeta{Name: "team-a"},
				Status: corev1.NamespaceStatus{
					Phase:      corev1.NamespaceActive,
					Conditions: []corev1.NamespaceCondition{{Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue, Reason: "Tested"}},
				},
			}
		},
		InitialStatus: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		// The spec of a namespace is written at /finalize only.
		ChangeSpec: nil,
		Subresources: []registrytest.Subresource{
			{Name: "finalize", Kind: "Namespace", Verbs: []string{"update"}, LeavesAlone: []string{"status"}},
			{Name: "status", Kind: "Namespace", Verbs: statusVerbs},
		},
		StatusWritesMetadata: true,
	}
}

func events() registrytest.Resource {
	return registrytest.Resource{
		Name:             "events",
		Singular:         "event",
		Kind:             "Event",
		ShortNames:       []string{"ev"},
		Namespaced:       true,
		Verbs:            registrytest.StandardVerbs,
		Columns:          []string{"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"},
		WideColumns:      []string{"SUBOBJECT", "SOURCE", "FIRST SEEN", "COUNT", "NAME"},
		SelectableFields: core.EventFields(),
		Key:              "/registry/events/default/web-1.1",
		NoGeneration:     true,
		CreateByPut:      true,
		Unconditional:    true,
		Sample: func() runtime.Object {
			return &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: "web-1.1"},
				InvolvedObject: corev1.ObjectReference{Kind: "Instance", Namespace: "default", Name: "web-1"},
				Type:           corev1.EventTypeNormal,
				Reason:         "Started",
				Message:        "The containers run.",
			}
		},
		ChangeSpec: func(obj runtime.Object) { obj.(*corev1.Event).Count = 2 },
	}
}

func resourceQuotas() registrytest.Resource {
	return registrytest.Resource{
		Name:          "resourcequotas",
		Singular:      "resourcequota",
		Kind:          "ResourceQuota",
		ShortNames:    []string{"quota"},
		Namespaced:    true,
		Verbs:         registrytest.StandardVerbs,
		Columns:       []string{"NAME", "REQUEST", "LIMIT", "AGE"},
		Key:           "/registry/resourcequotas/default/team",
		NoGeneration:  true,
		Unconditional: true,
		Sample: func() runtime.Object {
			hard := corev1.ResourceList{"count/apps.fleet.gatehouse.dev": resource.MustParse("3"), corev1.ResourceSecrets: resource.MustParse("10")}
			return &corev1.ResourceQuota{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "team"},
				Spec:       corev1.ResourceQuotaSpec{Hard: hard},
				Status:     corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{corev1.ResourceSecrets: resource.MustParse("1")}},
			}
		},
		ChangeSpec: func(obj runtime.Object) {
			obj.(*corev1.ResourceQuota).Spec.Hard[corev1.ResourceSecrets] = resource.MustParse("20")
		},
		Subresources:         []registrytest.Subresource{{Name: "status", Kind: "ResourceQuota", Verbs: statusVerbs}},
		StatusWritesMetadata: true,
	}
}

func secrets() registrytest.Resource {
	return registrytest.Resource{
		Name:             "secrets",
		Singular:         "secret",
		Kind:             "Secret",
		Namespaced:       true,
		Verbs:            registrytest.StandardVerbs,
		Columns:          []string{"NAME", "TYPE", "DATA", "AGE"},
		SelectableFields: []string{"type"},
		Key:              "/registry/secrets/default/login",
		NoGeneration:     true,
		Unconditional:    true,
		Sample: func() runtime.Object {
			return &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "login"},
				Type:       corev1.SecretTypeBasicAuth,
				Data:       map[string][]byte{corev1.BasicAuthUsernameKey: []byte("me")},
			}
		},
		ChangeSpec: func(obj runtime.Object) {
			obj.(*corev1.Secret).Data[corev1.BasicAuthPasswordKey] = []byte("guess")
		},
	}
}

func serviceAccounts() registrytest.Resource {
	return registrytest.Resource{
		Name:          "serviceaccounts",
		Singular:      "serviceaccount",
		Kind:          "ServiceAccount",
		ShortNames:    []string{"sa"},
		Namespaced:    true,
		Verbs:         registrytest.StandardVerbs,
		Columns:       []string{"NAME", "AGE"},
		Key:           "/registry/serviceaccounts/default/web",
		NoGeneration:  true,
		Unconditional: true,
		Sample: func() runtime.Object {
			return &corev1.ServiceAccount{
				ObjectMeta:       metav1.ObjectMeta{Namespace: "default", Name: "web"},
				ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
			}
		},
		ChangeSpec: func(obj runtime.Object) {
			obj.(*corev1.ServiceAccount).Secrets = []corev1.ObjectReference{{Name: "login"}}
		},
	}
}
