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

package namespace

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestWhatCanBeEmptied(t *testing.T) {
	found, err := contents([]*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "secrets", Namespaced: true, Verbs: metav1.Verbs{"list", "delete", "deletecollection"}},
			{Name: "configmaps", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
			{Name: "secrets/status", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
			{Name: "namespaces", Verbs: metav1.Verbs{"list", "delete"}},
			{Name: "bindings", Namespaced: true, Verbs: metav1.Verbs{"create"}},
			{Name: "fixed", Namespaced: true, Verbs: metav1.Verbs{"list"}},
		}},
		{GroupVersion: "a/b/c"},
	})
	if err == nil || !strings.Contains(err.Error(), "a/b/c") {
		t.Errorf("a version that cannot be read: %v", err)
	}
	if len(found) != 2 || found[0].Resource != "configmaps" || found[0].collection || found[1].Resource != "secrets" || !found[1].collection {
		t.Errorf("found %+v", found)
	}
}

func TestWhatIsSaidOfANamespaceThatGoes(t *testing.T) {
	now := metav1.NewTime(time.Unix(2000, 0))
	before := metav1.NewTime(time.Unix(1000, 0))
	object := func(name string, deleting bool, finalizers ...string) metav1.PartialObjectMetadata {
		o := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: finalizers}}
		if deleting {
			o.DeletionTimestamp = &before
		}
		return o
	}
	instances := schema.GroupResource{Group: "fleet.gatehouse.dev", Resource: "instances"}
	maps := schema.GroupResource{Resource: "configmaps"}
	waited := []corev1.NamespaceCondition{{
		Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue, LastTransitionTime: before,
		Reason: "SomeResourcesRemain", Message: "Some resources are remaining: configmaps has 1, such as a",
	}}
	for _, tc := range []struct {
		name    string
		was     []corev1.NamespaceCondition
		outcome outcome
		// problems are the conditions that must be true, with a part of their message.
		problems map[corev1.NamespaceConditionType]string
		changed  bool
		waits    bool
	}{
		{name: "an empty namespace is finalized without conditions"},
		{name: "a namespace that is finally empty reports it", was: waited, changed: true},
		{
			name: "what is stopped gracefully is named", outcome: outcome{left: []remainder{{instances, []metav1.PartialObjectMetadata{object("web-1", true), object("web-2", true)}}}},
			problems: map[corev1.NamespaceConditionType]string{corev1.NamespaceContentRemaining: "instances.fleet.gatehouse.dev has 2, such as web-1 (2 wait for what runs to be stopped)"},
			changed:  true, waits: true,
		},
		{
			name: "finalizers are named and counted", outcome: outcome{left: []remainder{{maps, []metav1.PartialObjectMetadata{object("a", true, "x/y", "x/z"), object("b", true, "x/y")}}}},
			problems: map[corev1.NamespaceConditionType]string{
				corev1.NamespaceContentRemaining:    "configmaps has 2, such as a",
				corev1.NamespaceFinalizersRemaining: "x/y in 2, x/z in 1",
			},
			changed: true, waits: true,
		},
		{
			name: "a group that cannot be discovered keeps it", outcome: outcome{discovery: errors.New("group x is ill")},
			problems: map[corev1.NamespaceConditionType]string{corev1.NamespaceDeletionDiscoveryFailure: "group x is ill"},
			changed:  true, waits: true,
		},
		{
			name: "a version that cannot be read keeps it", outcome: outcome{versions: errors.New("a/b/c")},
			problems: map[corev1.NamespaceConditionType]string{corev1.NamespaceDeletionGVParsingFailure: "a/b/c"},
			changed:  true, waits: true,
		},
		{
			name: "what cannot be deleted keeps it", outcome: outcome{failures: []error{errors.New("a: no"), errors.New("b: no")}},
			problems: map[corev1.NamespaceConditionType]string{corev1.NamespaceDeletionContentFailure: "a: no; b: no"},
			changed:  true, waits: true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			namespace := &corev1.Namespace{Status: corev1.NamespaceStatus{Conditions: slices.Clone(tc.was)}}
			v := judge(namespace, tc.outcome, now)
			if v.changed != tc.changed || (v.waits != "") != tc.waits {
				t.Errorf("changed: %v, waits: %q", v.changed, v.waits)
			}
			for _, c := range v.namespace.Status.Conditions {
				problem, ok := tc.problems[c.Type]
				if ok != (c.Status == corev1.ConditionTrue) || !strings.Contains(c.Message, problem) {
					t.Errorf("%s is %s: %s", c.Type, c.Status, c.Message)
				}
				delete(tc.problems, c.Type)
				if c.LastTransitionTime != now {
					t.Errorf("%s changed at %v", c.Type, c.LastTransitionTime)
				}
			}
			if len(tc.problems) > 0 {
				t.Errorf("not reported: %v", tc.problems)
			}
			// The same outcome again needs no write.
			again := judge(v.namespace, tc.outcome, metav1.NewTime(time.Unix(3000, 0)))
			if again.changed || !slices.Equal(again.namespace.Status.Conditions, v.namespace.Status.Conditions) {
				t.Errorf("a second look changes %+v to %+v", v.namespace.Status.Conditions, again.namespace.Status.Conditions)
			}
		})
	}
}

func TestOnlyItsOwnFinalizerIsTakenOut(t *testing.T) {
	namespace := &corev1.Namespace{Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"example.com/x", corev1.FinalizerKubernetes}}}
	left := withoutFinalizer(namespace)
	if !slices.Equal(left.Spec.Finalizers, []corev1.FinalizerName{"example.com/x"}) || len(namespace.Spec.Finalizers) != 2 {
		t.Errorf("left %v of %v", left.Spec.Finalizers, namespace.Spec.Finalizers)
	}
}
