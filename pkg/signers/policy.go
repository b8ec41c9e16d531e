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

package signers

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// Client signs certificates of clients of the server.
	Client = certificatesv1.KubeAPIServerClientSignerName
	// HostServing signs certificates with which hosts serve others.
	HostServing = v1alpha1.Domain + "/host-serving"

	// reservedPrefix begins the names of users and groups that the server treats specially.
	reservedPrefix = "system:"
	// administrators is the group that the server does not authorize.
	administrators = "system:masters"
)

// Requester is the user that created a request, as the server recorded it.
type Requester struct {
	Name   string
	Groups []string
}

// CheckSubject returns an error for a subject that no certificate of the signer may have, even
// with an approval: a name that the server treats specially. A certificate of a host is the exception,
// for the host itself: an operator checks such a request before approving it.
func CheckSubject(signer string, request *x509.CertificateRequest) error {
	if signer != Client {
		return nil
	}
	subject := request.Subject
	if slices.Contains(subject.Organization, administrators) {
		return fmt.Errorf("the signer %s signs no certificate with the organization %s", Client, administrators)
	}
	if _, ok := hostOf(request); ok {
		return nil
	}
	if strings.HasPrefix(subject.CommonName, reservedPrefix) {
		return fmt.Errorf("the common name %q begins with %s, which is reserved for the server: use another, or for the agent of a host %s<its name> with the only organization %s",
			subject.CommonName, reservedPrefix, v1alpha1.HostUserPrefix, v1alpha1.HostsGroup)
	}
	for _, organization := range subject.Organization {
		if strings.HasPrefix(organization, reservedPrefix) {
			return fmt.Errorf("the organization %q begins with %s, which is reserved for the server: use another, and bind the role that you need to it", organization, reservedPrefix)
		}
	}
	return nil
}

// IsHost reports whether the subject of a request is the agent of a host.
func IsHost(request *x509.CertificateRequest) bool {
	_, ok := hostOf(request)
	return ok
}

// hostOf returns the host of which the subject is the agent.
func hostOf(request *x509.CertificateRequest) (string, bool) {
	name, ok := strings.CutPrefix(request.Subject.CommonName, v1alpha1.HostUserPrefix)
	if !ok || len(apivalidation.NameIsDNSSubdomain(name, false)) > 0 {
		return "", false
	}
	return name, slices.Equal(request.Subject.Organization, []string{v1alpha1.HostsGroup})
}

// CheckClient returns the reason for which Client does not sign a request.
func CheckClient(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	if err := CheckSubject(Client, request); err != nil {
		return err
	}
	if request.Subject.CommonName == "" {
		return errors.New("the subject has no common name: it is the user's name")
	}
	return checkUsages(usages, certificatesv1.UsageClientAuth)
}

// CheckRenewal returns the reason for which a host does not get its next client certificate: the agent of a host
// requests it for the user that it is.
func CheckRenewal(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage, by Requester) error {
	switch {
	case !IsHost(request):
		return fmt.Errorf("the subject must have the common name %s<name of the host> and the only organization %s", v1alpha1.HostUserPrefix, v1alpha1.HostsGroup)
	case by.Name != request.Subject.CommonName || !slices.Contains(by.Groups, v1alpha1.HostsGroup):
		return fmt.Errorf("user %q may request its own next certificate, and not one of %q", by.Name, request.Subject.CommonName)
	case len(request.DNSNames)+len(request.IPAddresses)+len(request.EmailAddresses)+len(request.URIs) > 0:
		return errors.New("the certificate of a host's agent has no alternative names")
	}
	return CheckClient(request, usages)
}

// CheckHostServing returns the reason for which HostServing does not sign a request, or the name of
// its host: the agent of a host requests it for its own name. CheckHostNames checks the rest.
func CheckHostServing(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage, by Requester) (host string, err error) {
	host, ok := hostOf(request)
	switch {
	case !ok:
		return "", fmt.Errorf("the subject must have the common name %s<name of the host> and the only organization %s", v1alpha1.HostUserPrefix, v1alpha1.HostsGroup)
	case by.Name != request.Subject.CommonName || !slices.Contains(by.Groups, v1alpha1.HostsGroup):
		return "", fmt.Errorf("only the agent of host %q, as user %s in the group %s, may request its serving certificate, and not %q", host, request.Subject.CommonName, v1alpha1.HostsGroup, by.Name)
	case len(request.EmailAddresses) > 0 || len(request.URIs) > 0:
		return "", errors.New("alternative names of a host are DNS names and IP addresses: leave out email addresses and URIs")
	case len(request.DNSNames)+len(request.IPAddresses) == 0:
		return "", errors.New("the request has no alternative name: add a DNS name or an IP address of the host")
	}
	return host, checkUsages(usages, certificatesv1.UsageServerAuth)
}

// CheckHostNames returns an error if an alternative name is neither the name of the host nor an
// address in its status, or is a name of the server itself: the same authority signs the server's
// certificate, so that a host with it could answer the server's clients.
func CheckHostNames(request *x509.CertificateRequest, host *v1alpha1.Host, server *x509.Certificate) error {
	names, addresses := []string{host.Name}, []net.IP{}
	for _, address := range host.Status.Addresses {
		if ip := net.ParseIP(address.Address); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, strings.ToLower(address.Address))
		}
	}
	for _, name := range request.DNSNames {
		if !slices.Contains(names, strings.ToLower(name)) {
			return fmt.Errorf("the alternative name %s is neither the name of host %q nor an address in its status", name, host.Name)
		}
		// The host reports its names itself: a wildcard would contain names of others.
		if problems := validation.IsDNS1123Subdomain(strings.ToLower(name)); len(problems) > 0 {
			return fmt.Errorf("the alternative name %s is no plain DNS name: %s", name, problems[0])
		}
		if isServer(server, name) {
			return fmt.Errorf("the alternative name %s is one of the server itself", name)
		}
	}
	for _, ip := range request.IPAddresses {
		if !slices.ContainsFunc(addresses, ip.Equal) {
			return fmt.Errorf("the alternative name %s is no address in the status of host %q", ip, host.Name)
		}
		if ip.IsLoopback() || ip.IsUnspecified() || isServer(server, ip.String()) {
			return fmt.Errorf("the alternative name %s is an address of the server itself, or one that every machine has", ip)
		}
	}
	return nil
}

// isServer reports whether clients accept the server's certificate for the name.
func isServer(server *x509.Certificate, name string) bool {
	return strings.EqualFold(name, "localhost") || server != nil && server.VerifyHostname(name) == nil
}

// checkUsages accepts the required usage, and the two that every protocol of TLS may need.
func checkUsages(usages []certificatesv1.KeyUsage, required certificatesv1.KeyUsage) error {
	for _, usage := range usages {
		switch usage {
		case required, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment:
		default:
			return fmt.Errorf("the usage %q is not one of this signer: use %q, and %q or %q beside it", usage, required, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment)
		}
	}
	if !slices.Contains(usages, required) {
		return fmt.Errorf("the usage %q is missing", required)
	}
	return nil
}
