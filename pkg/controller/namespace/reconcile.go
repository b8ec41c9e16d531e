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
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// contents returns the namespaced resources that can be listed and deleted, and an error for lists
// with an invalid version.
func contents(lists []*metav1.APIResourceList) ([]content, error) {
	var found []content
	var errs []error
	for _, served := range lists {
		version, err := schema.ParseGroupVersion(served.GroupVersion)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, resource := range served.APIResources {
			collection := slices.Contains(resource.Verbs, "deletecollection")
			deletable := collection || slices.Contains(resource.Verbs, "delete")
			if !resource.Namespaced || strings.Contains(resource.Name, "/") || !deletable || !slices.Contains(resource.Verbs, "list") {
				continue
			}
			found = append(found, content{GroupVersionResource: version.WithResource(resource.Name), collection: collection})
		}
	}
	slices.SortFunc(found, func(a, b content) int { return cmp.Compare(a.String(), b.String()) })
	return found, errors.Join(errs...)
}

// outcome is the result of one pass over a namespace.
type outcome struct {
	discovery, versions error
	failures            []error
	left                []remainder
}

// remainder is the objects that are left of one resource.
type remainder struct {
	resource schema.GroupResource
	objects  []metav1.PartialObjectMetadata
}

// verdict is the decision about a namespace.
type verdict struct {
	// namespace has the conditions that it should have; changed is set if they differ.
	namespace *corev1.Namespace
	changed   bool
	// waits is what the namespace waits for; empty if it may be finalized.
	waits string
}

// judge returns the outcome as the conditions that Kubernetes uses. A namespace that is empty at the
// first pass is finalized without any.
func judge(namespace *corev1.Namespace, result outcome, now metav1.Time) verdict {
	wanted := []corev1.NamespaceCondition{
		condition(corev1.NamespaceDeletionDiscoveryFailure, "DiscoveryFailed", "ResourcesDiscovered", "All resources successfully discovered", message(result.discovery)),
		condition(corev1.NamespaceDeletionGVParsingFailure, "GroupVersionParsingFailed", "ParsedGroupVersions", "All group versions successfully parsed", message(result.versions)),
		condition(corev1.NamespaceDeletionContentFailure, "ContentDeletionFailed", "ContentDeleted", "All content was deleted or is being deleted", message(errors.Join(result.failures...))),
		condition(corev1.NamespaceContentRemaining, "SomeResourcesRemain", "ContentRemoved", "All content successfully removed", remaining(result.left)),
		condition(corev1.NamespaceFinalizersRemaining, "SomeFinalizersRemain", "ContentHasNoFinalizers", "No content waits for finalizers", finalizers(result.left)),
	}
	v := verdict{namespace: namespace.DeepCopy()}
	for _, c := range wanted {
		if c.Status == corev1.ConditionTrue && v.waits == "" {
			v.waits = c.Message
		}
	}
	if v.waits == "" && len(namespace.Status.Conditions) == 0 {
		return v
	}
	for _, c := range wanted {
		v.changed = set(&v.namespace.Status, c, now) || v.changed
	}
	return v
}

// condition returns a condition that is True with a problem, and False without one.
func condition(kind corev1.NamespaceConditionType, badReason, goodReason, good, problem string) corev1.NamespaceCondition {
	if problem != "" {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Reason: badReason, Message: problem}
	}
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: goodReason, Message: good}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// remaining returns the number of objects that are left, and how many of them wait for an agent: an
// instance on an unreachable host is one of those.
func remaining(left []remainder) string {
	var parts []string
	for _, r := range left {
		part := fmt.Sprintf("%s has %d, such as %s", r.resource, len(r.objects), r.objects[0].Name)
		stopping := 0
		for _, object := range r.objects {
			if object.DeletionTimestamp != nil && len(object.Finalizers) == 0 {
				stopping++
			}
		}
		if stopping > 0 {
			part += fmt.Sprintf(" (%d wait for what runs to be stopped)", stopping)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return "Some resources are remaining: " + strings.Join(parts, ", ")
}

func finalizers(left []remainder) string {
	counts := map[string]int{}
	for _, r := range left {
		for _, object := range r.objects {
			for _, finalizer := range object.Finalizers {
				counts[finalizer]++
			}
		}
	}
	var parts []string
	for _, finalizer := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s in %d", finalizer, counts[finalizer]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Some content has finalizers remaining: " + strings.Join(parts, ", ")
}

// set sets a condition and reports whether it changed. The transition time changes with its status
// only.
func set(status *corev1.NamespaceStatus, wanted corev1.NamespaceCondition, now metav1.Time) bool {
	wanted.LastTransitionTime = now
	i := slices.IndexFunc(status.Conditions, func(c corev1.NamespaceCondition) bool { return c.Type == wanted.Type })
	if i < 0 {
		status.Conditions = append(status.Conditions, wanted)
		return true
	}
	old := status.Conditions[i]
	if old.Status == wanted.Status {
		wanted.LastTransitionTime = old.LastTransitionTime
	}
	status.Conditions[i] = wanted
	return old.Status != wanted.Status || old.Reason != wanted.Reason || old.Message != wanted.Message
}

func withoutFinalizer(namespace *corev1.Namespace) *corev1.Namespace {
	namespace = namespace.DeepCopy()
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	return namespace
}
