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

package validation

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNamespaces(t *testing.T) {
	namespace := func(change func(*corev1.Namespace)) *corev1.Namespace {
		n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
		change(n)
		return n
	}
	for name, test := range map[string]struct {
		change func(*corev1.Namespace)
		want   []string
	}{
		"a good one":                                 {func(*corev1.Namespace) {}, nil},
		"its name is a DNS label":                    {func(n *corev1.Namespace) { n.Name = "a.b" }, []string{invalid + "metadata.name"}},
		"it lies in no namespace":                    {func(n *corev1.Namespace) { n.Namespace = "b" }, []string{forbidden + "metadata.namespace"}},
		"finalizers of its own have a domain":        {func(n *corev1.Namespace) { n.Finalizers = []string{"example.com/x"} }, nil},
		"a finalizer without one must be a known":    {func(n *corev1.Namespace) { n.Finalizers = []string{"x"} }, []string{invalid + "metadata.finalizers[0]"}},
		"so must one in the spec":                    {func(n *corev1.Namespace) { n.Spec.Finalizers = []corev1.FinalizerName{"x"} }, []string{invalid + "spec.finalizers[0]"}},
		"a finalizer in the spec is qualified right": {func(n *corev1.Namespace) { n.Spec.Finalizers = []corev1.FinalizerName{"e/"} }, []string{invalid + "spec.finalizers[0]"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, ValidateNamespace(namespace(test.change)), test.want...) })
	}

	now := metav1.Now()
	for name, test := range map[string]struct {
		phase   corev1.NamespacePhase
		deleted *metav1.Time
		want    []string
	}{
		"one that stays is Active":            {corev1.NamespaceActive, nil, nil},
		"one that stays is not Terminating":   {corev1.NamespaceTerminating, nil, []string{invalid + "status.Phase"}},
		"one that is deleted is Terminating":  {corev1.NamespaceTerminating, &now, nil},
		"one that is deleted is never Active": {corev1.NamespaceActive, &now, []string{invalid + "status.Phase"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := namespace(func(n *corev1.Namespace) { n.DeletionTimestamp, n.Status.Phase = test.deleted, test.phase })
			expect(t, ValidateNamespaceStatusUpdate(n, n), test.want...)
		})
	}
	t.Run("finalizers are checked where they are written", func(t *testing.T) {
		n := namespace(func(n *corev1.Namespace) { n.Spec.Finalizers = []corev1.FinalizerName{"x"} })
		expect(t, ValidateNamespaceFinalizeUpdate(n, n), invalid+"spec.finalizers[0]")
	})
}
