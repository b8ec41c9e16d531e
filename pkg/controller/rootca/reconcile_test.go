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

package rootca

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTheBundleIsPublishedInEveryNamespaceThatStays(t *testing.T) {
	active := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
	deleted := active.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{}
	terminating := active.DeepCopy()
	terminating.Status.Phase = corev1.NamespaceTerminating
	stored := func(annotation string, data map[string]string) *corev1.ConfigMap {
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: ConfigMap, ResourceVersion: "7", Labels: map[string]string{"kept": "yes"}}, Data: data}
		if annotation != "" {
			configMap.Annotations = map[string]string{descriptionKey: annotation}
		}
		return configMap
	}
	right := map[string]string{Key: "pem"}
	for _, tc := range []struct {
		name      string
		namespace *corev1.Namespace
		stored    *corev1.ConfigMap
		// does is create, update, or nothing; describes is the description in the result.
		does, describes string
	}{
		{"a namespace without it", active, nil, "create", description},
		{"a namespace that has it", active, stored(description, right), "", ""},
		{"a description of the user's own", active, stored("ours", right), "", ""},
		{"a description that was removed", active, stored("", right), "update", description},
		{"another bundle", active, stored(description, map[string]string{Key: "other"}), "update", description},
		{"another bundle with another description", active, stored("ours", map[string]string{Key: "other"}), "update", description},
		{"one key more", active, stored(description, map[string]string{Key: "pem", "more": "x"}), "update", description},
		{"no data", active, stored(description, nil), "update", description},
		{"a namespace that is being deleted", deleted, nil, "", ""},
		{"a wrong bundle in a namespace that is being deleted", deleted, stored("", nil), "", ""},
		{"a namespace with the phase Terminating", terminating, nil, "", ""},
		{"a namespace that is gone", nil, nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := tc.stored.DeepCopy()
			create, update := publish(tc.namespace, tc.stored, "pem")
			if (create != nil) != (tc.does == "create") || (update != nil) != (tc.does == "update") {
				t.Fatalf("got create %v, update %v", create, update)
			}
			if before != nil && !maps.Equal(before.Data, tc.stored.Data) {
				t.Errorf("the cached object was changed: %v", tc.stored)
			}
			for _, written := range []*corev1.ConfigMap{create, update} {
				if written == nil {
					continue
				}
				if written.Namespace != "team" || written.Name != "kube-root-ca.crt" || !maps.Equal(written.Data, right) || written.Annotations["kubernetes.io/description"] != tc.describes {
					t.Errorf("got %+v", written)
				}
			}
			if update != nil && (update.ResourceVersion != "7" || update.Labels["kept"] != "yes") {
				t.Errorf("the update is not of the stored object: %+v", update)
			}
		})
	}
}
