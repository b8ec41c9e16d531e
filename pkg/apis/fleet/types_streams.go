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

// InstanceLogOptions are the query parameters of instances/log.
type InstanceLogOptions struct {
	metav1.TypeMeta
	Container    string
	Follow       bool
	Previous     bool
	SinceSeconds *int64
	SinceTime    *metav1.Time
	Timestamps   bool
	TailLines    *int64
	LimitBytes   *int64
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceExecOptions are the query parameters of instances/exec.
type InstanceExecOptions struct {
	metav1.TypeMeta
	Stdin     bool
	Stdout    bool
	Stderr    bool
	TTY       bool
	Container string
	Command   []string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceAttachOptions are the query parameters of instances/attach.
type InstanceAttachOptions struct {
	metav1.TypeMeta
	Stdin     bool
	Stdout    bool
	Stderr    bool
	TTY       bool
	Container string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstancePortForwardOptions are the query parameters of instances/portforward.
type InstancePortForwardOptions struct {
	metav1.TypeMeta
	Ports []int32
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostTunnelOptions are the query parameters of hosts/tunnel.
type HostTunnelOptions struct {
	metav1.TypeMeta
}
