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

package serviceaccount

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	admissiontesting "k8s.io/apiserver/pkg/admission/testing"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func account(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
}

// newPlugin returns a plugin with accounts in its informer; the client has others.
func newPlugin(t *testing.T, known []runtime.Object, live ...runtime.Object) (*Plugin, *fake.Clientset) {
	t.Helper()
	client := fake.NewClientset(live...)
	factory := informers.NewSharedInformerFactory(client, 0)
	p := New()
	p.SetExternalKubeClientSet(client)
	p.SetExternalKubeInformerFactory(factory)
	if err := p.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	p.SetReadyFunc(func() bool { return true })
	for _, object := range known {
		if err := factory.Core().V1().ServiceAccounts().Informer().GetStore().Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return p, client
}

func create(object runtime.Object, resource, subresource string) admission.Attributes {
	return admission.NewAttributesRecord(object, nil, fleet.Kind("Instance").WithVersion("v1alpha1"), "shop", "web",
		fleet.Resource(resource).WithVersion("v1alpha1"), subresource, admission.Create, &metav1.CreateOptions{}, false, nil)
}

func TestAnInstanceHasAnAccountThatExists(t *testing.T) {
	known := []runtime.Object{account("default"), account("builder")}
	for _, tc := range []struct {
		name, account, want string
		live                []runtime.Object
		message             string
	}{
		{name: "none is named", want: "default"},
		{name: "one is named", account: "builder", want: "builder"},
		{name: "one that the informer does not show yet", account: "new", want: "new", live: []runtime.Object{account("new")}},
		{name: "one that does not exist", account: "ghost", want: "ghost", message: "spec.serviceAccountName: there is no service account shop/ghost: create it, or name another"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _ := newPlugin(t, known, tc.live...)
			object := &fleet.Instance{Spec: fleet.InstanceSpec{ServiceAccountName: tc.account}}
			a := create(object, "instances", "")
			if err := admissiontesting.WithReinvocationTesting(t, p).Admit(t.Context(), a, nil); err != nil {
				t.Fatal(err)
			}
			if object.Spec.ServiceAccountName != tc.want {
				t.Errorf("got %q, want %q", object.Spec.ServiceAccountName, tc.want)
			}
			err := p.Validate(t.Context(), a, nil)
			if tc.message == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tc.message != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tc.message)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheDefaultAccountOfANewNamespaceIsWaitedFor(t *testing.T) {
	p, client := newPlugin(t, nil)
	var asked sync.Once
	client.PrependReactor("get", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
		found := true
		asked.Do(func() { found = false }) // the first lookup comes too early
		if !found {
			return true, nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "default")
		}
		return true, account("default"), nil
	})
	a := create(&fleet.Instance{Spec: fleet.InstanceSpec{ServiceAccountName: "default"}}, "instances", "")
	if err := p.Validate(t.Context(), a, nil); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestAnAccountIsRefusedIfTheLookupFails(t *testing.T) {
	p, client := newPlugin(t, nil)
	client.PrependReactor("get", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no answer")
	})
	for _, name := range []string{"default", "builder"} {
		a := create(&fleet.Instance{Spec: fleet.InstanceSpec{ServiceAccountName: name}}, "instances", "")
		if err := p.Validate(t.Context(), a, nil); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot look up service account shop/"+name+": no answer") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAnUpdateThatNamesNoAccountKeepsIt(t *testing.T) {
	p, _ := newPlugin(t, nil) // the account is gone, which an update does not check
	for _, tc := range []struct{ name, old, named, want string }{
		{"none is named", "builder", "", "builder"},
		{"another is named, for validation to refuse", "builder", "other", "other"},
		{"there was none", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := &fleet.Instance{Spec: fleet.InstanceSpec{ServiceAccountName: tc.named}}
			old := &fleet.Instance{Spec: fleet.InstanceSpec{ServiceAccountName: tc.old}}
			a := admission.NewAttributesRecord(object, old, fleet.Kind("Instance").WithVersion("v1alpha1"), "shop", "web",
				fleet.Resource("instances").WithVersion("v1alpha1"), "", admission.Update, &metav1.UpdateOptions{}, false, nil)
			if err := admissiontesting.WithReinvocationTesting(t, p).Admit(t.Context(), a, nil); err != nil {
				t.Fatal(err)
			}
			if object.Spec.ServiceAccountName != tc.want {
				t.Errorf("got %q, want %q", object.Spec.ServiceAccountName, tc.want)
			}
			if err := p.Validate(t.Context(), a, nil); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestOnlyNewInstancesAreChecked(t *testing.T) {
	p, _ := newPlugin(t, nil)
	for _, a := range []admission.Attributes{
		create(&fleet.App{}, "apps", ""),
		create(&fleet.Binding{}, "instances", "binding"),
	} {
		if err := p.Admit(context.Background(), a, nil); err != nil {
			t.Error(err)
		}
		if err := p.Validate(context.Background(), a, nil); err != nil {
			t.Error(err)
		}
	}
}
