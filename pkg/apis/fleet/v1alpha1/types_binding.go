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

// Binding binds an instance to a host. It is created at the binding subresource of the instance,
// and is the only way to set spec.hostName.
type Binding struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name, if set, must be that of the instance; uid and
	// resourceVersion, if set, must be those of the stored instance.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// target is the host on which the instance runs.
	// +required
	Target BindingTarget `json:"target" protobuf:"bytes,2,opt,name=target"`
}

// BindingTarget is the host of a binding.
type BindingTarget struct {
	// kind of the target. Must be Host, which is the default.
	// +optional
	// +default="Host"
	Kind string `json:"kind,omitempty" protobuf:"bytes,1,opt,name=kind"`

	// name of the host.
	// +required
	Name string `json:"name" protobuf:"bytes,2,opt,name=name"`
}
