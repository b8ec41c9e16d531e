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

package hostrestriction

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// checkMetadata refuses changes of metadata that affect others: labels that operators trust, owners
// (an owner's deletion would delete the object or be blocked by it) and finalizers (which no controller
// would remove). old is empty for a create.
func checkMetadata(name string, object, old metav1.Object) error {
	if !apiequality.Semantic.DeepEqual(object.GetOwnerReferences(), old.GetOwnerReferences()) {
		return fmt.Errorf("metadata.ownerReferences: host %q may not set or change them", name)
	}
	if !apiequality.Semantic.DeepEqual(object.GetFinalizers(), old.GetFinalizers()) {
		return fmt.Errorf("metadata.finalizers: host %q may not set or change them", name)
	}
	for _, key := range changedKeys(object.GetLabels(), old.GetLabels()) {
		if !mayLabel(key) {
			return fmt.Errorf("metadata.labels: host %q may not set, change or remove %s: of %s only %s is its own", name, key, v1alpha1.Domain, v1alpha1.HostLabelDomain)
		}
	}
	return nil
}

// unchangedMetadata refuses changes of metadata. The status endpoint restores metadata, so this is a
// second check. managedFields may change: they record the manager of the status.
func unchangedMetadata(object, old metav1.Object) error {
	for _, part := range []struct {
		name     string
		now, was any
	}{
		{"labels", object.GetLabels(), old.GetLabels()},
		{"annotations", object.GetAnnotations(), old.GetAnnotations()},
		{"ownerReferences", object.GetOwnerReferences(), old.GetOwnerReferences()},
		{"finalizers", object.GetFinalizers(), old.GetFinalizers()},
		{"deletionTimestamp", object.GetDeletionTimestamp(), old.GetDeletionTimestamp()},
	} {
		if !apiequality.Semantic.DeepEqual(part.now, part.was) {
			return fmt.Errorf("metadata.%s: a write to a status may not change them", part.name)
		}
	}
	return nil
}

// changedKeys returns the labels that were added, removed or changed, in order.
func changedKeys(now, was map[string]string) []string {
	changed := map[string]bool{}
	for key, value := range now {
		if old, ok := was[key]; !ok || old != value {
			changed[key] = true
		}
	}
	for key := range was {
		if _, ok := now[key]; !ok {
			changed[key] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// mayLabel reports whether a host may set the label on itself.
func mayLabel(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok || !within(domain, v1alpha1.Domain) {
		return true
	}
	return within(domain, v1alpha1.HostLabelDomain)
}

func within(domain, of string) bool {
	return domain == of || strings.HasSuffix(domain, "."+of)
}
