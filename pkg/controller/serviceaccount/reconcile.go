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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Default is the service account of an instance that names no other.
const Default = "default"

// missing returns the service account to create; nil if it exists, or the namespace is missing or
// being deleted.
func missing(namespace *corev1.Namespace, exists bool) *corev1.ServiceAccount {
	if namespace == nil || namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating || exists {
		return nil
	}
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: Default}}
}
