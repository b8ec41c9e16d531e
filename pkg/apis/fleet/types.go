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

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Host is a machine outside the cluster on which instances run. Its agent registers it,
// reports its condition and its resources in status, and watches for the instances that
// are bound to it.
type Host struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   HostSpec
	Status HostStatus
}

// HostSpec is the desired state of a host.
type HostSpec struct {
	Unschedulable bool
	Taints        []Taint
}

// TaintEffect is what a taint does to instances that do not tolerate it.
type TaintEffect string

const (
	// TaintEffectNoSchedule keeps new instances off the host; those already there stay.
	TaintEffectNoSchedule TaintEffect = "NoSchedule"
	// TaintEffectNoExecute keeps new instances off the host and evicts those already there.
	TaintEffectNoExecute TaintEffect = "NoExecute"
)

// Taint keeps instances that do not tolerate it away from a host.
type Taint struct {
	Key    string
	Value  string
	Effect TaintEffect
}

// HostStatus is what is known of a host.
type HostStatus struct {
	ObservedGeneration int64
	Capacity           ResourceList
	Allocatable        ResourceList
	Conditions         []metav1.Condition
	Addresses          []HostAddress
	Info               HostInfo
}

const (
	// HostConditionReady reports whether the host's agent is up and can run instances.
	HostConditionReady = "Ready"
	// HostReasonNotReported is the reason of a condition Ready that the server sets on a new host:
	// its agent has not reported yet.
	HostReasonNotReported = "NotReported"
)

// HostAddressType is the kind of an address.
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
	Type    HostAddressType
	Address string
}

// HostInfo describes a host's system and its agent.
type HostInfo struct {
	OperatingSystem string
	Architecture    string
	KernelVersion   string
	AgentVersion    string
	RuntimeVersion  string
	MachineID       string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostList is a list of hosts.
type HostList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Host
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostLease is a host's heartbeat: a small object of the host's name that its agent
// renews often, so that the large Host object need not be written.
type HostLease struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec HostLeaseSpec
}

// HostLeaseSpec is a host's heartbeat.
type HostLeaseSpec struct {
	RenewTime            *metav1.MicroTime
	LeaseDurationSeconds *int32
	HolderIdentity       string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// HostLeaseList is a list of host leases.
type HostLeaseList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []HostLease
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Instance is one copy of a workload, running on one host. The scheduler binds it to a
// host; that host's agent runs it and reports its status.
type Instance struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   InstanceSpec
	Status InstanceStatus
}

// RestartPolicy is when containers that have ended are started again.
type RestartPolicy string

const (
	// RestartPolicyAlways starts a container again however it ended.
	RestartPolicyAlways RestartPolicy = "Always"
	// RestartPolicyOnFailure starts a container again when it ended with an error.
	RestartPolicyOnFailure RestartPolicy = "OnFailure"
	// RestartPolicyNever leaves a container that has ended as it is.
	RestartPolicyNever RestartPolicy = "Never"
)

// InstanceSpec is what an instance runs, and where.
type InstanceSpec struct {
	Containers                    []Container
	HostName                      string
	HostSelector                  map[string]string
	Tolerations                   []Toleration
	RestartPolicy                 RestartPolicy
	ServiceAccountName            string
	TerminationGracePeriodSeconds *int64
	ActiveDeadlineSeconds         *int64
	HostNetwork                   bool
	Volumes                       []Volume
	ImagePullSecrets              []LocalObjectReference
	AutomountServiceAccountToken  *bool
	StopAfterDisconnectSeconds    *int64
}

// PullPolicy is when the image of a container is pulled.
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
	Name            string
	Image           string
	Command         []string
	Args            []string
	WorkingDir      string
	Env             []EnvVar
	Ports           []ContainerPort
	Resources       ResourceRequirements
	ImagePullPolicy PullPolicy
	EnvFrom         []EnvFromSource
	VolumeMounts    []VolumeMount
	LivenessProbe   *Probe
	ReadinessProbe  *Probe
	StartupProbe    *Probe
	SecurityContext *SecurityContext
	Stdin           bool
	StdinOnce       bool
	TTY             bool
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name      string
	Value     string
	ValueFrom *EnvVarSource
}

// Protocol is a transport protocol.
type Protocol string

const (
	// ProtocolTCP is the Transmission Control Protocol.
	ProtocolTCP Protocol = "TCP"
	// ProtocolUDP is the User Datagram Protocol.
	ProtocolUDP Protocol = "UDP"
	// ProtocolSCTP is the Stream Control Transmission Protocol.
	ProtocolSCTP Protocol = "SCTP"
)

// ContainerPort is a network port on which a container listens. An absent protocol is TCP.
type ContainerPort struct {
	Name          string
	ContainerPort int32
	HostPort      int32
	Protocol      Protocol
}

// ResourceRequirements are what a container needs and what it may use at the most.
type ResourceRequirements struct {
	Limits   ResourceList
	Requests ResourceList
}

// TolerationOperator is how a toleration compares the value of a taint with its own.
type TolerationOperator string

const (
	// TolerationOpExists matches every value.
	TolerationOpExists TolerationOperator = "Exists"
	// TolerationOpEqual matches the same value only.
	TolerationOpEqual TolerationOperator = "Equal"
)

// Toleration lets an instance onto hosts in spite of the taints that it matches.
type Toleration struct {
	Key               string
	Operator          TolerationOperator
	Value             string
	Effect            TaintEffect
	TolerationSeconds *int64
}

// InstancePhase sums up where an instance is in its life.
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
	// InstanceUnknown means that the lease of the host has expired.
	InstanceUnknown InstancePhase = "Unknown"
)

const (
	// InstanceConditionScheduled reports whether the instance has been bound to a host.
	InstanceConditionScheduled = "Scheduled"
	// InstanceConditionContainersReady reports whether all containers are ready.
	InstanceConditionContainersReady = "ContainersReady"
	// InstanceConditionReady reports whether the instance does its work.
	InstanceConditionReady = "Ready"
	// InstanceConditionStalled reports whether the instance has failed for good and cannot become
	// ready any more. The server sets it.
	InstanceConditionStalled = "Stalled"
)

// InstanceStatus is what is known of an instance.
type InstanceStatus struct {
	ObservedGeneration int64
	Phase              InstancePhase
	Conditions         []metav1.Condition
	Reason             string
	Message            string
	HostIP             string
	InstanceIP         string
	StartTime          *metav1.Time
	ContainerStatuses  []ContainerStatus
}

// ContainerStatus is what is known of one container.
type ContainerStatus struct {
	Name         string
	Ready        bool
	Started      bool
	RestartCount int32
	Image        string
	ImageID      string
	ContainerID  string
	State        ContainerState
	LastState    ContainerState
}

// ContainerState is what a container does: waiting, running or terminated; at most one
// of them is set, and none means waiting.
type ContainerState struct {
	Waiting    *ContainerStateWaiting
	Running    *ContainerStateRunning
	Terminated *ContainerStateTerminated
}

// ContainerStateWaiting is why a container does not run yet.
type ContainerStateWaiting struct {
	Reason  string
	Message string
}

// ContainerStateRunning is since when a container runs.
type ContainerStateRunning struct {
	StartedAt metav1.Time
}

// ContainerStateTerminated is how a container ended.
type ContainerStateTerminated struct {
	ExitCode    int32
	Signal      int32
	Reason      string
	Message     string
	StartedAt   metav1.Time
	FinishedAt  metav1.Time
	ContainerID string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// InstanceList is a list of instances.
type InstanceList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Instance
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Binding ties an instance to a host. It is created at the binding subresource of the
// instance, and is the only way to set spec.hostName.
type Binding struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Target BindingTarget
}

// BindingTarget names the host of a binding.
type BindingTarget struct {
	Kind string
	Name string
}
