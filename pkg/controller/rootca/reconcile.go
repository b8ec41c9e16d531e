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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ConfigMap is the name of the published objects, and Key their one key.
	ConfigMap = "kube-root-ca.crt"
	Key       = "ca.crt"
)

// The annotation is that of kube-controller-manager, whose texts users and tools compare.
const (
	descriptionKey = "kubernetes.io/description"
	description    = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// publish returns the object to create or to update in a namespace; nil for both if nothing is to
// do. Any description is kept, but the data is exactly the bundle.
func publish(namespace *corev1.Namespace, stored *corev1.ConfigMap, bundle string) (create, update *corev1.ConfigMap) {
	if namespace == nil || namespace.DeletionTimestamp != nil || namespace.Status.Phase == corev1.NamespaceTerminating {
		return nil, nil
	}
	data := map[string]string{Key: bundle}
	if stored == nil {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: ConfigMap, Annotations: map[string]string{descriptionKey: description}},
			Data:       data,
		}, nil
	}
	if maps.Equal(stored.Data, data) && stored.Annotations[descriptionKey] != "" {
		return nil, nil
	}
	changed := stored.DeepCopy()
	changed.Data = data
	metav1.SetMetaDataAnnotation(&changed.ObjectMeta, descriptionKey, description)
	return nil, changed
}
