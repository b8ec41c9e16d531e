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

package diagnostics

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TraceStopName is a stage of the path of a request.
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
type StopVerdict string

const (
	// StopPassed means that the gate let the request pass.
	StopPassed StopVerdict = "Passed"
	// StopNoOpinion means that the gate left the decision to the next one.
	StopNoOpinion StopVerdict = "NoOpinion"
	// StopRefused means that the gate refused the request.
	StopRefused StopVerdict = "Refused"
	// StopIgnored means that the gate failed, and its failurePolicy is Ignore.
	StopIgnored StopVerdict = "Ignored"
	// StopSkipped means that a review left out the gate, which has side effects.
	StopSkipped StopVerdict = "Skipped"
	// StopWouldRefuse means that the gate is against the request and decides nothing.
	StopWouldRefuse StopVerdict = "WouldRefuse"
	// StopNotCalled means that the gate was not called.
	StopNotCalled StopVerdict = "NotCalled"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RequestTrace is what each gate of a server said about one request.
type RequestTrace struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Server       string
	ReceivedTime metav1.MicroTime
	User         TracedUser
	Request      TracedRequest
	Verdict      Verdict
	Code         int32
	Reason       string
	DecidedBy    *Decision
	TimedOut     bool
	Latency      metav1.Duration
	Stops        []TraceStop
	NearMisses   []NearMiss
	Cure         string
}

// TracedUser is the user of a request.
type TracedUser struct {
	Username       string
	UID            string
	Groups         []string
	ImpersonatedBy string
	CredentialID   string
}

// TracedRequest is what a request asked for.
type TracedRequest struct {
	Verb        string
	APIGroup    string
	APIVersion  string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	Path        string
	UserAgent   string
	SourceIP    string
}

// Decision names a gate.
type Decision struct {
	Stop TraceStopName
	By   string
}

// TraceStop is what one gate said about a request.
type TraceStop struct {
	Stop          TraceStopName
	By            string
	Verdict       StopVerdict
	Reason        string
	Latency       metav1.Duration
	Calls         int32
	Changed       bool
	ChangedPaths  []string
	PriorityLevel string
	Grant         *TraceGrant
	Objects       []TracedObject
	Quotas        []TracedQuota
	Seats         *TracedSeats
	OtherWrites   []TracedWrite
	Shadow        bool
	EtcdLatency   *metav1.Duration
}

// TraceGrant is a binding with its role, as they were when they allowed a request.
type TraceGrant struct {
	Binding TracedObject
	Role    TracedObject
}

// TracedObject is an object in one version.
type TracedObject struct {
	Kind            string
	Namespace       string
	Name            string
	UID             string
	ResourceVersion string
}

// NearMiss is a rule of a role that is bound to the user and that does not allow the request.
type NearMiss struct {
	Binding     TracedObject
	Role        TracedObject
	RoleMissing bool
	Rule        string
	Misfits     []string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RequestTraceList is a list of request traces, the oldest first.
type RequestTraceList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []RequestTrace
}
