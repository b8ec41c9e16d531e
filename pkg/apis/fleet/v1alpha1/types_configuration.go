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

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceConfiguration has the data of the ConfigMaps and Secrets to which an instance refers.
// It is read at the configuration subresource of the instance, by the host to which the instance
// is bound only, and is not stored.
type InstanceConfiguration struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata: namespace, name and UID of the instance.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// configMaps are the ConfigMaps to which the instance refers.
	// +optional
	// +listType=map
	// +listMapKey=name
	ConfigMaps []ReferencedData `json:"configMaps,omitempty" protobuf:"bytes,2,rep,name=configMaps"`

	// secrets are the Secrets to which the instance refers.
	// +optional
	// +listType=map
	// +listMapKey=name
	Secrets []ReferencedData `json:"secrets,omitempty" protobuf:"bytes,3,rep,name=secrets"`
}

// ReferencedData is the data of a ConfigMap or Secret to which an instance refers.
type ReferencedData struct {
	// name of the object.
	// +required
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// found indicates whether the object exists.
	// +optional
	Found bool `json:"found,omitempty" protobuf:"varint,2,opt,name=found"`

	// type of the Secret.
	// +optional
	Type string `json:"type,omitempty" protobuf:"bytes,3,opt,name=type"`

	// data has the keys to which the instance refers, as far as they exist.
	// +optional
	Data map[string][]byte `json:"data,omitempty" protobuf:"bytes,4,rep,name=data"`
}
