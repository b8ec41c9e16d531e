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

// Package validation validates objects of certificates.k8s.io. Code, reason and
// field of each error are those of a kube-apiserver; the messages are our own.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The strategies in
// pkg/registry/certificates call one function for each write.
package validation

import (
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	corevalidation "github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// legacySigner is a signer of the API's beta version, which the version v1 refuses.
const legacySigner = "kubernetes.io/legacy-unknown"

// minExpirationSeconds is the shortest lifetime that a request may name.
const minExpirationSeconds = 600

// usages are the known usages of keys.
func usages() []certificatesv1.KeyUsage {
	return []certificatesv1.KeyUsage{
		certificatesv1.UsageSigning, certificatesv1.UsageDigitalSignature, certificatesv1.UsageContentCommitment,
		certificatesv1.UsageKeyEncipherment, certificatesv1.UsageKeyAgreement, certificatesv1.UsageDataEncipherment,
		certificatesv1.UsageCertSign, certificatesv1.UsageCRLSign, certificatesv1.UsageEncipherOnly, certificatesv1.UsageDecipherOnly,
		certificatesv1.UsageAny, certificatesv1.UsageServerAuth, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
		certificatesv1.UsageEmailProtection, certificatesv1.UsageSMIME, certificatesv1.UsageIPsecEndSystem,
		certificatesv1.UsageIPsecTunnel, certificatesv1.UsageIPsecUser, certificatesv1.UsageTimestamping,
		certificatesv1.UsageOCSPSigning, certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC,
	}
}

// anyName accepts every name that can be part of a URL, which the library checks.
func anyName(string, bool) []string { return nil }

// ValidateCertificateSigningRequest checks a new request.
func ValidateCertificateSigningRequest(request *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&request.ObjectMeta, false, anyName, field.NewPath("metadata"))
	errs = append(errs, corevalidation.ValidateFinalizers(&request.ObjectMeta)...)
	path, spec := field.NewPath("spec"), &request.Spec
	if _, err := signers.ParseRequest(spec.Request); err != nil {
		errs = append(errs, field.Invalid(path.Child("request"), fmt.Sprintf("<%d bytes>", len(spec.Request)), err.Error()))
	}
	errs = append(errs, validateUsages(spec.Usages, path.Child("usages"))...)
	errs = append(errs, validateSignerName(spec.SignerName, path.Child("signerName"))...)
	if seconds := spec.ExpirationSeconds; seconds != nil && *seconds < minExpirationSeconds {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *seconds, fmt.Sprintf("must be at least %d seconds (10 minutes)", minExpirationSeconds)))
	}
	return errs
}

func validateUsages(list []certificatesv1.KeyUsage, path *field.Path) field.ErrorList {
	known := usages()
	switch {
	case len(list) == 0:
		return field.ErrorList{field.Required(path, "name at least one usage, such as client auth")}
	case len(list) > len(known):
		return field.ErrorList{field.TooMany(path, len(list), len(known))}
	}
	var errs field.ErrorList
	for i, usage := range list {
		if !slices.Contains(known, usage) {
			errs = append(errs, field.NotSupported(path.Index(i), usage, known))
		}
		if slices.Contains(list[:i], usage) {
			errs = append(errs, field.Duplicate(path.Index(i), usage))
		}
	}
	return errs
}

// validateSignerName checks the signer of a request.
func validateSignerName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "name a signer, such as "+certificatesv1.KubeAPIServerClientSignerName)}
	}
	if name == legacySigner {
		return field.ErrorList{field.Invalid(path, name, "is not served in this version: name another signer")}
	}
	return validateSignerForm(name, path)
}

// validateSignerForm checks a name of the form example.com/signer. The bound leaves space for a label
// and a dot before the path, so that a longer name can contain it.
func validateSignerForm(name string, path *field.Path) field.ErrorList {
	const form = "must be of the form example.com/signer"
	domain, rest, found := strings.Cut(name, "/")
	if !found || strings.Contains(rest, "/") {
		return field.ErrorList{field.Invalid(path, name, form)}
	}
	const longest = validation.DNS1123SubdomainMaxLength
	if len(domain) > longest || len(name) > 2*longest+validation.DNS1123LabelMaxLength+2 {
		return field.ErrorList{field.TooLong(path, "", longest)}
	}
	var errs field.ErrorList
	labels := strings.Split(domain, ".")
	if len(labels) < 2 || slices.ContainsFunc(labels, func(label string) bool { return len(validation.IsDNS1123Label(label)) > 0 }) {
		errs = append(errs, field.Invalid(path, domain, form+", with a domain of at least two labels of lower case letters, digits and -"))
	}
	if slices.ContainsFunc(strings.Split(rest, "."), func(part string) bool { return len(validation.IsDNS1123Subdomain(part)) > 0 }) {
		errs = append(errs, field.Invalid(path, rest, form+", with a signer of lower case letters, digits, - and ."))
	}
	return errs
}
