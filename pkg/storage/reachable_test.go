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

package storage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOneReachableEndpointIsEnough(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := "http://" + listener.Addr().String()
	closedListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + closedListener.Addr().String()
	_ = closedListener.Close()
	defer listener.Close()

	if err := CheckReachable(t.Context(), Connection{Endpoints: []string{closed, open}}); err != nil {
		t.Errorf("one of two is open: %v", err)
	}
	err = CheckReachable(t.Context(), Connection{Endpoints: []string{closed}})
	if err == nil || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the error names neither the endpoint nor the reason: %v", err)
	}
}

func TestDialAddress(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://etcd.example:2380": "tcp etcd.example:2380",
		"https://etcd.example":      "tcp etcd.example:2379",
		"unix:///run/etcd.sock":     "unix /run/etcd.sock",
	} {
		_, network, address, err := dialAddress(endpoint)
		if got := network + " " + address; err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", endpoint, got, err, want)
		}
	}
}

func TestTheRefusedCertificateIsNamed(t *testing.T) {
	dir := t.TempDir()
	known, knownCert := selfSigned(t, dir, "known")
	stranger, _ := selfSigned(t, dir, "stranger")
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	clients := x509.NewCertPool()
	clients.AddCert(knownCert)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(dir, "authority.crt")
	writePEM(t, authority, "CERTIFICATE", server.Certificate().Raw)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	otherName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	for name, tc := range map[string]struct {
		to Connection
		// want are parts of the error; empty for no error.
		want []string
	}{
		"both sides trust each other":                  {to: Connection{Endpoints: []string{server.URL}, CAFile: authority, CertFile: known + ".crt", KeyFile: known + ".key"}},
		"one of two endpoints is enough":               {to: Connection{Endpoints: []string{otherName, server.URL}, CAFile: authority, CertFile: known + ".crt", KeyFile: known + ".key"}},
		"another authority signed etcd's certificate":  {Connection{Endpoints: []string{server.URL}, CAFile: stranger + ".crt", CertFile: known + ".crt", KeyFile: known + ".key"}, []string{server.URL, "--etcd-cafile", "unknown authority"}},
		"etcd's certificate is not good for this name": {Connection{Endpoints: []string{otherName}, CAFile: authority, CertFile: known + ".crt", KeyFile: known + ".key"}, []string{"good for localhost"}},
		"a client certificate that etcd does not know": {Connection{Endpoints: []string{server.URL}, CAFile: authority, CertFile: stranger + ".crt", KeyFile: stranger + ".key"}, []string{server.URL, "refuses the client certificate", "--etcd-certfile"}},
		"no client certificate":                        {Connection{Endpoints: []string{server.URL}, CAFile: authority}, []string{"refuses the client certificate"}},
		"https where there is no TLS":                  {Connection{Endpoints: []string{strings.Replace(plain.URL, "http:", "https:", 1)}}, []string{"with TLS?"}},
		"no file of the authority":                     {Connection{CAFile: filepath.Join(dir, "none")}, []string{"--etcd-cafile", "none"}},
		"no certificate in that file":                  {Connection{CAFile: empty}, []string{"--etcd-cafile", "no certificate"}},
		"a key of another certificate":                 {Connection{CertFile: known + ".crt", KeyFile: stranger + ".key"}, []string{"--etcd-keyfile", "match"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckReachable(t.Context(), tc.to)
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
		})
	}
}

// selfSigned writes a client certificate and its key, and returns their path without the endings.
func selfSigned(t *testing.T, dir, name string) (string, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	writePEM(t, path+".crt", "CERTIFICATE", der)
	writePEM(t, path+".key", "PRIVATE KEY", keyDER)
	return path, cert
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
