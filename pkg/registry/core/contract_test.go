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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	coreregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/core"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/registrytest"
)

// Verbs of the endpoints below a resource.
var statusVerbs = []string{"get", "patch", "update"}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	registrytest.Contract(t, registrytest.Group{
		Name:       core.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: coreregistry.NewStorage,
		Builtin:    true,
		Resources:  []registrytest.Resource{configMaps(), namespaces()},
	})
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
		// What a namespace has in its spec is written at /finalize only.
		ChangeSpec: nil,
		Subresources: []registrytest.Subresource{
			{Name: "finalize", Kind: "Namespace", Verbs: []string{"update"}, LeavesAlone: []string{"status"}},
			{Name: "status", Kind: "Namespace", Verbs: statusVerbs},
		},
	}
}
