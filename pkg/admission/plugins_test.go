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

package admission

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
)

func TestEveryPluginIsInTheChainOnceWithAReason(t *testing.T) {
	seen := map[string]bool{}
	for _, plugin := range Plugins() {
		if plugin.Why == "" || plugin.Register == nil {
			t.Errorf("%s: no reason or no factory", plugin.Name)
		}
		if seen[plugin.Name] {
			t.Errorf("%s stands in the chain twice", plugin.Name)
		}
		seen[plugin.Name] = true
		for _, read := range plugin.Reads {
			if read.Need == "" || read.Without == "" || len(read.For) == 0 || len(read.Resources) == 0 {
				t.Errorf("%s: a read without need, effect, operations or resources: %+v", plugin.Name, read)
			}
		}
	}
}

// nothingBound is a lookup without bound instances.
type nothingBound struct{}

func (nothingBound) Bound(context.Context, string, string, string) (bool, error) { return false, nil }

func attributes(operation admission.Operation, namespace string) admission.Attributes {
	kind := schema.GroupVersionKind{Group: "g", Version: "v1", Kind: "K"}
	return admission.NewAttributesRecord(&metav1.PartialObjectMetadata{}, nil, kind, namespace, "name",
		kind.GroupVersion().WithResource("ks"), "", operation, &metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "somebody"})
}

func TestAWriteIsRefusedAtOnceWhileItsPluginCannotDecide(t *testing.T) {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := New(Config{
		Enabled:        []string{lifecycle.PluginName, hostrestriction.PluginName},
		Initializers:   admission.PluginInitializers{initializer.New(client, nil, informers.NewSharedInformerFactory(client, 0), nil, nil, nil, nil, nil)},
		Services:       NoServices{},
		BoundInstances: nothingBound{},
		Informers:      informers.NewSharedInformerFactory(client, 0),
		Missing: func(need string) error {
			if need != NeedNamespaces {
				t.Errorf("asked for %q", need)
			}
			return errors.New("cannot list namespaces: not permitted")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mutation, ok := chain.(admission.MutationInterface)
	if !ok {
		t.Fatal("the chain does not mutate")
	}
	objects := admission.NewObjectInterfacesFromScheme(runtime.NewScheme())
	for _, tc := range []struct {
		name      string
		operation admission.Operation
		namespace string
		refused   bool
	}{
		{"a create in a namespace", admission.Create, "default", true},
		{"a create outside of namespaces", admission.Create, "", false},
		{"an update", admission.Update, "default", false},
		{"a delete", admission.Delete, "default", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := mutation.Admit(t.Context(), attributes(tc.operation, tc.namespace), objects)
			if !tc.refused {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "admission plugin NamespaceLifecycle cannot decide: cannot list namespaces: not permitted") {
				t.Errorf("got %v", err)
			}
		})
	}
}
