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

package certificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
)

func TestIssueClient(t *testing.T) {
	ca, err := issueCA(start)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cn      string
		ttl     time.Duration
		wantErr string
	}{
		"a user for a day":                  {cn: "jane", ttl: day},
		"a user until the CA's last second": {cn: "jane", ttl: caLifetime},
		"a user beyond the CA's end":        {cn: "jane", ttl: caLifetime + time.Second, wantErr: "cannot outlast the cluster CA, which expires on 2036-02-27"},
		"no lifetime":                       {cn: "jane", wantErr: "lifetime above zero"},
		"no name":                           {ttl: day, wantErr: "needs a user name"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			certPEM, keyPEM, err := IssueClient(ca, tc.cn, []string{"a", "b"}, tc.ttl, start)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("got %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			pair, err := parsePair(certPEM, keyPEM)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(ca.Cert)
			use := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: use, CurrentTime: start}); err != nil {
				t.Error(err)
			}
			if s := pair.Cert.Subject; s.CommonName != tc.cn || !slices.Equal(s.Organization, []string{"a", "b"}) {
				t.Errorf("subject is %s", s)
			}
			if got := pair.Cert.NotAfter.Sub(start); got != tc.ttl {
				t.Errorf("lives %s, want %s", got, tc.ttl)
			}
		})
	}
}

func TestLoopbackIsTrustedByItsOwnClientOnly(t *testing.T) {
	const name = "apiserver-loopback-client"
	provider, trust, err := Loopback(name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(provider.SNINames(), []string{name}) {
		t.Errorf("names: %v", provider.SNINames())
	}
	serving, err := tls.X509KeyPair(provider.CurrentCertKeyContent())
	if err != nil {
		t.Fatal(err)
	}
	_, otherTrust, err := Loopback(name, time.Now())
	if err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		trust []byte
		name  string
		fails bool
	}{
		"its own client":               {trust: trust, name: name},
		"a client of another process":  {trust: otherTrust, name: name, fails: true},
		"a client that asks by a host": {trust: trust, name: "localhost", fails: true},
	}
	for test, tc := range tests {
		t.Run(test, func(t *testing.T) {
			client, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: tc.trust, ServerName: tc.name}})
			if err != nil {
				t.Fatal(err)
			}
			err = handshake(t.Context(), client, &tls.Config{Certificates: []tls.Certificate{serving}, MinVersion: tls.VersionTLS13})
			if (err != nil) != tc.fails {
				t.Errorf("handshake: %v", err)
			}
		})
	}
}

// handshake returns the client's error.
func handshake(ctx context.Context, client, server *tls.Config) error {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		return err
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_ = conn.(*tls.Conn).HandshakeContext(ctx)
			conn.Close()
		}
	}()
	conn, err := (&tls.Dialer{Config: client}).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestARequestIsSignedForItsKeyWithinTheLifeOfTheAuthority(t *testing.T) {
	ca, err := issueCA(start)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		from, until time.Duration
		lives       time.Duration
		wantErr     string
	}{
		"within it":  {from: 0, until: day, lives: day},
		"beyond it":  {from: 0, until: caLifetime + day, lives: caLifetime},
		"after it":   {from: caLifetime + day, until: caLifetime + 2*day, wantErr: "expired on 2036-02-27"},
		"at its end": {from: caLifetime, until: caLifetime + day, wantErr: "expired on"},
	} {
		t.Run(name, func(t *testing.T) {
			certPEM, err := SignRequest(ca, &x509.Certificate{
				Subject: pkix.Name{CommonName: "jane"}, NotBefore: start.Add(tc.from), NotAfter: start.Add(tc.until), IsCA: true,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}, key.Public())
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("got %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			signed, err := cert.ParseCertsPEM(certPEM)
			if err != nil {
				t.Fatal(err)
			}
			got := signed[0]
			if err := got.CheckSignatureFrom(ca.Cert); err != nil || !key.PublicKey.Equal(got.PublicKey) || got.IsCA || !got.BasicConstraintsValid || got.SerialNumber.BitLen() < 64 {
				t.Errorf("got %+v, %v", got, err)
			}
			if lives := got.NotAfter.Sub(got.NotBefore); lives != tc.lives {
				t.Errorf("lives %s, want %s", lives, tc.lives)
			}
		})
	}
}
