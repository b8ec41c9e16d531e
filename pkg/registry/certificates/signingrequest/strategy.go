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

package signingrequest

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// strategy is the strategy for writes to the request itself.
type strategy struct{ base.Strategy }

// ResetFields returns the spec, which never changes, and the status.
func (strategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate records the caller, whatever the body names, and removes the status: a signer
// trusts both.
func (strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	csr := obj.(*certificatesv1.CertificateSigningRequest)
	csr.Spec.Username, csr.Spec.UID, csr.Spec.Groups, csr.Spec.Extra = "", "", nil, nil
	if caller, ok := request.UserFrom(ctx); ok {
		csr.Spec.Username, csr.Spec.UID, csr.Spec.Groups = caller.GetName(), caller.GetUID(), caller.GetGroups()
		for key, values := range caller.GetExtra() {
			if csr.Spec.Extra == nil {
				csr.Spec.Extra = map[string]certificatesv1.ExtraValue{}
			}
			csr.Spec.Extra[key] = values
		}
	}
	csr.Status = certificatesv1.CertificateSigningRequestStatus{}
}

// PrepareForUpdate keeps everything but metadata.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	csr, oldCSR := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	csr.Spec, csr.Status = oldCSR.Spec, oldCSR.Status
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateCertificateSigningRequest(obj.(*certificatesv1.CertificateSigningRequest))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateCertificateSigningRequestUpdate(obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest))
}

// statusStrategy is the strategy for writes of a signer: the certificate, and conditions besides Approved
// and Denied. Metadata may change, as in a kube-apiserver.
type statusStrategy struct{ strategy }

// ResetFields returns the spec and the conditions, as a kube-apiserver does.
func (statusStrategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("status", "conditions"))
}

// PrepareForUpdate keeps the spec, and Approved and Denied if there are as many of them as before;
// validation refuses the others.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	csr, oldCSR := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	csr.Spec = oldCSR.Spec
	for _, kind := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		keepConditions(csr, oldCSR, kind)
	}
	setTimes(csr, oldCSR)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateCertificateSigningRequestStatusUpdate(obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest))
}

// approvalStrategy is the strategy for writes of an approver: conditions. Metadata may change, as in a
// kube-apiserver.
type approvalStrategy struct{ strategy }

// ResetFields returns the spec and the certificate.
func (approvalStrategy) ResetFields() *fieldpath.Set {
	return fieldpath.NewSet(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("status", "certificate"))
}

// PrepareForUpdate keeps everything but the conditions.
func (approvalStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	csr, oldCSR := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	setTimes(csr, oldCSR)
	conditions := csr.Status.Conditions
	csr.Spec, csr.Status = oldCSR.Spec, oldCSR.Status
	csr.Status.Conditions = conditions
}

func (approvalStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateCertificateSigningRequestApprovalUpdate(obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest))
}

// keepConditions restores the conditions of a type, unless their number has changed.
func keepConditions(csr, old *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) {
	now, was := indices(csr, kind), indices(old, kind)
	if len(now) != len(was) {
		return
	}
	for i, at := range now {
		csr.Status.Conditions[at] = old.Status.Conditions[was[i]]
	}
}

func indices(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) []int {
	var found []int
	for i, condition := range csr.Status.Conditions {
		if condition.Type == kind {
			found = append(found, i)
		}
	}
	return found
}

// setTimes sets the times of conditions that have none. A condition with the status that it had before
// keeps the time of its last transition.
func setTimes(csr, old *certificatesv1.CertificateSigningRequest) {
	now := metav1.Now()
	for i := range csr.Status.Conditions {
		condition := &csr.Status.Conditions[i]
		if condition.LastUpdateTime.IsZero() {
			condition.LastUpdateTime = now
		}
		if condition.LastTransitionTime.IsZero() {
			condition.LastTransitionTime = lastTransition(condition, old, now)
		}
	}
}

func lastTransition(condition *certificatesv1.CertificateSigningRequestCondition, old *certificatesv1.CertificateSigningRequest, now metav1.Time) metav1.Time {
	for _, before := range old.Status.Conditions {
		if before.Type == condition.Type && before.Status == condition.Status && !before.LastTransitionTime.IsZero() {
			return before.LastTransitionTime
		}
	}
	return now
}
