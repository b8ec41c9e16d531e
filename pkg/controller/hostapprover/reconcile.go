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

package hostapprover

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// Reasons of the conditions Approved and Denied.
const (
	reasonApproved = "HostJoined"
	reasonRenewed  = "HostRenewed"
	reasonDenied   = "HostMayNotJoin" // nor renew
)

// isJoin reports whether a request is undecided and its requester has a token for hosts. The server has
// recorded the requester.
func isJoin(request *certificatesv1.CertificateSigningRequest) bool {
	return request.DeletionTimestamp == nil && request.Spec.SignerName == signers.Client && len(request.Status.Conditions) == 0 &&
		len(request.Status.Certificate) == 0 && slices.Contains(request.Spec.Groups, v1alpha1.HostJoinGroup)
}

// isRenewal reports whether a request is undecided and its requester is a host.
func isRenewal(request *certificatesv1.CertificateSigningRequest) bool {
	return request.DeletionTimestamp == nil && request.Spec.SignerName == signers.Client && len(request.Status.Conditions) == 0 &&
		len(request.Status.Certificate) == 0 && slices.Contains(request.Spec.Groups, v1alpha1.HostsGroup) &&
		strings.HasPrefix(request.Spec.Username, v1alpha1.HostUserPrefix)
}

// settle is the time after a revocation until every server refuses what it revokes: twice the interval at which they
// read it, and the time of a read.
const settle = 30 * time.Second

// decideRenewal returns the reason for which the request of a host for its next certificate is denied. A request from
// before a revocation would get a certificate from after it.
func decideRenewal(request *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest, revoked map[string]time.Time) string {
	err := signers.CheckRenewal(parsed, request.Spec.Usages, signers.Requester{Name: request.Spec.Username, Groups: request.Spec.Groups})
	if err != nil {
		return err.Error()
	}
	name := hostName(parsed)
	if at, ok := revoked[name]; ok && request.CreationTimestamp.Time.Before(at.Add(settle)) {
		return fmt.Sprintf("the certificates of host %q were revoked at about the time of the request, or later: join again, or wait %s and repeat the request with a new certificate", name, settle)
	}
	return ""
}

// existing is what the server has under the name of the host; nil for nothing.
type existing struct {
	host  *v1alpha1.Host
	lease *v1alpha1.HostLease
}

// decide returns the reason for which a request is denied, empty if it is approved. A living host is
// never replaced; one that is silent is replaced only by a token for its name, which an operator has
// created for that.
func decide(request *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest, e existing, now time.Time) string {
	if err := signers.CheckClient(parsed, request.Spec.Usages); err != nil {
		return err.Error()
	}
	name, named := hostName(parsed), tokenName(request.Spec.Groups)
	switch {
	case !signers.IsHost(parsed):
		return fmt.Sprintf("a token for hosts is only good for the subject %s<name of the host> with the organization %s", v1alpha1.HostUserPrefix, v1alpha1.HostsGroup)
	case len(parsed.DNSNames)+len(parsed.IPAddresses)+len(parsed.EmailAddresses)+len(parsed.URIs) > 0:
		return "the certificate of a host's agent has no alternative names"
	case named != "" && named != name:
		return fmt.Sprintf("the token is for host %q and not for %q: create one with \"gatehouse host token create --name %s\"", named, name, name)
	case e.lease != nil && alive(e.lease, now):
		return fmt.Sprintf("host %q is alive: join with another name, or stop its agent and wait until its lease has expired", name)
	case named == "" && (e.host != nil || e.lease != nil):
		return fmt.Sprintf("host %q exists: join with another name, or create a token for it with \"gatehouse host token create --name %s\"", name, name)
	}
	return ""
}

func hostName(parsed *x509.CertificateRequest) string {
	return strings.TrimPrefix(parsed.Subject.CommonName, v1alpha1.HostUserPrefix)
}

// tokenName returns the name for which a token was created; empty for any name.
func tokenName(groups []string) string {
	for _, group := range groups {
		if name, ok := strings.CutPrefix(group, v1alpha1.HostJoinGroup+":"); ok {
			return name
		}
	}
	return ""
}

// alive reports whether the lease of a host has not expired. One without a time counts as alive.
func alive(lease *v1alpha1.HostLease, now time.Time) bool {
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return true
	}
	return now.Before(lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second))
}

// condition returns the condition of a decision.
func condition(denial string, renewal bool, now metav1.Time) certificatesv1.CertificateSigningRequestCondition {
	c := certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: reasonApproved,
		Message: "the host joins with a token", LastUpdateTime: now, LastTransitionTime: now,
	}
	if renewal {
		c.Reason, c.Message = reasonRenewed, "the host has a valid certificate for the same name"
	}
	if denial != "" {
		c.Type, c.Reason, c.Message = certificatesv1.CertificateDenied, reasonDenied, denial
	}
	return c
}
