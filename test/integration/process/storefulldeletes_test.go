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

package process

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// deletes are objects whose deletes need an update, and an app, whose delete needs none.
type deletes struct{ config *rest.Config }

func (d deletes) core() typedcorev1.CoreV1Interface {
	return kubernetes.NewForConfigOrDie(d.config).CoreV1()
}

func (d deletes) apps() fleetclient.AppInterface {
	return versioned.NewForConfigOrDie(d.config).FleetV1alpha1().Apps("default")
}

// prepare creates the objects of a name.
func (d deletes) prepare(t *testing.T, name string) {
	t.Helper()
	held := ballast(name)
	held.Data, held.Finalizers = nil, []string{"example.com/hold"}
	_, err := configMaps(d.config).Create(t.Context(), held, metav1.CreateOptions{})
	if err == nil {
		_, err = d.core().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = d.core().Secrets(name).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{})
	}
	if err == nil {
		_, err = d.apps().Create(t.Context(), &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AppSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			},
		}}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// byUpdates deletes the objects whose deletes need an update, and returns the errors by what was done.
func (d deletes) byUpdates(t *testing.T, name string) map[string]error {
	t.Helper()
	errs := map[string]error{
		"the delete of an object with a finalizer": configMaps(d.config).Delete(t.Context(), name, metav1.DeleteOptions{}),
		"the delete of a namespace":                d.core().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}),
		"the delete of an app after its dependents": d.apps().Delete(t.Context(), name, metav1.DeleteOptions{
			PropagationPolicy: ptr.To(metav1.DeletePropagationForeground),
		}),
	}
	_, errs["the removal of a finalizer"] = patch(t, d.config, name, `{"metadata":{"finalizers":null}}`)
	return errs
}

// wantDone checks that the deletes succeed: there is a reserve for them.
func (d deletes) wantDone(t *testing.T, name string) {
	t.Helper()
	for what, err := range d.byUpdates(t, name) {
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	kit.Eventually(t, "the objects are gone", func(ctx context.Context) bool {
		_, err := configMaps(d.config).Get(ctx, name, metav1.GetOptions{})
		_, namespaceErr := d.core().Namespaces().Get(ctx, name, metav1.GetOptions{})
		_, appErr := d.apps().Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err) && apierrors.IsNotFound(namespaceErr) && apierrors.IsNotFound(appErr)
	})
}

// wantRefused checks that the deletes are refused, and that one without an update is not.
func (d deletes) wantRefused(t *testing.T, name string) {
	t.Helper()
	for what, err := range d.byUpdates(t, name) {
		if apierrors.ReasonForError(err) != "InsufficientStorage" || !strings.Contains(err.Error(), "objects with finalizers remain for now") {
			t.Errorf("%s while etcd refuses writes: %v", what, err)
		}
	}
	background := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	if err := d.apps().Delete(t.Context(), name, background); err != nil {
		t.Errorf("the delete of an app while etcd refuses writes: %v", err)
	}
}
