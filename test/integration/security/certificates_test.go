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

package security

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clientcert "k8s.io/client-go/util/cert"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

func TestACertificateIsIssuedOnlyToItsSubjectAfterAnApproval(t *testing.T) {
	security.Certificates(t, attackers(t, servertesting.Start(t)))
}

// tool runs kubectl as one user.
type tool struct {
	program, kubeconfig string
}

// kubectlAs returns kubectl with a certificate.
func kubectlAs(t *testing.T, server *servertesting.Server, certPEM, keyPEM []byte) tool {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(server.DataDir, "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := certificates.Kubeconfig(server.URL, ca, certPEM, keyPEM, "gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return tool{kubectl.Find(t), path}
}

// run returns both outputs of kubectl, and whether it succeeded.
func (k tool) run(t *testing.T, stdin, line string) (output string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kit.Patience)
	defer cancel()
	command := exec.CommandContext(ctx, k.program, strings.Fields(line)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(k.kubeconfig), "KUBECONFIG=" + k.kubeconfig, "KUBECTL_KUBERC=false"}
	command.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err == nil
}

// prints fails the test unless kubectl succeeds and prints all these texts.
func (k tool) prints(t *testing.T, stdin, line string, want ...string) string {
	t.Helper()
	output, ok := k.run(t, stdin, line)
	k.check(t, line, output, ok, true, want)
	return output
}

// fails fails the test unless kubectl fails and prints all these texts.
func (k tool) fails(t *testing.T, line string, want ...string) {
	t.Helper()
	output, ok := k.run(t, "", line)
	k.check(t, line, output, ok, false, want)
}

func (tool) check(t *testing.T, line, output string, ok, wanted bool, want []string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(output, text) {
			t.Errorf("kubectl %s does not print %q:\n%s", line, text, output)
		}
	}
	if ok != wanted {
		t.Fatalf("kubectl %s: success is %v:\n%s", line, ok, output)
	}
}

// issueUser returns kubectl as a user with a certificate of the server's authority.
func issueUser(t *testing.T, server *servertesting.Server, user string, groups ...string) tool {
	t.Helper()
	config := harness.IssueClient(t, server, user, groups...)
	return kubectlAs(t, server, config.CertData, config.KeyData)
}

func TestAUserGetsACertificateThatAnOperatorApproves(t *testing.T) {
	server := servertesting.Start(t)
	admin := tool{kubectl.Find(t), server.Kubeconfig}
	jane, olga := issueUser(t, server, "jane"), issueUser(t, server, "olga")
	for _, line := range []string{
		"create clusterrole requester --verb=create,get,list,watch --resource=certificatesigningrequests",
		"create clusterrolebinding requester --clusterrole=requester --user=jane",
		"create clusterrole approval-writer --verb=get,list,watch,update --resource=certificatesigningrequests,certificatesigningrequests/approval",
		"create clusterrolebinding approval-writer --clusterrole=approval-writer --user=olga",
	} {
		admin.prints(t, "", line, "created")
	}
	request, key := harness.NewSigningRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane-laptop", Organization: []string{"team-a"}}})
	manifest := func(name string) string {
		return fmt.Sprintf("apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: %s}\nspec:\n  signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\n  expirationSeconds: 3600\n  request: %s\n",
			name, base64.StdEncoding.EncodeToString(request))
	}
	awaitOK(t, jane, "get csr")
	jane.prints(t, manifest("laptop"), "create -f -", "certificatesigningrequest.certificates.k8s.io/laptop created")
	jane.prints(t, manifest("denied"), "create -f -", "created")
	jane.prints(t, "", "get csr laptop", "NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION", "kubernetes.io/kube-apiserver-client", "jane", "60m", "Pending")
	jane.prints(t, "", "get csr --field-selector=spec.signerName=kubernetes.io/kube-apiserver-client -o name", "laptop", "denied")
	jane.fails(t, "certificate approve laptop", "Forbidden")
	awaitOK(t, olga, "get csr")
	olga.fails(t, "certificate approve laptop", "not permitted to approve", "CertificateApproval")
	admin.prints(t, "", "create clusterrolebinding approver --clusterrole=system:certificates.k8s.io:kube-apiserver-client-approver --user=olga", "created")
	awaitOK(t, olga, "certificate approve laptop")
	olga.prints(t, "", "certificate deny denied", "certificatesigningrequest.certificates.k8s.io/denied denied")
	olga.fails(t, "certificate approve denied", "already Denied")
	jane.prints(t, "", "wait csr/laptop --for=jsonpath={.status.certificate} --timeout=2m", "condition met")
	jane.prints(t, "", "get csr", "Approved,Issued", "Denied")

	encoded := jane.prints(t, "", "get csr laptop -o jsonpath={.status.certificate}")
	certificate, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := clientcert.ParseCertsPEM(certificate)
	if err != nil || len(parsed) != 1 || time.Until(parsed[0].NotAfter) > time.Hour || parsed[0].NotAfter.Sub(parsed[0].NotBefore) < time.Hour {
		t.Fatalf("issued %v, %v", parsed, err)
	}
	laptop := kubectlAs(t, server, certificate, key)
	laptop.prints(t, "", "auth whoami -o yaml", "username: jane-laptop", "- team-a", "- system:authenticated")
	laptop.fails(t, "get configmaps -n default", `User "jane-laptop" cannot list`)
	admin.prints(t, "", "create rolebinding team -n default --clusterrole=view --group=team-a", "created")
	awaitOK(t, laptop, "get configmaps -n default")
}

// awaitOK repeats a call until it succeeds, because the server observes new rights a moment later.
func awaitOK(t *testing.T, k tool, line string) {
	t.Helper()
	kit.EventuallyState(t, "kubectl "+line+" succeeds", func(context.Context) (bool, string) {
		output, ok := k.run(t, "", line)
		return ok, output
	})
}

// hostRequest creates a request for a serving certificate of the host edge-1 as a user, and approves it.
func hostRequest(t *testing.T, as, admin kubernetes.Interface, name, alternative string) (keyPEM []byte) {
	t.Helper()
	request, keyPEM := harness.NewSigningRequest(t, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:host:edge-1", Organization: []string{"system:hosts"}}, DNSNames: []string{alternative},
	})
	created, err := as.CertificatesV1().CertificateSigningRequests().Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: "gatehouse.dev/host-serving", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature}, Request: request,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Tested"}}
	if _, err := admin.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), name, created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return keyPEM
}

func TestOnlyTheHostItselfGetsTheCertificateWithWhichItServes(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.BuiltinClient(t, server)
	fleet, err := versioned.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	host, err := fleet.FleetV1alpha1().Hosts().Create(t.Context(), &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// What the host claims includes a name of the server.
	host.Status.Addresses = []v1alpha1.HostAddress{{Type: v1alpha1.HostHostname, Address: "edge-1.example.com"}, {Type: v1alpha1.HostHostname, Address: "gatehouse"}}
	if _, err := fleet.FleetV1alpha1().Hosts().UpdateStatus(t.Context(), host, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	self, err := kubernetes.NewForConfig(harness.IssueClient(t, server, "system:host:edge-1", "system:hosts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name        string
		as          kubernetes.Interface
		alternative string
		failure     string
	}{
		{"system:host:edge-1:good", self, "edge-1.example.com", ""},
		{"system:host:edge-1:other", self, "edge-2", "edge-2 is neither"},
		{"system:host:edge-1:server", self, "gatehouse", "of the server itself"},
		{"system:host:edge-1:admin", admin, "edge-1", "only the agent of host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := hostRequest(t, tc.as, admin, tc.name, tc.alternative)
			var done *certificatesv1.CertificateSigningRequest
			kit.Eventually(t, "the request is issued or fails", func(ctx context.Context) bool {
				done, err = self.CertificatesV1().CertificateSigningRequests().Get(ctx, tc.name, metav1.GetOptions{})
				return err == nil && (len(done.Status.Certificate) > 0 || len(done.Status.Conditions) > 1)
			})
			if tc.failure != "" {
				if last := done.Status.Conditions[len(done.Status.Conditions)-1]; last.Type != certificatesv1.CertificateFailed || !strings.Contains(last.Message, tc.failure) || len(done.Status.Certificate) > 0 {
					t.Errorf("got %+v", done.Status)
				}
				return
			}
			checkServing(t, server, done.Status.Certificate, key)
		})
	}
}

// checkServing checks that a certificate is for servers, and that the server does not accept it from clients.
func checkServing(t *testing.T, server *servertesting.Server, certPEM, keyPEM []byte) {
	t.Helper()
	parsed, err := clientcert.ParseCertsPEM(certPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := clientcert.NewPool(filepath.Join(server.DataDir, "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: "edge-1.example.com", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		t.Error(err)
	}
	config := rest.AnonymousClientConfig(server.Config)
	config.CertData, config.KeyData = certPEM, keyPEM
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		t.Errorf("a serving certificate authenticates: %v", err)
	}
}
