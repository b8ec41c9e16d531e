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

package authentication

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// reloaded is a bundle of authorities that a test exchanges, as a reload of the file does.
type reloaded struct {
	content atomic.Pointer[dynamiccertificates.CAContentProvider]
	clock   *testingclock.FakePassiveClock
}

func (r *reloaded) set(t *testing.T, authorities ...authority) {
	t.Helper()
	content := provider(t, authorities...)
	r.content.Store(&content)
}

func (r *reloaded) options() (x509.VerifyOptions, bool) {
	options, ok := (*r.content.Load()).VerifyOptions()
	options.CurrentTime = r.clock.Now()
	return options, ok
}

// counted is a connections with the number of verifications by the library.
func counted(t *testing.T, authorities ...authority) (*connections, *reloaded, *atomic.Int32) {
	t.Helper()
	bundle := &reloaded{clock: testingclock.NewFakePassiveClock(time.Now())}
	bundle.set(t, authorities...)
	var count atomic.Int32
	c := newConnections(bundle.options, bundle.clock)
	verify := c.verify
	c.verify = authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		count.Add(1)
		return verify.AuthenticateRequest(r)
	})
	return c, bundle, &count
}

func TestACertificateIsVerifiedOncePerConnectionWhileItIsValid(t *testing.T) {
	own, other := newAuthority(t, "own"), newAuthority(t, "other")
	intermediate := own.intermediate(t, time.Now().Add(20*time.Minute))
	leaf := own.issue(t, "admin", []string{"ops"}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(30 * time.Minute) })
	below := intermediate.issue(t, "admin", []string{"ops"})
	for _, test := range []struct {
		name string
		// chain is what the client presents.
		chain []*x509.Certificate
		// between happens between two requests of the connection.
		between func(*reloaded)
		// accepted is whether the second request is authenticated, and verified how often the library verified.
		accepted bool
		verified int32
	}{
		{name: "nothing has changed", chain: []*x509.Certificate{leaf}, accepted: true, verified: 1},
		{name: "the certificate expires", chain: []*x509.Certificate{leaf}, verified: 2,
			between: func(b *reloaded) { b.clock.SetTime(time.Now().Add(31 * time.Minute)) }},
		{name: "the clock goes back before the certificate is valid", chain: []*x509.Certificate{leaf}, verified: 2,
			between: func(b *reloaded) { b.clock.SetTime(time.Now().Add(-10 * time.Minute)) }},
		{name: "a certificate between it and the authority expires", chain: []*x509.Certificate{below, intermediate.certificate}, verified: 2,
			between: func(b *reloaded) { b.clock.SetTime(time.Now().Add(21 * time.Minute)) }},
		{name: "the authority itself expires", chain: []*x509.Certificate{own.issue(t, "admin", []string{"ops"}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(3 * time.Hour) })}, verified: 2,
			between: func(b *reloaded) { b.clock.SetTime(time.Now().Add(2 * time.Hour)) }},
		{name: "its authority is removed by a reload", chain: []*x509.Certificate{leaf}, verified: 2,
			between: func(b *reloaded) { b.set(t, other) }},
		{name: "an authority is added by a reload", chain: []*x509.Certificate{leaf}, accepted: true, verified: 2,
			between: func(b *reloaded) { b.set(t, own, other) }},
		{name: "the authority gets a new certificate with the same key", chain: []*x509.Certificate{leaf}, accepted: true, verified: 2,
			between: func(b *reloaded) { b.set(t, own.renamed(t, "own")) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			authn, bundle, count := counted(t, own)
			connection := &tls.ConnectionState{PeerCertificates: test.chain}
			send := func() (*authenticator.Response, bool, error) {
				r := httptest.NewRequest(http.MethodGet, "https://127.0.0.1"+apiPath, nil)
				r.TLS = connection
				return authn.AuthenticateRequest(r)
			}
			first, ok, err := send()
			if !ok || err != nil {
				t.Fatalf("the first request is refused: %v", err)
			}
			if test.between != nil {
				test.between(bundle)
			}
			second, ok, err := send()
			if ok != test.accepted || (err == nil) != test.accepted {
				t.Fatalf("the second request is accepted: %t (%v)", ok, err)
			}
			if got := count.Load(); got != test.verified {
				t.Errorf("verified %d times, not %d", got, test.verified)
			}
			if !test.accepted {
				return
			}
			for _, response := range []*authenticator.Response{first, second} {
				if name, groups := response.User.GetName(), response.User.GetGroups(); name != "admin" || !slices.Equal(groups, []string{"ops"}) {
					t.Errorf("the user is %s of %v", name, groups)
				}
			}
			if _, again, _ := send(); !again || count.Load() != test.verified {
				t.Errorf("a third request is accepted: %t, after %d verifications", again, count.Load())
			}
		})
	}
}

func TestAFailedVerificationIsNotKept(t *testing.T) {
	own, other := newAuthority(t, "own"), newAuthority(t, "other")
	authn, bundle, count := counted(t, own)
	r := request(apiPath, other.issue(t, "admin", nil), nil)
	for range 2 {
		if _, ok, err := authn.AuthenticateRequest(r); ok || err == nil {
			t.Fatal("a certificate of another authority is accepted")
		}
	}
	bundle.set(t, own, other)
	if _, ok, err := authn.AuthenticateRequest(r); !ok {
		t.Errorf("refused after its authority was added: %v", err)
	}
	if got := count.Load(); got != 3 {
		t.Errorf("verified %d times, not 3", got)
	}
}

func TestConnectionsDoNotShareVerifications(t *testing.T) {
	own := newAuthority(t, "own")
	authn, _, count := counted(t, own)
	for _, name := range []string{"first", "second"} {
		response, ok, err := authn.AuthenticateRequest(request(apiPath, own.issue(t, name, nil), nil))
		if !ok || response.User.GetName() != name {
			t.Errorf("%s is authenticated as %v (%v)", name, response, err)
		}
	}
	if got := count.Load(); got != 2 {
		t.Errorf("verified %d times, not 2", got)
	}
}

func TestAVerificationEndsWithItsConnection(t *testing.T) {
	own := newAuthority(t, "own")
	authn, _, _ := counted(t, own)
	if _, ok, err := authn.AuthenticateRequest(request(apiPath, own.issue(t, "admin", nil), nil)); !ok {
		t.Fatal(err)
	}
	kit.Eventually(t, "the verification is gone", func(context.Context) bool {
		runtime.GC()
		kept := false
		authn.verified.Range(func(any, any) bool { kept = true; return false })
		return !kept
	})
}

// The state of a connection is the same object in all its requests: this is a property of Go's servers.
func TestAllRequestsOfAConnectionAreVerifiedOnce(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		name := map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[http2]
		t.Run(name, func(t *testing.T) {
			own := newAuthority(t, "own")
			authn, _, count := counted(t, own)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				response, ok, err := authn.AuthenticateRequest(r)
				if !ok || response.User.GetName() != "admin" {
					http.Error(w, "refused", http.StatusUnauthorized)
					t.Errorf("refused over %s: %v", r.Proto, err)
				}
				w.Header().Set("Proto", r.Proto)
			}))
			server.EnableHTTP2 = http2
			server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
			server.StartTLS()
			defer server.Close()

			key := newKey(t)
			client := server.Client()
			client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{own.issueFor(t, "admin", key).Raw}, PrivateKey: key}}
			for connection := range int32(2) {
				for range 3 {
					response, err := client.Get(server.URL)
					if err != nil {
						t.Fatal(err)
					}
					_ = response.Body.Close()
					if got := response.Header.Get("Proto"); (got == "HTTP/2.0") != http2 {
						t.Fatalf("the request used %s", got)
					}
				}
				if got := count.Load(); got != connection+1 {
					t.Errorf("verified %d times on %d connections", got, connection+1)
				}
				client.CloseIdleConnections()
			}
		})
	}
}

// intermediate is an authority that is signed by this one, until a time.
func (a authority) intermediate(t *testing.T, until time.Time) authority {
	t.Helper()
	key := newKey(t)
	certificate := a.sign(t, "intermediate", nil, &key.PublicKey, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.NotAfter = true, true, x509.KeyUsageCertSign, until
	})
	return authority{certificate: certificate, key: key}
}

// issueFor signs a client certificate for a key.
func (a authority) issueFor(t *testing.T, user string, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	return a.sign(t, user, nil, &key.PublicKey)
}
