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

package fleet

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceConfiguration has the data of the ConfigMaps and Secrets to which an instance refers.
// It is read at the configuration subresource of the instance, by the host to which the instance
// is bound only, and is not stored.
type InstanceConfiguration struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	ConfigMaps []ReferencedData
	Secrets    []ReferencedData
}

// ReferencedData is the data of a ConfigMap or Secret to which an instance refers.
type ReferencedData struct {
	Name  string
	Found bool
	Type  string
	Data  map[string][]byte
}
