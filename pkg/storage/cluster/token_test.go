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

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// bundle returns the certificates of a new server.
func bundle(t *testing.T) *certificates.Bundle {
	t.Helper()
	made, err := certificates.Ensure(t.TempDir(), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestATokenVerifiesTheServerThatHasInvited(t *testing.T) {
	ours, other := bundle(t), bundle(t)
	byAuthority := newToken(PinOf(ours.CA.Cert, ours.Serving.Cert))
	byCertificate := newToken(PinOf(other.CA.Cert, ours.Serving.Cert))
	if len(byAuthority.Pin) != pinnedKey || len(byCertificate.Pin) == pinnedKey {
		t.Fatalf("the pins have %d and %d bytes", len(byAuthority.Pin), len(byCertificate.Pin))
	}
	now := time.Now()
	for _, c := range []struct {
		name    string
		token   Token
		serving *x509.Certificate
		host    string
		now     time.Time
		want    string
	}{
		{name: "of the authority", token: byAuthority, serving: ours.Serving.Cert, host: "127.0.0.1", now: now},
		{name: "of a certificate of another authority", token: byCertificate, serving: ours.Serving.Cert, host: "localhost", now: now},
		{name: "not another authority", token: byAuthority, serving: other.Serving.Cert, host: "127.0.0.1", now: now, want: "is not the one that has invited"},
		{name: "not another certificate", token: byCertificate, serving: other.Serving.Cert, host: "127.0.0.1", now: now, want: "is not the one that has invited"},
		{name: "not under another name", token: byAuthority, serving: ours.Serving.Cert, host: "10.0.0.9", now: now, want: "--tls-san=10.0.0.9"},
		{name: "not after its end", token: byAuthority, serving: ours.Serving.Cert, host: "127.0.0.1", now: now.Add(2 * 365 * 24 * time.Hour), want: "set the clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parsed, err := ParseToken(c.token.String())
			if err != nil || parsed.ID != c.token.ID || parsed.Secret != c.token.Secret {
				t.Fatalf("the token %+v is read as %+v: %v", c.token, parsed, err)
			}
			err = parsed.verifies(c.serving, c.host, c.now)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the certificate is judged %v, want %q", err, c.want)
			}
		})
	}
}

func TestAnAuthorityWithAnotherCurveIsPinnedByItsCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serving := bundle(t).Serving.Cert
	if pin := PinOf(&x509.Certificate{PublicKey: key.Public()}, serving); len(pin) != 32 {
		t.Errorf("the pin has %d bytes, want those of a hash", len(pin))
	}
}

func TestTheBearerHasNoPinAndTheHashNoSecret(t *testing.T) {
	token := newToken(make([]byte, pinnedKey))
	id, secret, ok := parseBearer(token.bearer())
	if !ok || id != token.ID || secret != token.Secret {
		t.Errorf("the bearer is read as %q, %q, %v", id, secret, ok)
	}
	if hash := hashOf(secret); !hashMatches(hash, secret) || hashMatches(hash, secret+"x") || strings.Contains(hash, secret) {
		t.Errorf("the hash %s does not stand for the secret", hash)
	}
	for _, other := range []string{"", "gh1", "gh1.abc.def", "abcdef.0123456789abcdef", token.String(), "gh2." + token.ID + "." + secret} {
		if _, _, ok := parseBearer(other); ok {
			t.Errorf("%q is taken for the token of an invitation", other)
		}
	}
}
