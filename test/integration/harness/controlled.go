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

package harness

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// Controlled is a standalone server with the controllers of a cluster.
type Controlled struct {
	FleetClient
	Core kubernetes.Interface
}

// StartControlled starts a server with all its controllers.
func StartControlled(t *testing.T) Controlled {
	t.Helper()
	server := servertesting.Start(t)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return Controlled{NewFleetClient(t, server.Config), core}
}

// ComesTrue waits until is returns nothing, and fails the test with its last result after a timeout.
func ComesTrue(t *testing.T, is func(ctx context.Context) (missing string)) {
	t.Helper()
	kit.EventuallyState(t, "nothing is missing", func(ctx context.Context) (bool, string) {
		missing := is(ctx)
		return missing == "", missing
	})
}

// Gone waits until get returns NotFound.
func Gone(t *testing.T, what string, get func(context.Context) error) {
	t.Helper()
	ComesTrue(t, func(ctx context.Context) string {
		if err := get(ctx); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("%s is still there (%v)", what, err)
		}
		return ""
	})
}

// CreateNamespace stores a namespace.
func (c Controlled) CreateNamespace(t *testing.T, name string) {
	t.Helper()
	if _, err := c.Core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Namespace returns the error of a get of the namespace.
func (c Controlled) Namespace(ctx context.Context, name string) error {
	_, err := c.Core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	return err
}

// CreateMap stores a config map that the owners own.
func (c Controlled) CreateMap(t *testing.T, namespace, name string, owners ...metav1.OwnerReference) metav1.OwnerReference {
	t.Helper()
	created, err := c.Core.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: created.UID}
}

// GetMap returns a function that returns the error of a get of the config map.
func (c Controlled) GetMap(namespace, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.Core.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	}
}

// DeleteMap deletes a config map with the propagation policy.
func (c Controlled) DeleteMap(t *testing.T, name string, policy metav1.DeletionPropagation) {
	t.Helper()
	if err := c.Core.CoreV1().ConfigMaps("default").Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatal(err)
	}
}
