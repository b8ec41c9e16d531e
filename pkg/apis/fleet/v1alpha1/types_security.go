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

// SecurityContext is the set of security settings of a container.
type SecurityContext struct {
	// capabilities are added to, or dropped from, the default capabilities of the container
	// runtime.
	// +optional
	// +k8s:optional
	Capabilities *Capabilities `json:"capabilities,omitempty" protobuf:"bytes,1,opt,name=capabilities"`

	// privileged gives the processes of the container the rights of root on the host. Defaults
	// to false.
	// +optional
	// +k8s:optional
	Privileged *bool `json:"privileged,omitempty" protobuf:"varint,2,opt,name=privileged"`

	// runAsUser is the user ID of the container's processes. Defaults to the user of the image.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	// +k8s:maximum=2147483647
	RunAsUser *int64 `json:"runAsUser,omitempty" protobuf:"varint,3,opt,name=runAsUser"`

	// runAsGroup is the primary group ID of the container's processes. Defaults to the group of
	// the image.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	// +k8s:maximum=2147483647
	RunAsGroup *int64 `json:"runAsGroup,omitempty" protobuf:"varint,4,opt,name=runAsGroup"`

	// runAsNonRoot keeps the container from starting if it would run as root. The image then
	// needs a numeric user other than 0, unless runAsUser is set. Defaults to false.
	// +optional
	// +k8s:optional
	RunAsNonRoot *bool `json:"runAsNonRoot,omitempty" protobuf:"varint,5,opt,name=runAsNonRoot"`

	// readOnlyRootFilesystem makes the root file system of the container read-only. Defaults to
	// false.
	// +optional
	// +k8s:optional
	ReadOnlyRootFilesystem *bool `json:"readOnlyRootFilesystem,omitempty" protobuf:"varint,6,opt,name=readOnlyRootFilesystem"`
}

// Capabilities are POSIX capabilities that are added to, or dropped from, those of a container.
type Capabilities struct {
	// add lists capabilities to add, without the prefix CAP_, such as NET_ADMIN; ALL adds all.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=64
	Add []string `json:"add,omitempty" protobuf:"bytes,1,rep,name=add"`

	// drop lists capabilities to drop, without the prefix CAP_; ALL drops all.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=64
	Drop []string `json:"drop,omitempty" protobuf:"bytes,2,rep,name=drop"`
}
