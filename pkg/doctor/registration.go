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

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

// apiService has the fields of an APIService that are checked. Its types are in k8s.io/kube-aggregator, which this module
// does not need otherwise.
type apiService struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Group                 string `json:"group"`
		Version               string `json:"version"`
		InsecureSkipTLSVerify bool   `json:"insecureSkipTLSVerify"`
		CABundle              []byte `json:"caBundle"`
		Service               *struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
			Port      *int32 `json:"port"`
		} `json:"service"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Message string `json:"message"`
		} `json:"conditions"`
	} `json:"status"`
}

// port returns that of the service.
func (a *apiService) port() int32 {
	if a.Spec.Service.Port == nil {
		return 443
	}
	return *a.Spec.Service.Port
}

// host returns the name that kube-apiserver verifies.
func (a *apiService) host() string {
	return a.Spec.Service.Name + "." + a.Spec.Service.Namespace + ".svc"
}

// registered reads the APIServices of the server that exist and name a service. Others are findings of apiServices.
func (c *aggregation) registered(ctx context.Context) (services []apiService, missing []string, err error) {
	for _, gv := range c.Groups {
		name := gv.Version + "." + gv.Group
		var a apiService
		switch err := c.read(ctx, "/apis/apiregistration.k8s.io/v1/apiservices/"+name, &a); {
		case apierrors.IsNotFound(err):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, err
		default:
			a.Metadata.Name = name
			services = append(services, a)
		}
	}
	return services, missing, nil
}

func (c *aggregation) apiServices(ctx context.Context) []Finding {
	services, missing, err := c.registered(ctx)
	if err != nil {
		return []Finding{unread("apiservices.apiregistration.k8s.io", err)}
	}
	var found []Finding
	for _, name := range missing {
		if c.BeforeStart {
			found = append(found, warning("", "%s does not exist yet", name))
			continue
		}
		found = append(found, broken("", "%s does not exist, so the cluster does not serve its kinds", name))
	}
	for _, a := range services {
		switch {
		case a.Spec.Service == nil:
			found = append(found, broken("", "%s names no service: kube-apiserver expects the kinds in itself, as those of a custom resource", a.Metadata.Name))
		case a.Spec.InsecureSkipTLSVerify:
			found = append(found, broken("set caBundle to the output of \"gatehouse certificates\", and remove insecureSkipTLSVerify", "%s does not verify the server (insecureSkipTLSVerify): who can redirect the connection reads and changes everything", a.Metadata.Name))
		}
		if !c.BeforeStart {
			found = append(found, available(a)...)
		}
	}
	return orOK(found, "%d are registered and available", len(services))
}

func available(a apiService) []Finding {
	for _, condition := range a.Status.Conditions {
		if condition.Type != "Available" || condition.Status == "True" {
			continue
		}
		return []Finding{broken(cureOf(condition.Reason), "%s is not available: %s: %s", a.Metadata.Name, condition.Reason, condition.Message)}
	}
	if len(a.Status.Conditions) == 0 && a.Spec.Service != nil {
		return []Finding{broken("see the log of kube-apiserver: its aggregator has not looked at the APIService yet, or does not run", "%s has no condition Available", a.Metadata.Name)}
	}
	return nil
}

// cureOf returns the cure of a reason for which kube-apiserver does not use a server.
func cureOf(reason string) string {
	switch reason {
	case "ServiceNotFound", "ServicePortError", "ServiceAccessError":
		return "apply artifacts/deploy/service.yaml, or correct spec.service of the APIService"
	case "EndpointsNotFound", "MissingEndpoints", "EndpointsAccessError":
		return "see why the pods of the service are not ready: \"kubectl -n gatehouse-system get pods\" and their logs"
	case "FailedDiscoveryCheck":
		return "see whether kube-apiserver reaches the pods (network policies, the line endpoints) and trusts their certificate (the line ca-bundle)"
	}
	return "see \"kubectl describe apiservice\""
}

func (c *aggregation) caBundles(ctx context.Context) []Finding {
	services, _, err := c.registered(ctx)
	if err != nil {
		return []Finding{unread("apiservices.apiregistration.k8s.io", err)}
	}
	var found []Finding
	for _, a := range services {
		if a.Spec.Service == nil || a.Spec.InsecureSkipTLSVerify {
			continue // a finding of apiServices
		}
		found = append(found, c.caBundle(ctx, a)...)
	}
	return orOK(found, "it verifies the certificate of the server")
}

// caBundle verifies the certificate of the server as kube-apiserver does.
func (c *aggregation) caBundle(ctx context.Context, a apiService) []Finding {
	if len(a.Spec.CABundle) == 0 {
		return []Finding{broken("", "caBundle of %s is empty: kube-apiserver trusts the authorities of its machine, and not the server's", a.Metadata.Name)}
	}
	authorities, err := cert.ParseCertsPEM(a.Spec.CABundle)
	if err != nil {
		return []Finding{broken("", "caBundle of %s holds no certificate", a.Metadata.Name)}
	}
	var found []Finding
	roots := x509.NewCertPool()
	for _, authority := range authorities {
		roots.AddCert(authority)
		cure := "make a new authority with \"gatehouse certificates --also-trust\" (docs/install.md, The certificate), and remove the expired one from caBundle"
		f := expiry(fmt.Sprintf("the authority %s in caBundle of %s", authority.Subject.CommonName, a.Metadata.Name), cure, authority, c.Clock.Now())
		if f.Status == Broken && len(authorities) > 1 {
			f.Status = Warning // another one verifies the server, or the next lines say that none does
		}
		if f.Status != OK {
			found = append(found, f)
		}
	}
	leaf, err := c.served(ctx, roots, a)
	renew := "renew the certificate with \"gatehouse certificates\" and replace the Secret gatehouse-serving (docs/install.md, The certificate)"
	invalid, unknown, name := x509.CertificateInvalidError{}, x509.UnknownAuthorityError{}, x509.HostnameError{}
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		found = append(found, broken(renew, "the certificate of the server, or its authority, is not valid now: %v", invalid))
	case errors.As(err, &unknown):
		found = append(found, broken("", "caBundle of %s is not of the authority that signed the certificate of the server", a.Metadata.Name))
	case errors.As(err, &name):
		found = append(found, broken(renew, "the certificate of the server is not valid for %s", a.host()))
	case errors.As(err, &invalid):
		found = append(found, broken(renew, "the certificate of the server cannot be used: %v", invalid))
	case err != nil && c.BeforeStart:
		// The server of this pod does not run yet, and others need not.
	case err != nil:
		found = append(found, warning("run this command in the cluster, or name an address with --connect or the file with --tls-cert-file", "the certificate of the server is not verified: %v", err))
	default:
		if f := expiry("the certificate of the server", renew, leaf, c.Clock.Now()); f.Status != OK {
			found = append(found, f)
		}
	}
	return found
}

// served returns the certificate of the server if the roots verify it.
func (c *aggregation) served(ctx context.Context, roots *x509.CertPool, a apiService) (*x509.Certificate, error) {
	if c.ServingCert != "" {
		chain, err := cert.CertsFromFile(c.ServingCert)
		if err != nil {
			return nil, fmt.Errorf("%s holds no certificate", c.ServingCert)
		}
		between := x509.NewCertPool()
		for _, one := range chain[1:] {
			between.AddCert(one)
		}
		_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: a.host(), CurrentTime: c.Clock.Now()})
		return chain[0], err
	}
	address := c.Connect
	if address == "" {
		address = net.JoinHostPort(a.host(), strconv.Itoa(int(a.port())))
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: a.host(), Time: c.Clock.Now}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	secure, is := conn.(*tls.Conn)
	if !is || len(secure.ConnectionState().PeerCertificates) == 0 {
		return nil, errors.New("it serves no certificate")
	}
	return secure.ConnectionState().PeerCertificates[0], nil
}

func (c *aggregation) service(ctx context.Context) []Finding {
	services, _, err := c.registered(ctx)
	if err != nil {
		return []Finding{unread("apiservices.apiregistration.k8s.io", err)}
	}
	var found []Finding
	for _, a := range services {
		if a.Spec.Service == nil {
			continue
		}
		where := a.Spec.Service.Namespace + "/" + a.Spec.Service.Name
		service, err := c.client.CoreV1().Services(a.Spec.Service.Namespace).Get(ctx, a.Spec.Service.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			found = append(found, broken("", "the service %s, which %s names, does not exist", where, a.Metadata.Name))
		case err != nil:
			found = append(found, unread("services", err))
		case service.Spec.Type != corev1.ServiceTypeExternalName && !hasPort(service, a.port()):
			found = append(found, broken("correct spec.service.port of the APIService, or apply artifacts/deploy/service.yaml", "the service %s has no port %d, which %s names", where, a.port(), a.Metadata.Name))
		}
	}
	return orOK(found, "it exists, with the port that the APIServices name")
}

func hasPort(service *corev1.Service, port int32) bool {
	for _, p := range service.Spec.Ports {
		if p.Port == port {
			return true
		}
	}
	return false
}
