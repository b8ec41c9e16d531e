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
	// name of the container: a DNS label that is unique within the instance.
	// +required
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// image is the reference of the container image to run.
	// +required
	// +k8s:required
	// +k8s:maxLength=1024
	Image string `json:"image" protobuf:"bytes,2,opt,name=image"`

	// command replaces the entry point of the image. It is not executed in a shell.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	Command []string `json:"command,omitempty" protobuf:"bytes,3,rep,name=command"`

	// args are the arguments of the entry point. They replace those of the image.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	Args []string `json:"args,omitempty" protobuf:"bytes,4,rep,name=args"`

	// workingDir is the working directory of the program. If empty, that of the image is used.
	// +optional
	WorkingDir string `json:"workingDir,omitempty" protobuf:"bytes,5,opt,name=workingDir"`

	// env is the list of environment variables of the program.
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

	// ports are the network ports on which the program listens, each identified by number and
	// protocol. A strategic merge patch replaces the whole list, because it can identify
	// elements by one field only.
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

	// resources are the compute resources that the container requires and may use at most.
	// +optional
	Resources ResourceRequirements `json:"resources,omitempty" protobuf:"bytes,8,opt,name=resources"`

	// imagePullPolicy describes when the image is pulled: Always, IfNotPresent or Never.
	// Defaults to Always if the image has the tag latest or no tag, and to IfNotPresent
	// otherwise.
	// +optional
	// +k8s:optional
	ImagePullPolicy PullPolicy `json:"imagePullPolicy,omitempty" protobuf:"bytes,9,opt,name=imagePullPolicy,casttype=PullPolicy"`

	// envFrom are ConfigMaps and Secrets each key of which becomes an environment variable. A
	// later one replaces an earlier one of the same name, and env replaces both.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=64
	EnvFrom []EnvFromSource `json:"envFrom,omitempty" protobuf:"bytes,10,rep,name=envFrom"`

	// volumeMounts are the volumes of the instance that the container uses, with their places.
	// +optional
	// +patchMergeKey=mountPath
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=mountPath
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=mountPath
	// +k8s:maxItems=128
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty" patchStrategy:"merge" patchMergeKey:"mountPath" protobuf:"bytes,11,rep,name=volumeMounts"`

	// livenessProbe stops the container when it fails. The restart policy applies.
	// +optional
	// +k8s:optional
	LivenessProbe *Probe `json:"livenessProbe,omitempty" protobuf:"bytes,12,opt,name=livenessProbe"`

	// readinessProbe decides whether the container, and so the instance, is ready.
	// +optional
	// +k8s:optional
	ReadinessProbe *Probe `json:"readinessProbe,omitempty" protobuf:"bytes,13,opt,name=readinessProbe"`

	// startupProbe decides whether the container has started. The other probes begin after its
	// success, and its failure stops the container.
	// +optional
	// +k8s:optional
	StartupProbe *Probe `json:"startupProbe,omitempty" protobuf:"bytes,14,opt,name=startupProbe"`

	// securityContext has the security settings of the container.
	// +optional
	// +k8s:optional
	SecurityContext *SecurityContext `json:"securityContext,omitempty" protobuf:"bytes,15,opt,name=securityContext"`

	// stdin gives the container a standard input, to which an attach can write. Without it, reads
	// reach the end of the file at once.
	// +optional
	Stdin bool `json:"stdin,omitempty" protobuf:"varint,16,opt,name=stdin"`

	// stdinOnce closes the standard input when the first attached client disconnects. It needs
	// stdin.
	// +optional
	StdinOnce bool `json:"stdinOnce,omitempty" protobuf:"varint,17,opt,name=stdinOnce"`

	// tty gives the container a terminal. It needs stdin.
	// +optional
	TTY bool `json:"tty,omitempty" protobuf:"varint,18,opt,name=tty"`
}

// PullPolicy describes when the image of a container is pulled.
// +enum
// +k8s:enum
type PullPolicy string

const (
	// PullAlways pulls the image at every start.
	PullAlways PullPolicy = "Always"
	// PullIfNotPresent pulls the image if it is not present on the host.
	PullIfNotPresent PullPolicy = "IfNotPresent"
	// PullNever never pulls the image: it must be present on the host.
	PullNever PullPolicy = "Never"
)

// EnvVar is an environment variable.
type EnvVar struct {
	// name of the variable: printable characters without "=".
	// +required
	// +k8s:required
	// +k8s:maxLength=1024
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// value of the variable.
	// +optional
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`

	// valueFrom is the source of the value. It excludes value.
	// +optional
	// +k8s:optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty" protobuf:"bytes,3,opt,name=valueFrom"`
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
	// name of the port: an IANA service name, such as http, that is unique within the container.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// containerPort is the number of the port, from 1 to 65535.
	// +required
	// +k8s:required
	// +k8s:minimum=1
	// +k8s:maximum=65535
	ContainerPort int32 `json:"containerPort" protobuf:"varint,2,opt,name=containerPort"`

	// hostPort is the port of the host on which the container's port is exposed, from 1 to
	// 65535. 0 or absent means none.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	// +k8s:maximum=65535
	HostPort int32 `json:"hostPort,omitempty" protobuf:"varint,3,opt,name=hostPort"`

	// protocol of the port: TCP, UDP or SCTP. Defaults to TCP; an absent value is stored as
	// absent and treated as TCP.
	// +optional
	// +default="TCP"
	Protocol Protocol `json:"protocol,omitempty" protobuf:"bytes,4,opt,name=protocol,casttype=Protocol"`
}

// ResourceRequirements are the compute resources that a container requires and may use at most.
type ResourceRequirements struct {
	// limits are the maximum amounts of resources that the container may use.
	// +optional
	Limits ResourceList `json:"limits,omitempty" protobuf:"bytes,1,rep,name=limits,casttype=ResourceList,castkey=ResourceName"`

	// requests are the amounts of resources that the scheduler reserves for the container. If
	// the request of a resource is absent and its limit is set, the limit is used as the
	// request.
	// +optional
	Requests ResourceList `json:"requests,omitempty" protobuf:"bytes,2,rep,name=requests,casttype=ResourceList,castkey=ResourceName"`
}

// ContainerStatus is the observed state of a container.
type ContainerStatus struct {
	// name of the container, as in spec.containers.
	// +required
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// ready indicates whether the container is operational.
	// +optional
	Ready bool `json:"ready" protobuf:"varint,2,opt,name=ready"`

	// started indicates whether the container has completed its startup.
	// +optional
	Started bool `json:"started,omitempty" protobuf:"varint,3,opt,name=started"`

	// restartCount is the number of times that the container has been restarted.
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

	// containerID is the identifier of the container in its runtime, such as
	// containerd://8fc2...
	// +optional
	ContainerID string `json:"containerID,omitempty" protobuf:"bytes,7,opt,name=containerID"`

	// state is the current state of the container.
	// +optional
	State ContainerState `json:"state,omitempty" protobuf:"bytes,8,opt,name=state"`

	// lastState is the state in which the container last terminated, if it was restarted.
	// +optional
	LastState ContainerState `json:"lastState,omitempty" protobuf:"bytes,9,opt,name=lastState"`
}

// ContainerState is the state of a container: waiting, running or terminated. At most one of
// them is set; if none is set, the container is waiting.
type ContainerState struct {
	// waiting is set while the container has not started.
	// +optional
	Waiting *ContainerStateWaiting `json:"waiting,omitempty" protobuf:"bytes,1,opt,name=waiting"`

	// running is set while the container runs.
	// +optional
	Running *ContainerStateRunning `json:"running,omitempty" protobuf:"bytes,2,opt,name=running"`

	// terminated is set when the container has terminated.
	// +optional
	Terminated *ContainerStateTerminated `json:"terminated,omitempty" protobuf:"bytes,3,opt,name=terminated"`
}

// ContainerStateWaiting describes why a container does not run yet.
type ContainerStateWaiting struct {
	// reason is a brief CamelCase word, such as ImagePullBackOff.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,1,opt,name=reason"`

	// message is the reason in human-readable form.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,2,opt,name=message"`
}

// ContainerStateRunning describes a running container.
type ContainerStateRunning struct {
	// startedAt is the time at which the container was last started.
	// +optional
	// +k8s:opaqueType
	StartedAt metav1.Time `json:"startedAt,omitempty" protobuf:"bytes,1,opt,name=startedAt"`
}

// ContainerStateTerminated describes a terminated container.
type ContainerStateTerminated struct {
	// exitCode is the exit code of the program.
	// +optional
	ExitCode int32 `json:"exitCode" protobuf:"varint,1,opt,name=exitCode"`

	// signal is the signal that terminated the program, if there was one.
	// +optional
	Signal int32 `json:"signal,omitempty" protobuf:"varint,2,opt,name=signal"`

	// reason is a brief CamelCase word, such as Error or OOMKilled.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,3,opt,name=reason"`

	// message is the reason in human-readable form.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,4,opt,name=message"`

	// startedAt is the time at which the container was started.
	// +optional
	// +k8s:opaqueType
	StartedAt metav1.Time `json:"startedAt,omitempty" protobuf:"bytes,5,opt,name=startedAt"`

	// finishedAt is the time at which the container terminated.
	// +optional
	// +k8s:opaqueType
	FinishedAt metav1.Time `json:"finishedAt,omitempty" protobuf:"bytes,6,opt,name=finishedAt"`

	// containerID is the identifier of the container in its runtime.
	// +optional
	ContainerID string `json:"containerID,omitempty" protobuf:"bytes,7,opt,name=containerID"`
}
