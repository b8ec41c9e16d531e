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

import "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"

// Names that several packages, the servers and their clients share are defined in this file and
// nowhere else. Those that upstream defines, such as metav1.ObjectNameField, are used from there.
// The hub cannot import a version, so the name of the group is defined there.

// GroupName is the API group that this package serves.
const GroupName = fleet.GroupName

const (
	// Domain ends the names of the API groups of Gatehouse and the prefixes of the labels that it
	// reserves.
	Domain = "gatehouse.dev"
	// HostLabelDomain is the prefix of the labels that the agent of a host may set on its Host.
	HostLabelDomain = "host." + Domain
)

// Users.
const (
	// HostUserPrefix begins the user name of the agent of a host; the name of the Host follows.
	HostUserPrefix = "system:host:"
	// HostsGroup is the group of the agents of all hosts.
	HostsGroup = "system:hosts"
	// HostJoinGroup is the group of bootstrap tokens with which hosts join. A token with the group of
	// this name, a colon and the name of a host is good for that host only.
	HostJoinGroup = "system:bootstrappers:hosts"
)

// Field selectors of instances, besides metadata.name and metadata.namespace.
const (
	// InstanceHostNameField selects the instances that are bound to a host.
	InstanceHostNameField = "spec.hostName"
	// InstanceServiceAccountNameField selects by service account.
	InstanceServiceAccountNameField = "spec.serviceAccountName"
	// InstanceRestartPolicyField selects by restart policy.
	InstanceRestartPolicyField = "spec.restartPolicy"
	// InstancePhaseField selects by phase.
	InstancePhaseField = "status.phase"
)

// Taints.
const (
	// TaintHostNotReady is the key of the taint on hosts with the condition Ready False.
	TaintHostNotReady = GroupName + "/not-ready"
	// TaintHostUnreachable is the key of the taint on hosts with the condition Ready Unknown: the
	// lease expired.
	TaintHostUnreachable = GroupName + "/unreachable"
	// TaintHostOutOfService is the key of a taint that an operator sets on a host that will
	// not come back: instances that are being deleted there do not wait for its agent.
	TaintHostOutOfService = GroupName + "/out-of-service"
)

// Labels.
const (
	// TemplateHashLabel is on releases and their instances the hash of the template: it keeps
	// the releases of one app from selecting each other's instances.
	TemplateHashLabel = GroupName + "/template-hash"
	// SimulatedHostLabel is on the Host of every simulated host, with the value true.
	SimulatedHostLabel = HostLabelDomain + "/simulated"
)

// Annotations.
const (
	// RevisionAnnotation is on a release its revision number, and on an app that of its newest
	// release. Numbers start at 1.
	RevisionAnnotation = GroupName + "/revision"
	// RevisionHistoryAnnotation is on a release the earlier numbers of the same template, from
	// before a rollback to it; separated by commas.
	RevisionHistoryAnnotation = GroupName + "/revision-history"
	// DesiredReplicasAnnotation is on a release the replicas of its app when the release was last
	// scaled.
	DesiredReplicasAnnotation = GroupName + "/desired-replicas"
	// MaxReplicasAnnotation is on a release the largest number of replicas that its app could have,
	// surge included, when the release was last scaled.
	MaxReplicasAnnotation = GroupName + "/max-replicas"
	// RestartedAtAnnotation is on a template when the app was last restarted: another time makes
	// another template, and so another release.
	RestartedAtAnnotation = GroupName + "/restartedAt"
	// ShadowAnnotation is, with the value true, on a webhook configuration or on a binding of a validating
	// policy that is asked and decides nothing.
	ShadowAnnotation = Domain + "/shadow"
	// DeletionCostAnnotation is on an instance the cost of its deletion, an integer: if a release has
	// too many instances, those with lower costs are deleted first. 0 if absent.
	DeletionCostAnnotation = GroupName + "/deletion-cost"
)

// Keys of the extra information of users with a token that is bound to an instance, like those of pods
// under authentication.kubernetes.io.
const (
	InstanceNameKey = GroupName + "/instance-name"
	InstanceUIDKey  = GroupName + "/instance-uid"
)

// Reasons of conditions that several packages use.
const (
	// AppReasonProgressDeadlineExceeded: Progressing is False, because the rollout made no progress
	// for longer than progressDeadlineSeconds.
	AppReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// AppReasonReleaseCreateError: the release of the newest template cannot be created.
	AppReasonReleaseCreateError = "ReleaseCreateError"
	// AppReasonPaused: the rollout is paused.
	AppReasonPaused = "AppPaused"
	// AppReasonOldInstances: instances of older versions are left.
	AppReasonOldInstances = "OldInstances"
	// ReasonInstancesUnavailable: instances of an app or a release are missing or not available, for no
	// known reason.
	ReasonInstancesUnavailable = "InstancesUnavailable"
	// ReasonChangedAtAdmission: admission changes what the controller of an app or a release writes.
	ReasonChangedAtAdmission = "ChangedAtAdmission"
)
