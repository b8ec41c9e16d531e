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

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceLogOptions are the query parameters of instances/log, with the names of those of pods.
type InstanceLogOptions struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`

	// container is the name of the container. It may be left out if the instance has one container.
	// +optional
	Container string `json:"container,omitempty" protobuf:"bytes,1,opt,name=container"`

	// follow keeps the response open and sends what the container writes from then on.
	// +optional
	Follow bool `json:"follow,omitempty" protobuf:"varint,2,opt,name=follow"`

	// previous returns the log of the container before its last restart.
	// +optional
	Previous bool `json:"previous,omitempty" protobuf:"varint,3,opt,name=previous"`

	// sinceSeconds leaves out what is older than so many seconds. Not together with sinceTime.
	// +optional
	SinceSeconds *int64 `json:"sinceSeconds,omitempty" protobuf:"varint,4,opt,name=sinceSeconds"`

	// sinceTime leaves out what was written before the time.
	// +optional
	// +k8s:opaqueType
	SinceTime *metav1.Time `json:"sinceTime,omitempty" protobuf:"bytes,5,opt,name=sinceTime"`

	// timestamps begins each line with its time in RFC 3339.
	// +optional
	Timestamps bool `json:"timestamps,omitempty" protobuf:"varint,6,opt,name=timestamps"`

	// tailLines is the number of lines from the end of the log; all if it is left out.
	// +optional
	TailLines *int64 `json:"tailLines,omitempty" protobuf:"varint,7,opt,name=tailLines"`

	// limitBytes ends the response after so many bytes.
	// +optional
	LimitBytes *int64 `json:"limitBytes,omitempty" protobuf:"varint,8,opt,name=limitBytes"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceExecOptions are the query parameters of instances/exec, with the names of those of pods.
type InstanceExecOptions struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`

	// stdin redirects the standard input of the command.
	// +optional
	Stdin bool `json:"stdin,omitempty" protobuf:"varint,1,opt,name=stdin"`

	// stdout redirects the standard output of the command.
	// +optional
	Stdout bool `json:"stdout,omitempty" protobuf:"varint,2,opt,name=stdout"`

	// stderr redirects the standard error of the command.
	// +optional
	Stderr bool `json:"stderr,omitempty" protobuf:"varint,3,opt,name=stderr"`

	// tty gives the command a terminal.
	// +optional
	TTY bool `json:"tty,omitempty" protobuf:"varint,4,opt,name=tty"`

	// container is the name of the container. It may be left out if the instance has one container.
	// +optional
	Container string `json:"container,omitempty" protobuf:"bytes,5,opt,name=container"`

	// command is the program with its arguments. No shell interprets it.
	// +required
	// +listType=atomic
	Command []string `json:"command" protobuf:"bytes,6,rep,name=command"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceAttachOptions are the query parameters of instances/attach, with the names of those of pods.
type InstanceAttachOptions struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`

	// stdin redirects the standard input of the container.
	// +optional
	Stdin bool `json:"stdin,omitempty" protobuf:"varint,1,opt,name=stdin"`

	// stdout redirects the standard output of the container.
	// +optional
	Stdout bool `json:"stdout,omitempty" protobuf:"varint,2,opt,name=stdout"`

	// stderr redirects the standard error of the container.
	// +optional
	Stderr bool `json:"stderr,omitempty" protobuf:"varint,3,opt,name=stderr"`

	// tty is true if the container has a terminal.
	// +optional
	TTY bool `json:"tty,omitempty" protobuf:"varint,4,opt,name=tty"`

	// container is the name of the container. It may be left out if the instance has one container.
	// +optional
	Container string `json:"container,omitempty" protobuf:"bytes,5,opt,name=container"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstancePortForwardOptions are the query parameters of instances/portforward, with the names of those of pods.
type InstancePortForwardOptions struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`

	// ports are the ports of the instance, for clients by WebSocket without a stream for each port.
	// +optional
	// +listType=atomic
	Ports []int32 `json:"ports,omitempty" protobuf:"varint,1,rep,name=ports"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostTunnelOptions are the query parameters of hosts/tunnel. There are none.
type HostTunnelOptions struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
}
