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

package validation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	corevalidation "github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
)

// maxConditions bounds the conditions of a request; Kubernetes has three types of them.
const maxConditions = 64

// The types of conditions that are True, or absent, and stay.
var lasting = []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed}

// decisions are the types of conditions that only the endpoint /approval writes.
var decisions = lasting[:2]

var (
	conditionsPath  = field.NewPath("status", "conditions")
	certificatePath = field.NewPath("status", "certificate")
)

// ValidateCertificateSigningRequestUpdate checks a write to the request itself, which changes only
// metadata. The library checks the metadata, but for the finalizers.
func ValidateCertificateSigningRequestUpdate(request, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := append(corevalidation.ValidateFinalizers(&request.ObjectMeta), unchangedDecisions(request, old)...)
	return append(errs, unchangedCertificate(request, old)...)
}

// ValidateCertificateSigningRequestStatusUpdate checks a write to /status: it sets the certificate once, and
// conditions besides Approved and Denied.
func ValidateCertificateSigningRequestStatusUpdate(request, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := append(corevalidation.ValidateFinalizers(&request.ObjectMeta), validateConditions(request, old)...)
	errs = append(errs, unchangedDecisions(request, old)...)
	if bytes.Equal(request.Status.Certificate, old.Status.Certificate) {
		return errs
	}
	if len(old.Status.Certificate) > 0 {
		return append(errs, unchangedCertificate(request, old)...)
	}
	if err := checkCertificate(request.Status.Certificate); err != nil {
		errs = append(errs, field.Invalid(certificatePath, fmt.Sprintf("<%d bytes>", len(request.Status.Certificate)), err.Error()))
	}
	return errs
}

// ValidateCertificateSigningRequestApprovalUpdate checks a write to /approval: it adds conditions.
func ValidateCertificateSigningRequestApprovalUpdate(request, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := append(corevalidation.ValidateFinalizers(&request.ObjectMeta), validateConditions(request, old)...)
	return append(errs, unchangedCertificate(request, old)...)
}

// validateConditions checks the conditions of a request and that none of the lasting ones is removed.
func validateConditions(request, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	conditions := request.Status.Conditions
	if len(conditions) > maxConditions {
		return field.ErrorList{field.TooMany(conditionsPath, len(conditions), maxConditions)}
	}
	var errs field.ErrorList
	seen := map[certificatesv1.RequestConditionType]bool{}
	for i, condition := range conditions {
		path := conditionsPath.Index(i)
		if condition.Type == "" {
			errs = append(errs, field.Required(path.Child("type"), "name the type of the condition"))
		}
		errs = append(errs, validateConditionStatus(condition, path.Child("status"))...)
		if seen[condition.Type] {
			errs = append(errs, field.Duplicate(path.Child("type"), condition.Type))
		}
		seen[condition.Type] = true
	}
	if seen[certificatesv1.CertificateApproved] && seen[certificatesv1.CertificateDenied] {
		errs = append(errs, field.Invalid(conditionsPath, certificatesv1.CertificateDenied, "a request is either Approved or Denied: create another request to decide anew"))
	}
	for _, kind := range lasting {
		if len(find(request, kind)) < len(find(old, kind)) {
			errs = append(errs, field.Forbidden(conditionsPath, fmt.Sprintf("a condition of type %s cannot be removed: create another request", kind)))
		}
	}
	return errs
}

func validateConditionStatus(condition certificatesv1.CertificateSigningRequestCondition, path *field.Path) field.ErrorList {
	allowed := []corev1.ConditionStatus{corev1.ConditionTrue}
	if !isLasting(condition.Type) {
		allowed = append(allowed, corev1.ConditionFalse, corev1.ConditionUnknown)
	}
	if condition.Status == "" {
		return field.ErrorList{field.Required(path, "set it to True")}
	}
	for _, status := range allowed {
		if condition.Status == status {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, condition.Status, allowed)}
}

func isLasting(kind certificatesv1.RequestConditionType) bool {
	for _, one := range lasting {
		if kind == one {
			return true
		}
	}
	return false
}

// unchangedDecisions refuses changes of Approved and Denied.
func unchangedDecisions(request, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	var errs field.ErrorList
	for _, kind := range decisions {
		now, was := find(request, kind), find(old, kind)
		// A removal is refused by validateConditions.
		if len(now) >= len(was) && !apiequality.Semantic.DeepEqual(now, was) {
			errs = append(errs, field.Forbidden(conditionsPath, fmt.Sprintf("a condition of type %s is written at the endpoint approval only: use kubectl certificate approve or deny", kind)))
		}
	}
	return errs
}

func unchangedCertificate(request, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	switch {
	case bytes.Equal(request.Status.Certificate, old.Status.Certificate):
		return nil
	case len(old.Status.Certificate) > 0:
		return field.ErrorList{field.Forbidden(certificatePath, "an issued certificate cannot be changed: create another request")}
	}
	return field.ErrorList{field.Forbidden(certificatePath, "the certificate is written at the endpoint status only, by its signer")}
}

// find returns the conditions of a type.
func find(request *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var found []certificatesv1.CertificateSigningRequestCondition
	for _, condition := range request.Status.Conditions {
		if condition.Type == kind {
			found = append(found, condition)
		}
	}
	return found
}

// checkCertificate returns an error if data is not a sequence of certificates in PEM. Text between the
// blocks is allowed.
func checkCertificate(data []byte) error {
	blocks := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("a PEM block has the type %q: only CERTIFICATE is allowed", block.Type)
		}
		if len(block.Headers) > 0 {
			return errors.New("a PEM block has headers: remove them")
		}
		parsed, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(parsed) == 0 {
			return errors.New("a PEM block has no certificate")
		}
		blocks++
	}
	if blocks == 0 {
		return errors.New("must have at least one PEM block of the type CERTIFICATE")
	}
	return nil
}
