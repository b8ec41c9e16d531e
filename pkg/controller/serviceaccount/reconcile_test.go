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
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhereADefaultAccountIsMissing(t *testing.T) {
	active := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
	deleted := active.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{}
	terminating := active.DeepCopy()
	terminating.Status.Phase = corev1.NamespaceTerminating
	for _, tc := range []struct {
		name      string
		namespace *corev1.Namespace
		exists    bool
		create    bool
	}{
		{"a namespace without one", active, false, true},
		{"a namespace that has one", active, true, false},
		{"a namespace that is being deleted", deleted, false, false},
		{"a namespace with the phase Terminating", terminating, false, false},
		{"a namespace that is gone", nil, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			account := missing(tc.namespace, tc.exists)
			if (account != nil) != tc.create {
				t.Fatalf("got %v", account)
			}
			if account != nil && (account.Name != "default" || account.Namespace != "team") {
				t.Errorf("got %s/%s", account.Namespace, account.Name)
			}
		})
	}
}
