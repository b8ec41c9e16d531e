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

// Container is one program of an instance.
type Container struct {
	// name tells the container apart from the others of the instance: a DNS label.
	// +required
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// image is what runs: the reference of a container image.
	// +required
	// +k8s:required
	// +k8s:maxLength=1024
	Image string `json:"image" protobuf:"bytes,2,opt,name=image"`

	// command replaces the image's entry point. It is not run in a shell.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	Command []string `json:"command,omitempty" protobuf:"bytes,3,rep,name=command"`

	// args are the arguments to the entry point; they replace the image's.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	Args []string `json:"args,omitempty" protobuf:"bytes,4,rep,name=args"`

	// workingDir is the directory in which the program starts; the image's where empty.
	// +optional
	WorkingDir string `json:"workingDir,omitempty" protobuf:"bytes,5,opt,name=workingDir"`

	// env are environment variables for the program.
	// +optional
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=512
	Env []EnvVar `json:"env,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,6,rep,name=env"`

	// ports are the network ports on which the program listens, each by number and protocol. A
	// strategic merge patch replaces the whole list, because it can tell elements apart by one
	// field only.
	// +optional
	// +listType=map
	// +listMapKey=containerPort
	// +listMapKey=protocol
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=containerPort
	// +k8s:listMapKey=protocol
	// +k8s:maxItems=128
	Ports []ContainerPort `json:"ports,omitempty" protobuf:"bytes,7,rep,name=ports"`

	// resources are what the container needs and what it may use at the most.
	// +optional
	Resources ResourceRequirements `json:"resources,omitempty" protobuf:"bytes,8,opt,name=resources"`

	// imagePullPolicy says when the image is fetched: Always, IfNotPresent or Never. Where
	// nothing is said: Always when the image has the tag latest or none, else IfNotPresent.
	// +optional
	// +k8s:optional
	ImagePullPolicy PullPolicy `json:"imagePullPolicy,omitempty" protobuf:"bytes,9,opt,name=imagePullPolicy,casttype=PullPolicy"`
}

// PullPolicy says when a container's image is fetched.
// +enum
// +k8s:enum
type PullPolicy string

const (
	// PullAlways fetches the image at every start.
	PullAlways PullPolicy = "Always"
	// PullIfNotPresent fetches the image when the host does not have it.
	PullIfNotPresent PullPolicy = "IfNotPresent"
	// PullNever never fetches the image: the host must have it.
	PullNever PullPolicy = "Never"
)

// EnvVar is one environment variable.
type EnvVar struct {
	// name of the variable: printable characters without "=".
	// +required
	// +k8s:required
	// +k8s:maxLength=1024
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// value of the variable.
	// +optional
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`
}

// Protocol is a transport protocol.
// +enum
type Protocol string

const (
	// ProtocolTCP is the Transmission Control Protocol.
	ProtocolTCP Protocol = "TCP"
	// ProtocolUDP is the User Datagram Protocol.
	ProtocolUDP Protocol = "UDP"
	// ProtocolSCTP is the Stream Control Transmission Protocol.
	ProtocolSCTP Protocol = "SCTP"
)

// ContainerPort is a network port on which a container listens.
type ContainerPort struct {
	// name tells the port apart from the others of the container: an IANA service name, such
	// as http.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// containerPort is the number of the port, 1 to 65535.
	// +required
	// +k8s:required
	// +k8s:minimum=1
	// +k8s:maximum=65535
	ContainerPort int32 `json:"containerPort" protobuf:"varint,2,opt,name=containerPort"`

	// hostPort is the port of the host at which the container's port is reached, 1 to 65535;
	// 0 or absent for none.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	// +k8s:maximum=65535
	HostPort int32 `json:"hostPort,omitempty" protobuf:"varint,3,opt,name=hostPort"`

	// protocol is TCP (default), UDP or SCTP. It is stored as it was sent: absent stays absent,
	// and counts as TCP.
	// +optional
	// +default="TCP"
	Protocol Protocol `json:"protocol,omitempty" protobuf:"bytes,4,opt,name=protocol,casttype=Protocol"`
}

// ResourceRequirements are what a container needs and what it may use at the most.
type ResourceRequirements struct {
	// limits are the most that the container may use, by resource.
	// +optional
	Limits ResourceList `json:"limits,omitempty" protobuf:"bytes,1,rep,name=limits,casttype=ResourceList,castkey=ResourceName"`

	// requests are what the scheduler sets aside for the container, by resource. Where a
	// request is absent and a limit is given, the limit counts as the request.
	// +optional
	Requests ResourceList `json:"requests,omitempty" protobuf:"bytes,2,rep,name=requests,casttype=ResourceList,castkey=ResourceName"`
}

// ContainerStatus is what is known of one container.
type ContainerStatus struct {
	// name of the container, as in spec.containers.
	// +required
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// ready says whether the container does its work.
	// +optional
	Ready bool `json:"ready" protobuf:"varint,2,opt,name=ready"`

	// started says whether the container has finished starting up.
	// +optional
	Started bool `json:"started,omitempty" protobuf:"varint,3,opt,name=started"`

	// restartCount is how often the container has been started again.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	RestartCount int32 `json:"restartCount" protobuf:"varint,4,opt,name=restartCount"`

	// image that the container runs.
	// +optional
	Image string `json:"image,omitempty" protobuf:"bytes,5,opt,name=image"`

	// imageID is the digest of the image.
	// +optional
	ImageID string `json:"imageID,omitempty" protobuf:"bytes,6,opt,name=imageID"`

	// containerID is the container's identifier at its runtime: containerd://8fc2...
	// +optional
	ContainerID string `json:"containerID,omitempty" protobuf:"bytes,7,opt,name=containerID"`

	// state is what the container does now.
	// +optional
	State ContainerState `json:"state,omitempty" protobuf:"bytes,8,opt,name=state"`

	// lastState is how the container ended the last time, where it was started again.
	// +optional
	LastState ContainerState `json:"lastState,omitempty" protobuf:"bytes,9,opt,name=lastState"`
}

// ContainerState is what a container does: waiting, running or terminated; at most one
// of them is set, and none means waiting.
type ContainerState struct {
	// waiting is set while the container has not been started.
	// +optional
	Waiting *ContainerStateWaiting `json:"waiting,omitempty" protobuf:"bytes,1,opt,name=waiting"`

	// running is set while the container runs.
	// +optional
	Running *ContainerStateRunning `json:"running,omitempty" protobuf:"bytes,2,opt,name=running"`

	// terminated is set once the container has ended.
	// +optional
	Terminated *ContainerStateTerminated `json:"terminated,omitempty" protobuf:"bytes,3,opt,name=terminated"`
}

// ContainerStateWaiting tells why a container does not run yet.
type ContainerStateWaiting struct {
	// reason is a short CamelCase word: ImagePullBackOff.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,1,opt,name=reason"`

	// message says the same for people.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,2,opt,name=message"`
}

// ContainerStateRunning tells since when a container runs.
type ContainerStateRunning struct {
	// startedAt is when the container was last started.
	// +optional
	// +k8s:opaqueType
	StartedAt metav1.Time `json:"startedAt,omitempty" protobuf:"bytes,1,opt,name=startedAt"`
}

// ContainerStateTerminated tells how a container ended.
type ContainerStateTerminated struct {
	// exitCode is what the program returned.
	// +optional
	ExitCode int32 `json:"exitCode" protobuf:"varint,1,opt,name=exitCode"`

	// signal is the signal that ended the program, where there was one.
	// +optional
	Signal int32 `json:"signal,omitempty" protobuf:"varint,2,opt,name=signal"`

	// reason is a short CamelCase word: Error, OOMKilled.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,3,opt,name=reason"`

	// message says the same for people.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,4,opt,name=message"`

	// startedAt is when the container was started.
	// +optional
	// +k8s:opaqueType
	StartedAt metav1.Time `json:"startedAt,omitempty" protobuf:"bytes,5,opt,name=startedAt"`

	// finishedAt is when the container ended.
	// +optional
	// +k8s:opaqueType
	FinishedAt metav1.Time `json:"finishedAt,omitempty" protobuf:"bytes,6,opt,name=finishedAt"`

	// containerID is the container's identifier at its runtime.
	// +optional
	ContainerID string `json:"containerID,omitempty" protobuf:"bytes,7,opt,name=containerID"`
}
