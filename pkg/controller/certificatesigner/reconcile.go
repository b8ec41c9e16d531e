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

package certificatesigner

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

const (
	// maxLifetime is the longest lifetime of a certificate, and that of a request without
	// spec.expirationSeconds: as long as that of the administrator's.
	maxLifetime = 365 * 24 * time.Hour
	// backdate makes a new certificate valid for clients with a clock that is a little behind. It is less
	// than the shortest lifetime, 10 minutes.
	backdate = 5 * time.Minute
)

// refusal is the reason for which a request is never signed.
type refusal struct{ error }

// refuse marks an error as a refusal.
func refuse(err error) error {
	if err == nil {
		return nil
	}
	return refusal{err}
}

// isWaiting reports whether a request is approved for one of the signers and has no result yet.
func isWaiting(request *certificatesv1.CertificateSigningRequest) bool {
	switch request.Spec.SignerName {
	case signers.Client, signers.HostServing:
	default:
		return false
	}
	if request.DeletionTimestamp != nil || len(request.Status.Certificate) > 0 {
		return false
	}
	approved := false
	for _, condition := range request.Status.Conditions {
		switch condition.Type {
		case certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			return false
		case certificatesv1.CertificateApproved:
			approved = condition.Status == corev1.ConditionTrue
		}
	}
	return approved
}

// decide returns a refusal, or the host whose alternative names must be checked, empty for a client.
func decide(request *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest) (host string, err error) {
	spec := request.Spec
	if spec.SignerName == signers.HostServing {
		host, err = signers.CheckHostServing(parsed, spec.Usages, signers.Requester{Name: spec.Username, Groups: spec.Groups})
	} else {
		err = signers.CheckClient(parsed, spec.Usages)
	}
	return host, refuse(err)
}

// template returns the certificate to sign. It has the common name and the organizations of the request
// and no other part of the subject, which could contain a UID, and no extensions that the request names.
func template(request *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest, now time.Time) *x509.Certificate {
	lifetime := maxLifetime
	if seconds := request.Spec.ExpirationSeconds; seconds != nil {
		lifetime = min(lifetime, time.Duration(*seconds)*time.Second)
	}
	certificate := &x509.Certificate{
		Subject:        pkix.Name{CommonName: parsed.Subject.CommonName, Organization: parsed.Subject.Organization},
		DNSNames:       parsed.DNSNames,
		IPAddresses:    parsed.IPAddresses,
		EmailAddresses: parsed.EmailAddresses,
		URIs:           parsed.URIs,
		NotBefore:      now.Add(-backdate),
		NotAfter:       now.Add(lifetime),
	}
	// The policy allows these usages only.
	for _, usage := range request.Spec.Usages {
		switch usage {
		case certificatesv1.UsageDigitalSignature:
			certificate.KeyUsage |= x509.KeyUsageDigitalSignature
		case certificatesv1.UsageKeyEncipherment:
			certificate.KeyUsage |= x509.KeyUsageKeyEncipherment
		case certificatesv1.UsageClientAuth:
			certificate.ExtKeyUsage = append(certificate.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		case certificatesv1.UsageServerAuth:
			certificate.ExtKeyUsage = append(certificate.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
	}
	// Certificates of a host are revoked by when they become valid: a new one must be newer than the
	// revocation.
	if signers.IsHost(parsed) {
		certificate.NotBefore = now
	}
	return certificate
}

// failed returns the condition of a refusal.
func failed(reason refusal, now metav1.Time) certificatesv1.CertificateSigningRequestCondition {
	return certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: "SignerValidationFailure", Message: reason.Error(),
		LastUpdateTime: now, LastTransitionTime: now,
	}
}
