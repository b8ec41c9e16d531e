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

// TraceStopName is a stage of the path of a request.
// +enum
type TraceStopName string

const (
	// StopStart is the start of the server, which refuses requests until it has read roles and policies.
	StopStart TraceStopName = "Start"
	// StopAuthentication is authentication.
	StopAuthentication TraceStopName = "Authentication"
	// StopImpersonation is the authorization of an impersonation.
	StopImpersonation TraceStopName = "Impersonation"
	// StopFlowControl is API priority and fairness.
	StopFlowControl TraceStopName = "FlowControl"
	// StopAuthorization is authorization.
	StopAuthorization TraceStopName = "Authorization"
	// StopLimits is the limits of watches, bodies and memory.
	StopLimits TraceStopName = "Limits"
	// StopDecoding is the body and the parameters of the request.
	StopDecoding TraceStopName = "Decoding"
	// StopMutatingAdmission is the mutating admission plugins.
	StopMutatingAdmission TraceStopName = "MutatingAdmission"
	// StopValidation is the validation of the object.
	StopValidation TraceStopName = "Validation"
	// StopValidatingAdmission is the validating admission plugins.
	StopValidatingAdmission TraceStopName = "ValidatingAdmission"
	// StopStorage is the storage.
	StopStorage TraceStopName = "Storage"
)

// Verdict is the outcome of a request.
// +enum
type Verdict string

const (
	// VerdictAllowed means that the request succeeded.
	VerdictAllowed Verdict = "Allowed"
	// VerdictRefused means that a gate refused the request.
	VerdictRefused Verdict = "Refused"
	// VerdictFailed means that no gate refused the request, but it did not succeed.
	VerdictFailed Verdict = "Failed"
)

// StopVerdict is what one gate said.
// +enum
type StopVerdict string

const (
	// StopPassed means that the gate let the request pass.
	StopPassed StopVerdict = "Passed"
	// StopNoOpinion means that the gate left the decision to the next one.
	StopNoOpinion StopVerdict = "NoOpinion"
	// StopRefused means that the gate refused the request.
	StopRefused StopVerdict = "Refused"
	// StopIgnored means that the gate failed, and its failurePolicy is Ignore, or it is in shadow.
	StopIgnored StopVerdict = "Ignored"
	// StopSkipped means that a review left out the gate, which has side effects.
	StopSkipped StopVerdict = "Skipped"
	// StopWouldRefuse means that the webhook or the policy is against the request and decides nothing: it is
	// in shadow, or the validationActions of the binding are without Deny.
	StopWouldRefuse StopVerdict = "WouldRefuse"
	// StopNotCalled means that the webhook or the policy was not called; the reason has the cause.
	StopNotCalled StopVerdict = "NotCalled"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RequestTrace is what each gate of a server said about one request. A server keeps the latest
// requests in memory, refusals apart from the others, and forgets them when it stops; each server
// has its own. The name is the Audit-ID of the request. A trace never contains a body, a secret, a
// token, or a value that a request or a webhook set.
type RequestTrace struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The name is the Audit-ID of the request.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// server is the identity of the server that handled the request.
	Server string `json:"server" protobuf:"bytes,2,opt,name=server"`

	// receivedTime is the time at which the server received the request.
	ReceivedTime metav1.MicroTime `json:"receivedTime" protobuf:"bytes,3,opt,name=receivedTime"`

	// user is the user of the request. It is empty if no authenticator recognised one.
	User TracedUser `json:"user" protobuf:"bytes,4,opt,name=user"`

	// request is what the user requested.
	Request TracedRequest `json:"request" protobuf:"bytes,5,opt,name=request"`

	// verdict is Allowed, Refused (a gate of the server decided against the request) or Failed (no gate
	// refused it, but it did not succeed, for example because the object does not exist).
	Verdict Verdict `json:"verdict" protobuf:"bytes,6,opt,name=verdict,casttype=Verdict"`

	// code is the HTTP status code of the response; 0 if the connection ended before.
	Code int32 `json:"code" protobuf:"varint,7,opt,name=code"`

	// reason is the reason of the response in the words of the API, for example Forbidden; empty for a
	// success.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,8,opt,name=reason"`

	// decidedBy is the gate that refused the request, or at which it failed or timed out. It is absent if
	// the request succeeded.
	// +optional
	DecidedBy *Decision `json:"decidedBy,omitempty" protobuf:"bytes,9,opt,name=decidedBy"`

	// timedOut is true if the time of the request ended before its response; decidedBy is then the gate
	// that had the request at that time.
	// +optional
	TimedOut bool `json:"timedOut,omitempty" protobuf:"varint,10,opt,name=timedOut"`

	// latency is the time from the receipt of the request to the end of its response; for a watch, to the
	// beginning of its response.
	Latency metav1.Duration `json:"latency" protobuf:"bytes,11,opt,name=latency"`

	// stops is what each gate said, in the order of the gates. Gates that the request did not reach are
	// absent.
	// +optional
	// +listType=atomic
	Stops []TraceStop `json:"stops,omitempty" protobuf:"bytes,12,rep,name=stops"`

	// nearMisses are the grants of roles to the user that came closest to allowing a request that roles did
	// not allow, the closest first. The server computes them when a client gets the trace, from the
	// roles and bindings of that moment; a list does not have them.
	// +optional
	// +listType=atomic
	NearMisses []NearMiss `json:"nearMisses,omitempty" protobuf:"bytes,13,rep,name=nearMisses"`

	// cure is the command that grants the least by which the request would have been allowed. Only
	// clients that may create the binding get it.
	// +optional
	Cure string `json:"cure,omitempty" protobuf:"bytes,14,opt,name=cure"`
}

// TracedUser is the user of a request.
type TracedUser struct {
	// username is the name of the user. After an impersonation, it is that of the impersonated user.
	// +optional
	Username string `json:"username,omitempty" protobuf:"bytes,1,opt,name=username"`

	// uid is the UID of the user, if the authenticator knows one.
	// +optional
	UID string `json:"uid,omitempty" protobuf:"bytes,2,opt,name=uid"`

	// groups are the groups of the user, 32 at most.
	// +optional
	// +listType=atomic
	Groups []string `json:"groups,omitempty" protobuf:"bytes,3,rep,name=groups"`

	// impersonatedBy is the user that acted as this one; empty without impersonation. Only that user, and
	// users that may read all traces, get it.
	// +optional
	ImpersonatedBy string `json:"impersonatedBy,omitempty" protobuf:"bytes,4,opt,name=impersonatedBy"`

	// credentialID identifies the credential of the user, or of the user that impersonated it, if the
	// authenticator names it: the ID of a token, or the fingerprint of a certificate.
	// +optional
	CredentialID string `json:"credentialID,omitempty" protobuf:"bytes,5,opt,name=credentialID"`
}

// TracedRequest is what a request asked for.
type TracedRequest struct {
	// verb is the verb of the API, or the HTTP method in lower case for a path of no resource.
	// +optional
	Verb string `json:"verb,omitempty" protobuf:"bytes,1,opt,name=verb"`

	// apiGroup is the group of the resource; empty for the core group.
	// +optional
	APIGroup string `json:"apiGroup,omitempty" protobuf:"bytes,2,opt,name=apiGroup"`

	// apiVersion is the version of the resource.
	// +optional
	APIVersion string `json:"apiVersion,omitempty" protobuf:"bytes,3,opt,name=apiVersion"`

	// resource is the resource in the plural; empty for a path of no resource.
	// +optional
	Resource string `json:"resource,omitempty" protobuf:"bytes,4,opt,name=resource"`

	// subresource is the subresource; empty for none.
	// +optional
	Subresource string `json:"subresource,omitempty" protobuf:"bytes,5,opt,name=subresource"`

	// namespace is the namespace of the object; empty for none.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,6,opt,name=namespace"`

	// name is the name of the object; empty for a list, and for a create that admission did not see.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,7,opt,name=name"`

	// path is the path of the URL, without the query, if the request is for no resource.
	// +optional
	Path string `json:"path,omitempty" protobuf:"bytes,8,opt,name=path"`

	// userAgent is the program that the client named.
	// +optional
	UserAgent string `json:"userAgent,omitempty" protobuf:"bytes,9,opt,name=userAgent"`

	// sourceIP is the address of the connection.
	// +optional
	SourceIP string `json:"sourceIP,omitempty" protobuf:"bytes,10,opt,name=sourceIP"`
}

// Decision names a gate.
type Decision struct {
	// stop is the stage of the request's path.
	Stop TraceStopName `json:"stop" protobuf:"bytes,1,opt,name=stop,casttype=TraceStopName"`

	// by is the part of the stage that decided, for example an authorizer or an admission plugin.
	// +optional
	By string `json:"by,omitempty" protobuf:"bytes,2,opt,name=by"`
}

// TraceStop is what one gate said about a request.
type TraceStop struct {
	// stop is the stage of the request's path.
	Stop TraceStopName `json:"stop" protobuf:"bytes,1,opt,name=stop,casttype=TraceStopName"`

	// by is the part of the stage: an authenticator, a flow schema, an authorizer, an admission plugin, a
	// webhook as CONFIGURATION/WEBHOOK, or a policy.
	// +optional
	By string `json:"by,omitempty" protobuf:"bytes,2,opt,name=by"`

	// verdict is what it said.
	Verdict StopVerdict `json:"verdict" protobuf:"bytes,3,opt,name=verdict,casttype=StopVerdict"`

	// reason is the cause of the verdict. The texts of webhooks and policies, and values of the object, are
	// left out.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,4,opt,name=reason"`

	// latency is the time that the gate took, all calls together.
	// +optional
	Latency metav1.Duration `json:"latency,omitempty" protobuf:"bytes,5,opt,name=latency"`

	// calls is the number of times that the gate ran if it ran more than once: admission runs again after
	// a mutation, and when a write meets another one.
	// +optional
	Calls int32 `json:"calls,omitempty" protobuf:"varint,6,opt,name=calls"`

	// changed is true if the gate changed the object.
	// +optional
	Changed bool `json:"changed,omitempty" protobuf:"varint,7,opt,name=changed"`

	// changedPaths are the fields that the gate changed, 16 at most, if it reported them.
	// +optional
	// +listType=atomic
	ChangedPaths []string `json:"changedPaths,omitempty" protobuf:"bytes,8,rep,name=changedPaths"`

	// priorityLevel is the priority level of flow control.
	// +optional
	PriorityLevel string `json:"priorityLevel,omitempty" protobuf:"bytes,9,opt,name=priorityLevel"`

	// grant is the binding and the role by which roles allowed the request.
	// +optional
	Grant *TraceGrant `json:"grant,omitempty" protobuf:"bytes,10,opt,name=grant"`

	// objects are the versions of the objects that the gate evaluated: a webhook configuration, or a policy
	// and its binding.
	// +optional
	// +listType=atomic
	Objects []TracedObject `json:"objects,omitempty" protobuf:"bytes,11,rep,name=objects"`

	// quotas are the ResourceQuotas that count what the request creates.
	// +optional
	// +listType=atomic
	Quotas []TracedQuota `json:"quotas,omitempty" protobuf:"bytes,12,rep,name=quotas"`

	// seats are what flow control knows of the seats.
	// +optional
	Seats *TracedSeats `json:"seats,omitempty" protobuf:"bytes,13,opt,name=seats"`

	// otherWrites are the writes with which the request is in conflict: the last one, or with server-side
	// apply the last one of each manager that owns a field.
	// +optional
	// +listType=atomic
	OtherWrites []TracedWrite `json:"otherWrites,omitempty" protobuf:"bytes,14,rep,name=otherWrites"`

	// shadow is true for a webhook or a policy that is called and decides nothing.
	// +optional
	Shadow bool `json:"shadow,omitempty" protobuf:"varint,15,opt,name=shadow"`

	// etcdLatency is the part of the time of storage that etcd took.
	// +optional
	EtcdLatency *metav1.Duration `json:"etcdLatency,omitempty" protobuf:"bytes,16,opt,name=etcdLatency"`
}

// TraceGrant is a binding with its role, as they were when they allowed a request.
type TraceGrant struct {
	// binding is the RoleBinding or ClusterRoleBinding.
	Binding TracedObject `json:"binding" protobuf:"bytes,1,opt,name=binding"`

	// role is the Role or ClusterRole.
	Role TracedObject `json:"role" protobuf:"bytes,2,opt,name=role"`
}

// TracedObject is an object in one version.
type TracedObject struct {
	// kind is the kind.
	Kind string `json:"kind" protobuf:"bytes,1,opt,name=kind"`

	// namespace is the namespace; empty for none.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,2,opt,name=namespace"`

	// name is the name.
	Name string `json:"name" protobuf:"bytes,3,opt,name=name"`

	// uid is the UID.
	// +optional
	UID string `json:"uid,omitempty" protobuf:"bytes,4,opt,name=uid"`

	// resourceVersion is the version.
	// +optional
	ResourceVersion string `json:"resourceVersion,omitempty" protobuf:"bytes,5,opt,name=resourceVersion"`
}

// NearMiss is a rule of a role that is bound to the user and that does not allow the request.
type NearMiss struct {
	// binding is the RoleBinding or ClusterRoleBinding.
	Binding TracedObject `json:"binding" protobuf:"bytes,1,opt,name=binding"`

	// role is the Role or ClusterRole.
	Role TracedObject `json:"role" protobuf:"bytes,2,opt,name=role"`

	// roleMissing is true if the role does not exist, so that the binding grants nothing.
	// +optional
	RoleMissing bool `json:"roleMissing,omitempty" protobuf:"varint,3,opt,name=roleMissing"`

	// rule is the rule that came closest.
	// +optional
	Rule string `json:"rule,omitempty" protobuf:"bytes,4,opt,name=rule"`

	// misfits are the parts of the request that the rule or the binding does not include: verb, group,
	// resource, name, path, namespace.
	// +optional
	// +listType=atomic
	Misfits []string `json:"misfits,omitempty" protobuf:"bytes,5,rep,name=misfits"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RequestTraceList is a list of request traces, the oldest first.
type RequestTraceList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items is the list of request traces.
	Items []RequestTrace `json:"items" protobuf:"bytes,2,rep,name=items"`
}
