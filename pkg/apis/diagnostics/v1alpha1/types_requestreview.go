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
	"k8s.io/apimachinery/pkg/runtime"
)

// ReviewPatchType is the type of a patch.
// +enum
type ReviewPatchType string

const (
	// ReviewPatchJSON is a list of operations (RFC 6902).
	ReviewPatchJSON ReviewPatchType = "JSON"
	// ReviewPatchMerge is a merge patch (RFC 7386).
	ReviewPatchMerge ReviewPatchType = "Merge"
	// ReviewPatchStrategicMerge is Kubernetes' strategic merge patch.
	ReviewPatchStrategicMerge ReviewPatchType = "StrategicMerge"
	// ReviewPatchApply is server-side apply.
	ReviewPatchApply ReviewPatchType = "Apply"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=create
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RequestReview is what each gate of the server would say about a request, which is not carried out:
// nothing is stored, no quota is charged, and webhooks with side effects are not called. Creating it
// returns its status; it is not stored. It never contains a value that the server, a webhook or a
// stored object has.
type RequestReview struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata; it has no effect.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the request.
	Spec RequestReviewSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is what the gates say. The server sets it.
	// +optional
	Status RequestReviewStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// RequestReviewSpec is the request of a review.
type RequestReviewSpec struct {
	// user is the user of the request. If it is absent, the review is about the caller itself, which every
	// user may do. The requests of others need the verb reviewall on requestreviews. The server adds
	// the groups that an impersonation of the user adds, such as system:authenticated.
	// +optional
	User *ReviewedUser `json:"user,omitempty" protobuf:"bytes,1,opt,name=user"`

	// verb is get, list, watch, create, update, patch, delete or deletecollection.
	Verb string `json:"verb" protobuf:"bytes,2,opt,name=verb"`

	// resource is the target of the request.
	Resource ReviewedResource `json:"resource" protobuf:"bytes,3,opt,name=resource"`

	// object is the body of a create or an update.
	// +optional
	Object *runtime.RawExtension `json:"object,omitempty" protobuf:"bytes,4,opt,name=object"`

	// patch is the body of a patch, as JSON; for Apply also as YAML.
	// +optional
	Patch string `json:"patch,omitempty" protobuf:"bytes,5,opt,name=patch"`

	// patchType is the type of the patch: JSON, Merge, StrategicMerge or Apply.
	// +optional
	PatchType ReviewPatchType `json:"patchType,omitempty" protobuf:"bytes,6,opt,name=patchType,casttype=ReviewPatchType"`

	// fieldManager is the manager of the fields that the request sets. Apply needs one.
	// +optional
	FieldManager string `json:"fieldManager,omitempty" protobuf:"bytes,7,opt,name=fieldManager"`

	// force lets Apply take fields of other managers.
	// +optional
	Force bool `json:"force,omitempty" protobuf:"varint,8,opt,name=force"`

	// fieldValidation is what unknown and duplicate fields cause: Strict (a refusal), Warn or Ignore. The
	// default is Strict, as for kubectl.
	// +optional
	FieldValidation string `json:"fieldValidation,omitempty" protobuf:"bytes,9,opt,name=fieldValidation"`

	// preconditions are those of a delete.
	// +optional
	Preconditions *metav1.Preconditions `json:"preconditions,omitempty" protobuf:"bytes,10,opt,name=preconditions"`
}

// ReviewedUser is the user of a request.
type ReviewedUser struct {
	// username is the name of the user.
	Username string `json:"username" protobuf:"bytes,1,opt,name=username"`

	// uid is the UID of the user.
	// +optional
	UID string `json:"uid,omitempty" protobuf:"bytes,2,opt,name=uid"`

	// groups are the groups of the user.
	// +optional
	// +listType=atomic
	Groups []string `json:"groups,omitempty" protobuf:"bytes,3,rep,name=groups"`

	// extra are additional attributes of the user.
	// +optional
	// +listType=map
	// +listMapKey=key
	Extra []ReviewedExtra `json:"extra,omitempty" protobuf:"bytes,4,rep,name=extra"`
}

// ReviewedExtra is an additional attribute of a user.
type ReviewedExtra struct {
	// key is the name of the attribute.
	Key string `json:"key" protobuf:"bytes,1,opt,name=key"`

	// values are the values of the attribute.
	// +optional
	// +listType=atomic
	Values []string `json:"values,omitempty" protobuf:"bytes,2,rep,name=values"`
}

// ReviewedResource is the target of a request.
type ReviewedResource struct {
	// group is the group of the resource; empty for the core group.
	// +optional
	Group string `json:"group,omitempty" protobuf:"bytes,1,opt,name=group"`

	// version is the version of the resource.
	Version string `json:"version" protobuf:"bytes,2,opt,name=version"`

	// resource is the resource in the plural.
	Resource string `json:"resource" protobuf:"bytes,3,opt,name=resource"`

	// subresource is the subresource; empty for none.
	// +optional
	Subresource string `json:"subresource,omitempty" protobuf:"bytes,4,opt,name=subresource"`

	// namespace is the namespace of the object; empty for an object of no namespace.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,5,opt,name=namespace"`

	// name is the name of the object. For a create it is in the object.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,6,opt,name=name"`
}

// RequestReviewStatus is what each gate would say about the request.
type RequestReviewStatus struct {
	// server is the identity of the server that reviewed the request.
	// +optional
	Server string `json:"server,omitempty" protobuf:"bytes,1,opt,name=server"`

	// user is the user with all its groups.
	// +optional
	User TracedUser `json:"user,omitempty" protobuf:"bytes,2,opt,name=user"`

	// verdict is Allowed, Refused (a gate would decide against the request) or Failed (no gate would refuse
	// it, but it would not succeed, for example because the object does not exist).
	// +optional
	Verdict Verdict `json:"verdict,omitempty" protobuf:"bytes,3,opt,name=verdict,casttype=Verdict"`

	// code is the HTTP status code that the request would get.
	// +optional
	Code int32 `json:"code,omitempty" protobuf:"varint,4,opt,name=code"`

	// reason is the reason of a refusal in the words of the API, for example Forbidden.
	// +optional
	Reason string `json:"reason,omitempty" protobuf:"bytes,5,opt,name=reason"`

	// decidedBy is the gate that would refuse the request, or at which it would fail.
	// +optional
	DecidedBy *Decision `json:"decidedBy,omitempty" protobuf:"bytes,6,opt,name=decidedBy"`

	// timedOut is true if the time of the review ended before its result; decidedBy is then the gate that
	// had the request at that time.
	// +optional
	TimedOut bool `json:"timedOut,omitempty" protobuf:"varint,7,opt,name=timedOut"`

	// stops is what each gate says, in the order of the gates. Authentication is absent. Gates that the
	// request would not reach are absent.
	// +optional
	// +listType=atomic
	Stops []TraceStop `json:"stops,omitempty" protobuf:"bytes,8,rep,name=stops"`

	// endedBefore is the first gate that the review leaves out; empty if it leaves out none. The verdict
	// is then that of the gates before.
	// +optional
	EndedBefore TraceStopName `json:"endedBefore,omitempty" protobuf:"bytes,9,opt,name=endedBefore,casttype=TraceStopName"`

	// endedFor is the reason of endedBefore.
	// +optional
	EndedFor string `json:"endedFor,omitempty" protobuf:"bytes,10,opt,name=endedFor"`

	// nearMisses are the grants of roles to the user that come closest to allowing a request that roles do
	// not allow, the closest first.
	// +optional
	// +listType=atomic
	NearMisses []NearMiss `json:"nearMisses,omitempty" protobuf:"bytes,11,rep,name=nearMisses"`

	// cure is the command that grants the least by which the request would be allowed. Only clients that
	// may create the binding get it.
	// +optional
	Cure string `json:"cure,omitempty" protobuf:"bytes,12,opt,name=cure"`
}
