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
	"k8s.io/apimachinery/pkg/runtime"
)

// ReviewPatchType is the type of a patch.
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

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RequestReview is what each gate of the server would say about a request.
type RequestReview struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   RequestReviewSpec
	Status RequestReviewStatus
}

// RequestReviewSpec is the request.
type RequestReviewSpec struct {
	User            *ReviewedUser
	Verb            string
	Resource        ReviewedResource
	Object          *runtime.RawExtension
	Patch           string
	PatchType       ReviewPatchType
	FieldManager    string
	Force           bool
	FieldValidation string
	Preconditions   *metav1.Preconditions
}

// ReviewedUser is the user of the request.
type ReviewedUser struct {
	Username string
	UID      string
	Groups   []string
	Extra    []ReviewedExtra
}

// ReviewedExtra is an additional attribute of a user.
type ReviewedExtra struct {
	Key    string
	Values []string
}

// ReviewedResource is the target of the request.
type ReviewedResource struct {
	Group       string
	Version     string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
}

// RequestReviewStatus is what the gates say.
type RequestReviewStatus struct {
	Server      string
	User        TracedUser
	Verdict     Verdict
	Code        int32
	Reason      string
	DecidedBy   *Decision
	TimedOut    bool
	Stops       []TraceStop
	EndedBefore TraceStopName
	EndedFor    string
	NearMisses  []NearMiss
	Cure        string
}
