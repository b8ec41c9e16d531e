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

package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// IssueClient is a client configuration with a certificate of the server's own CA.
func IssueClient(t *testing.T, server *servertesting.Server, user string, groups ...string) *rest.Config {
	t.Helper()
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return IssueClientFrom(t, ca, server, user, time.Now(), groups...)
}

// IssueClientFrom is a client configuration with a certificate of any CA, valid for an hour from a time on.
func IssueClientFrom(t *testing.T, ca certificates.KeyPair, server *servertesting.Server, user string, from time.Time, groups ...string) *rest.Config {
	t.Helper()
	cert, key, err := certificates.IssueClient(ca, user, groups, time.Hour, from)
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(server.Config)
	config.CertData, config.KeyData = cert, key
	return config
}

// NewSigningRequest returns a request in PEM with its key.
func NewSigningRequest(t *testing.T, template *x509.CertificateRequest) (requestPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	if keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), keyPEM
}

// WithToken returns a client configuration with a bearer token as its only credential.
func WithToken(server *servertesting.Server, token string) *rest.Config {
	config := rest.AnonymousClientConfig(server.Config)
	config.BearerToken = token
	return config
}

// NewToken requests a token of a service account of the namespace default.
func NewToken(t *testing.T, client kubernetes.Interface, account string, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	given, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(given.Status.ExpirationTimestamp.Time); left < 9*time.Minute || left > time.Hour {
		t.Errorf("the token is good for %s", left)
	}
	return given.Status.Token
}
