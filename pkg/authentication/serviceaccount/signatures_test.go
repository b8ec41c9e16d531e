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

package serviceaccount

import (
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"maps"
	"math/big"
	"strings"
	"testing"

	"gopkg.in/go-jose/go-jose.v2"
)

func TestOnlyTheServersKeysSignTokens(t *testing.T) {
	signing, older, stranger := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P384()), newECKey(t, elliptic.P256())
	rsaKey, otherRSA := newRSAKey(t), newRSAKey(t)
	keys := readKeys(t, signing, older, rsaKey)
	authn, _ := newAuthenticator(keys, newWorld())
	good := craft(t, jose.ES256, signing, idOf(t, signing), payload(nil))
	parts := strings.Split(good, ".")
	public := publicPEM(t, signing)
	hmacHeader := map[string]any{"alg": "HS256", "kid": idOf(t, signing)}

	for _, tc := range []struct{ name, token, refuse string }{
		{"the signing key", good, ""},
		{"the signing key, not named", craft(t, jose.ES256, signing, "", payload(nil)), ""},
		{"a key of before, on another curve", craft(t, jose.ES384, older, idOf(t, older), payload(nil)), ""},
		{"a key of before, not named", craft(t, jose.ES384, older, "", payload(nil)), ""},
		{"an RSA key of before", craft(t, jose.RS256, rsaKey, idOf(t, rsaKey), payload(nil)), ""},
		{"a stranger's key", craft(t, jose.ES256, stranger, idOf(t, stranger), payload(nil)), "key that is not known"},
		{"a stranger's key under our name", craft(t, jose.ES256, stranger, idOf(t, signing), payload(nil)), "signature is not good"},
		{"a stranger's key without a name", craft(t, jose.ES256, stranger, "", payload(nil)), "signature is not good"},
		{"a stranger's RSA key under our name", craft(t, jose.RS256, otherRSA, idOf(t, rsaKey), payload(nil)), "signature is not good"},
		{"our RSA key under the name of another", craft(t, jose.RS256, rsaKey, idOf(t, signing), payload(nil)), "signature is not good"},
		{"an unknown key id", craft(t, jose.ES256, signing, "nobody", payload(nil)), "key that is not known"},
		{"no signature and alg none", assemble(t, map[string]any{"alg": "none"}, payload(nil), nil), `"none"`},
		{"no signature and alg None", assemble(t, map[string]any{"alg": "None"}, payload(nil), nil), `"None"`},
		{"no signature and no alg", assemble(t, map[string]any{"typ": "JWT"}, payload(nil), nil), `tokens signed with ""`},
		{"no signature and an alg of ours", assemble(t, map[string]any{"alg": "ES256", "kid": idOf(t, signing)}, payload(nil), nil), "signature is not good"},
		{"a signature of zeros", assemble(t, map[string]any{"alg": "ES256", "kid": idOf(t, signing)}, payload(nil), make([]byte, 64)), "signature is not good"},
		{"HMAC with the public key as the secret", craft(t, jose.HS256, public, idOf(t, signing), payload(nil)), `"HS256"`},
		{"HMAC over the header of another", assemble(t, hmacHeader, payload(nil), []byte("x")), `"HS256"`},
		{"alg swapped to RSA", swapHeader(t, good, map[string]any{"alg": "RS256", "kid": idOf(t, signing)}), "signature is not good"},
		{"a key of its own in the header", withOwnKey(t, stranger), "signature is not good"},
		{"an unknown critical extension", swapHeader(t, good, map[string]any{"alg": "ES256", "kid": idOf(t, signing), "crit": []string{"x"}, "x": 1}), "signature is not good"},
		{"the signature of another token", parts[0] + "." + parts[1] + "." + strings.Split(craft(t, jose.ES256, signing, "", payload(map[string]any{"jti": "other"})), ".")[2], "signature is not good"},
		{"a signature with one bit changed", parts[0] + "." + parts[1] + "." + flip(parts[2]), "signature is not good"},
		{"a payload with one claim changed", parts[0] + "." + strings.Split(assemble(t, nil, payload(map[string]any{"sub": "system:serviceaccount:kube-system:root"}), nil), ".")[1] + "." + parts[2], "signature is not good"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // the cache must not change the result
				expect(t, authn, tc.token, tc.refuse)
			}
		})
	}
}

func TestTokensOfOtherIssuersAreLeftToOtherAuthenticators(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	authn, _ := newAuthenticator(readKeys(t, key), newWorld())
	good := craft(t, jose.ES256, key, "", payload(nil))
	for name, token := range map[string]string{
		"nothing":                        "",
		"a word":                         "guess",
		"a token of another issuer":      craft(t, jose.ES256, key, "", payload(map[string]any{"iss": "https://other.test"})),
		"a token without an issuer":      craft(t, jose.ES256, key, "", payload(map[string]any{"iss": nil})),
		"an issuer in other letters":     craft(t, jose.ES256, key, "", payload(map[string]any{"iss": strings.ToUpper(testIssuer)})),
		"two parts":                      strings.Join(strings.Split(good, ".")[:2], "."),
		"five parts":                     good + ".x.y",
		"a payload that is not base64":   "e30.!!.e30",
		"a payload that is not JSON":     "e30." + base64.RawURLEncoding.EncodeToString([]byte("{")) + ".e30",
		"a token as a JSON object":       `{"payload":"e30","signature":"e30"}`,
		"an issuer that is not a string": craft(t, jose.ES256, key, "", payload(map[string]any{"iss": 1})),
	} {
		t.Run(name, func(t *testing.T) {
			if answer, ok, err := authn.AuthenticateToken(t.Context(), token); ok || err != nil {
				t.Errorf("got %v, %v", answer, err)
			}
		})
	}
}

func TestTheSignedIssuerCounts(t *testing.T) {
	// JSON parsers differ in which of two equal keys they use.
	key := newECKey(t, elliptic.P256())
	authn, _ := newAuthenticator(readKeys(t, key), newWorld())
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign([]byte(`{"iss":"https://evil.test","iss":"` + testIssuer + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, authn, token, "the token")
}

func TestVerifiedSignaturesAreCachedAndRefusedOnesAreNot(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	s := newSignatures(readKeys(t, key))
	good := craft(t, jose.ES256, key, "", payload(nil))
	first, err := s.verify(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.cached(good) != first {
		t.Error("a verified signature is not cached")
	}
	parts := strings.Split(good, ".")
	bad := parts[0] + "." + parts[1] + "." + flip(parts[2])
	if _, err := s.verify(bad); err == nil || s.cached(bad) != nil || s.good.Len() != 1 {
		t.Errorf("%v, %d cached", err, s.good.Len())
	}
	for i := range cachedSignatures {
		s.good.Add(i, first)
	}
	if s.good.Len() != cachedSignatures {
		t.Errorf("%d signatures are cached, without a bound", s.good.Len())
	}
}

// swapHeader replaces the header of a token.
func swapHeader(t *testing.T, token string, header map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	return strings.Split(assemble(t, header, nil, nil), ".")[0] + "." + parts[1] + "." + parts[2]
}

// withOwnKey returns a token that contains the key for its own verification.
func withOwnKey(t *testing.T, key any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	token := strings.Split(assemble(t, nil, payload(nil), nil), ".")[1]
	payload, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func flip(signature string) string {
	data, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return signature + "A"
	}
	data[len(data)/2] ^= 1
	return base64.RawURLEncoding.EncodeToString(data)
}

func BenchmarkACachedSignature(b *testing.B) {
	key := newECKey(b, elliptic.P256())
	authn, _ := newAuthenticator(readKeys(b, key), newWorld())
	token := craft(b, jose.ES256, key, idOf(b, key), payload(nil))
	for b.Loop() {
		if _, ok, err := authn.AuthenticateToken(b.Context(), token); !ok {
			b.Fatal(err)
		}
	}
}

func BenchmarkANewSignature(b *testing.B) {
	key := newECKey(b, elliptic.P256())
	s := newSignatures(readKeys(b, key))
	token := craft(b, jose.ES256, key, idOf(b, key), payload(nil))
	for b.Loop() {
		if _, err := s.verify(token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKeysAreReadFromEveryFormAndWeakOnesAreRefused(t *testing.T) {
	signing, second := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P521())
	rsaKey := newRSAKey(t)
	ids := map[string]bool{idOf(t, signing): true, idOf(t, second): true, idOf(t, rsaKey): true}
	both, err := ReadKeys(keyFile(t, signing), publicKeyFile(t, second, rsaKey), keyFile(t, signing))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, key := range both.all {
		got[key.ID] = true
	}
	if !maps.Equal(got, ids) || len(both.all) != 3 || both.all[0].ID != idOf(t, signing) {
		t.Errorf("got %v", both.all)
	}

	weak := &rsa.PublicKey{N: new(big.Int).Rsh(rsaKey.N, 1024), E: 65537}
	if _, err := algorithmOf(weak); err == nil || !strings.Contains(err.Error(), "too weak") {
		t.Errorf("an RSA key of 1024 bits: %v", err)
	}
	small := newECKey(t, elliptic.P224())
	for name, tc := range map[string]struct {
		signing   string
		verifying []string
		want      string
	}{
		"a signing key that is no key":            {file(t, []byte("nothing")), nil, "no private key that can be read"},
		"a signing key that is only public":       {publicKeyFile(t, signing), nil, "no private key that can be read"},
		"a signing key that is not there":         {"/nowhere/key", nil, "no private key that can be read"},
		"a verifying key that is no key":          {keyFile(t, signing), []string{file(t, nil)}, "no public key that can be read"},
		"a signing key on a curve without tokens": {keyFile(t, small), nil, "P-224 cannot sign"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadKeys(tc.signing, tc.verifying...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
