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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResourceName names something of which a host has a countable amount.
// cpu (cores), memory (bytes) and instances (slots) are known to Gatehouse; every other
// name is an extended resource and carries a domain, such as example.com/gpu.
type ResourceName string

const (
	// ResourceCPU is processor time, in cores: 500m is half a core.
	ResourceCPU ResourceName = "cpu"
	// ResourceMemory is working memory, in bytes: 1Gi is 2^30 bytes.
	ResourceMemory ResourceName = "memory"
	// ResourceInstances is the number of instances that a host takes at the same time.
	ResourceInstances ResourceName = "instances"
)

// ResourceList maps the name of a resource to an amount of it.
type ResourceList map[ResourceName]resource.Quantity

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:supportsSubresource="/status"

// Host is a machine outside the cluster on which instances run. Its agent registers it,
// reports its condition and its resources in status, and watches for the instances that
// are bound to it.
type Host struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is the host's name: a DNS subdomain.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says what the operator wants of the host.
	// +optional
	Spec HostSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status is what the host's agent and the host lifecycle controller last reported.
	// Written through the status subresource only.
	// +optional
	Status HostStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// HostSpec is what the operator wants of a host.
type HostSpec struct {
	// unschedulable keeps new instances away from the host; those already there stay.
	// +optional
	Unschedulable bool `json:"unschedulable,omitempty" protobuf:"varint,1,opt,name=unschedulable"`

	// taints keep away every instance that does not tolerate them. At most 64 besides
	// those of the host lifecycle controller, and no two with the same key and effect.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=key
	// +k8s:listMapKey=effect
	// +k8s:maxItems=68
	Taints []Taint `json:"taints,omitempty" protobuf:"bytes,2,rep,name=taints"`
}

// TaintEffect is what a taint does to instances that do not tolerate it.
// +enum
// +k8s:enum
type TaintEffect string

const (
	// TaintEffectNoSchedule keeps new instances off the host; those already there stay.
	TaintEffectNoSchedule TaintEffect = "NoSchedule"
	// TaintEffectNoExecute keeps new instances off the host and evicts those already there.
	TaintEffectNoExecute TaintEffect = "NoExecute"
)

const (
	// TaintHostNotReady is the key of the taint on hosts whose condition Ready is False.
	TaintHostNotReady = "fleet.gatehouse.dev/not-ready"
	// TaintHostUnreachable is the key of the taint on hosts that have not been heard of for
	// too long: their condition Ready is Unknown.
	TaintHostUnreachable = "fleet.gatehouse.dev/unreachable"
	// TaintHostOutOfService is the key of a taint that an operator sets on a host that will
	// not come back by itself: what is being deleted there need not wait for it.
	TaintHostOutOfService = "fleet.gatehouse.dev/out-of-service"
)

// Taint keeps instances that do not tolerate it away from a host.
type Taint struct {
	// key names the taint, as a label key: fleet.gatehouse.dev/not-ready.
	// +required
	// +k8s:required
	// +k8s:format=k8s-label-key
	Key string `json:"key" protobuf:"bytes,1,opt,name=key"`

	// value belongs to the key, as a label value. May be empty.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-value
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`

	// effect is what happens to instances that do not tolerate the taint: NoSchedule keeps
	// new ones off, NoExecute also evicts those already there.
	// +required
	// +k8s:required
	Effect TaintEffect `json:"effect" protobuf:"bytes,3,opt,name=effect,casttype=TaintEffect"`
}

// HostStatus is what is known of a host.
type HostStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status had seen.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// capacity is all that the host has, by resource: cpu, memory, instances, and extended
	// resources such as example.com/gpu.
	// +optional
	Capacity ResourceList `json:"capacity,omitempty" protobuf:"bytes,2,rep,name=capacity,casttype=ResourceList,castkey=ResourceName"`

	// allocatable is the part of capacity that instances may use. Where it is absent,
	// capacity counts.
	// +optional
	Allocatable ResourceList `json:"allocatable,omitempty" protobuf:"bytes,3,rep,name=allocatable,casttype=ResourceList,castkey=ResourceName"`

	// conditions tell the host's state. Ready comes first: True when the agent is up and can
	// run instances, Unknown when it has not been heard of for too long.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=type
	// +k8s:maxItems=32
	// +k8s:eachVal=+k8s:opaqueType
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,4,rep,name=conditions"`

	// addresses are where the host can be reached, the preferred one first.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=32
	Addresses []HostAddress `json:"addresses,omitempty" protobuf:"bytes,5,rep,name=addresses"`

	// info describes the host's system and its agent.
	// +optional
	Info HostInfo `json:"info,omitempty" protobuf:"bytes,6,opt,name=info"`
}

const (
	// HostConditionReady says whether the host's agent is up and can run instances.
	HostConditionReady = "Ready"
	// HostReasonNotReported is the reason of a condition Ready that the server sets on a new host:
	// its agent has not reported yet.
	HostReasonNotReported = "NotReported"
)

// HostAddressType tells what kind of address it is.
// +enum
// +k8s:enum
type HostAddressType string

const (
	// HostInternalIP is an IP address that is reachable within the host's own network.
	HostInternalIP HostAddressType = "InternalIP"
	// HostExternalIP is an IP address that is reachable from elsewhere.
	HostExternalIP HostAddressType = "ExternalIP"
	// HostHostname is a name that resolves to the host.
	HostHostname HostAddressType = "Hostname"
)

// HostAddress is one way to reach a host.
type HostAddress struct {
	// type tells what kind of address it is: InternalIP, ExternalIP or Hostname.
	// +required
	// +k8s:required
	Type HostAddressType `json:"type" protobuf:"bytes,1,opt,name=type,casttype=HostAddressType"`

	// address is the address itself: an IP address, or a DNS name for type Hostname.
	// +required
	// +k8s:required
	// +k8s:maxLength=253
	Address string `json:"address" protobuf:"bytes,2,opt,name=address"`
}

// HostInfo describes a host's system and its agent.
type HostInfo struct {
	// operatingSystem is the name of the operating system: linux.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	OperatingSystem string `json:"operatingSystem,omitempty" protobuf:"bytes,1,opt,name=operatingSystem"`

	// architecture is the processor's architecture, as Go names it: amd64, arm64.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Architecture string `json:"architecture,omitempty" protobuf:"bytes,2,opt,name=architecture"`

	// kernelVersion is what the kernel says of its version.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	KernelVersion string `json:"kernelVersion,omitempty" protobuf:"bytes,3,opt,name=kernelVersion"`

	// agentVersion is the version of the host's agent.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	AgentVersion string `json:"agentVersion,omitempty" protobuf:"bytes,4,opt,name=agentVersion"`

	// runtimeVersion names what runs the containers, and its version: containerd://2.2.0.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	RuntimeVersion string `json:"runtimeVersion,omitempty" protobuf:"bytes,5,opt,name=runtimeVersion"`

	// machineID is the machine's own identifier, such as the content of /etc/machine-id.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	MachineID string `json:"machineID,omitempty" protobuf:"bytes,6,opt,name=machineID"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostList is a list of hosts.
type HostList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the hosts.
	Items []Host `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostLease is a host's heartbeat: a small object of the host's name that its agent
// renews often, so that the large Host object need not be written.
type HostLease struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is the name of the host.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the heartbeat.
	// +optional
	Spec HostLeaseSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// HostLeaseSpec is a host's heartbeat.
type HostLeaseSpec struct {
	// renewTime is when the agent last renewed the lease, by its own clock.
	// +optional
	// +k8s:opaqueType
	RenewTime *metav1.MicroTime `json:"renewTime,omitempty" protobuf:"bytes,1,opt,name=renewTime"`

	// leaseDurationSeconds is for how long after renewTime the host counts as alive, in
	// seconds. At least 1; 40 where nothing is said.
	// +optional
	// +default=40
	// +k8s:optional
	// +k8s:minimum=1
	LeaseDurationSeconds *int32 `json:"leaseDurationSeconds,omitempty" protobuf:"varint,2,opt,name=leaseDurationSeconds"`

	// holderIdentity says who renews the lease; by custom the host's name.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	HolderIdentity string `json:"holderIdentity,omitempty" protobuf:"bytes,3,opt,name=holderIdentity"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostLeaseList is a list of host leases.
type HostLeaseList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the host leases.
	Items []HostLease `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +genclient:method=Bind,verb=create,subresource=binding,input=Binding,result=k8s.io/apimachinery/pkg/apis/meta/v1.Status
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:supportsSubresource="/status"
// +k8s:supportsSubresource="/binding"

// Instance is one copy of a workload, running on one host. The scheduler binds it to a
// host; that host's agent runs it and reports its status.
type Instance struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says what is to run. After creation only containers[*].image,
	// activeDeadlineSeconds (shorter, or newly set) and added tolerations may change.
	// +required
	Spec InstanceSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is what the agent of the instance's host last reported. Written through the
	// status subresource only.
	// +optional
	Status InstanceStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// RestartPolicy says when containers that have ended are started again.
// +enum
// +k8s:enum
type RestartPolicy string

const (
	// RestartPolicyAlways starts a container again however it ended.
	RestartPolicyAlways RestartPolicy = "Always"
	// RestartPolicyOnFailure starts a container again when it ended with an error.
	RestartPolicyOnFailure RestartPolicy = "OnFailure"
	// RestartPolicyNever leaves a container that has ended as it is.
	RestartPolicyNever RestartPolicy = "Never"
)

// InstanceSpec says what an instance is to run, and where it may.
type InstanceSpec struct {
	// containers are what runs, side by side on one host: 1 to 16, each with a name of its own.
	// +required
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:required
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=16
	Containers []Container `json:"containers" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,1,rep,name=containers"`

	// hostName is the host that runs the instance. Empty until the instance is bound; set
	// only by creating a Binding at the binding subresource, never in a create or an update.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	HostName string `json:"hostName,omitempty" protobuf:"bytes,2,opt,name=hostName"`

	// hostSelector limits the hosts that the scheduler considers to those that carry all of
	// these labels.
	// +optional
	// +mapType=atomic
	HostSelector map[string]string `json:"hostSelector,omitempty" protobuf:"bytes,3,rep,name=hostSelector"`

	// tolerations let the instance onto hosts in spite of matching taints.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=128
	Tolerations []Toleration `json:"tolerations,omitempty" protobuf:"bytes,4,rep,name=tolerations"`

	// restartPolicy says when containers that have ended are started again: Always
	// (default), OnFailure or Never.
	// +optional
	// +default="Always"
	// +k8s:optional
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty" protobuf:"bytes,5,opt,name=restartPolicy,casttype=RestartPolicy"`

	// serviceAccountName is the service account, in the instance's namespace, as which the
	// instance may talk to the API.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-long-name
	ServiceAccountName string `json:"serviceAccountName,omitempty" protobuf:"bytes,6,opt,name=serviceAccountName"`

	// terminationGracePeriodSeconds is how long the containers have between being asked to
	// stop and being killed, in seconds; 30 where nothing is said, 0 kills at once.
	// +optional
	// +default=30
	// +k8s:optional
	// +k8s:minimum=0
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty" protobuf:"varint,7,opt,name=terminationGracePeriodSeconds"`

	// activeDeadlineSeconds is how long the instance may be active on a host, counted from
	// status.startTime, before it is stopped and marked Failed; in seconds, at least 1. It
	// may be set or made shorter later, never longer.
	// +optional
	// +k8s:optional
	// +k8s:minimum=1
	// +k8s:maximum=2147483647
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty" protobuf:"varint,8,opt,name=activeDeadlineSeconds"`
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

// TolerationOperator says how a toleration compares a taint's value with its own.
// +enum
// +k8s:enum
type TolerationOperator string

const (
	// TolerationOpExists matches every value.
	TolerationOpExists TolerationOperator = "Exists"
	// TolerationOpEqual matches the same value only.
	TolerationOpEqual TolerationOperator = "Equal"
)

// Toleration lets an instance onto hosts in spite of the taints that it matches.
type Toleration struct {
	// key is the key of the taint. Empty matches every key, and then the operator must be Exists.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-key
	Key string `json:"key,omitempty" protobuf:"bytes,1,opt,name=key"`

	// operator says how the values are compared: Equal (default) or Exists.
	// +optional
	// +k8s:optional
	Operator TolerationOperator `json:"operator,omitempty" protobuf:"bytes,2,opt,name=operator,casttype=TolerationOperator"`

	// value is the taint's value to match. Must be empty when the operator is Exists.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-value
	Value string `json:"value,omitempty" protobuf:"bytes,3,opt,name=value"`

	// effect is the effect of the taint. Empty matches every effect.
	// +optional
	// +k8s:optional
	Effect TaintEffect `json:"effect,omitempty" protobuf:"bytes,4,opt,name=effect,casttype=TaintEffect"`

	// tolerationSeconds is for how long a NoExecute taint is tolerated, in seconds; absent
	// means forever, zero or less evicts at once. Only with effect NoExecute.
	// +optional
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty" protobuf:"varint,5,opt,name=tolerationSeconds"`
}

// InstancePhase sums up where an instance is in its life.
// +enum
// +k8s:enum
type InstancePhase string

const (
	// InstancePending means accepted, but not all containers have been started.
	InstancePending InstancePhase = "Pending"
	// InstanceRunning means bound to a host, and at least one container runs or restarts.
	InstanceRunning InstancePhase = "Running"
	// InstanceSucceeded means that all containers have ended without error and will not be started again.
	InstanceSucceeded InstancePhase = "Succeeded"
	// InstanceFailed means that all containers have ended, at least one of them with an error.
	InstanceFailed InstancePhase = "Failed"
	// InstanceUnknown means that the host has not been heard of.
	InstanceUnknown InstancePhase = "Unknown"
)

const (
	// InstanceConditionScheduled says whether the instance has been bound to a host.
	InstanceConditionScheduled = "Scheduled"
	// InstanceConditionContainersReady says whether all containers are ready.
	InstanceConditionContainersReady = "ContainersReady"
	// InstanceConditionReady says whether the instance does its work.
	InstanceConditionReady = "Ready"
	// InstanceConditionStalled says whether the instance has failed for good and cannot become
	// ready any more. The server sets it.
	InstanceConditionStalled = "Stalled"
)

// InstanceStatus is what is known of an instance.
type InstanceStatus struct {
	// observedGeneration is the metadata.generation that the writer of this status had seen.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// phase sums up where the instance is in its life: Pending, Running, Succeeded, Failed
	// or Unknown.
	// +optional
	// +k8s:optional
	Phase InstancePhase `json:"phase,omitempty" protobuf:"bytes,2,opt,name=phase,casttype=InstancePhase"`

	// conditions tell the instance's state: Scheduled, ContainersReady, Ready.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=type
	// +k8s:maxItems=32
	// +k8s:eachVal=+k8s:opaqueType
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,3,rep,name=conditions"`

	// reason is a short CamelCase word for why the instance is in its phase, such as Evicted.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=256
	Reason string `json:"reason,omitempty" protobuf:"bytes,4,opt,name=reason"`

	// message says the same for people.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=32768
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`

	// hostIP is an IP address of the instance's host.
	// +optional
	// +k8s:optional
	HostIP string `json:"hostIP,omitempty" protobuf:"bytes,6,opt,name=hostIP"`

	// instanceIP is the instance's own IP address, where it has one.
	// +optional
	// +k8s:optional
	InstanceIP string `json:"instanceIP,omitempty" protobuf:"bytes,7,opt,name=instanceIP"`

	// startTime is when the host's agent accepted the instance.
	// +optional
	// +k8s:opaqueType
	StartTime *metav1.Time `json:"startTime,omitempty" protobuf:"bytes,8,opt,name=startTime"`

	// containerStatuses tell of each container, by its name.
	// +optional
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	// +k8s:optional
	// +k8s:listType=map
	// +k8s:listMapKey=name
	// +k8s:maxItems=16
	ContainerStatuses []ContainerStatus `json:"containerStatuses,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,9,rep,name=containerStatuses"`
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

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceList is a list of instances.
type InstanceList struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	// +k8s:opaqueType
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the instances.
	Items []Instance `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Binding ties an instance to a host. It is created at the binding subresource of the
// instance, and is the only way to set spec.hostName.
type Binding struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name, where given, must be that of the instance; uid and
	// resourceVersion, where given, must be those of the instance as it is stored.
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// target is the host that shall run the instance.
	// +required
	Target BindingTarget `json:"target" protobuf:"bytes,2,opt,name=target"`
}

// BindingTarget names the host of a binding.
type BindingTarget struct {
	// kind of the target: Host, which is also meant where nothing is said.
	// +optional
	// +default="Host"
	Kind string `json:"kind,omitempty" protobuf:"bytes,1,opt,name=kind"`

	// name of the host.
	// +required
	Name string `json:"name" protobuf:"bytes,2,opt,name=name"`
}
