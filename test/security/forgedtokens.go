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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	jose "gopkg.in/go-jose/go-jose.v2"
)

// keySetPath has the keys of service account tokens.
const keySetPath = "/openid/v1/jwks"

// ForgedTokens plays tokens that were forged from the good token of a service account that may not list
// hosts. keys is the content of the server that signed it, at the path /openid/v1/jwks.
func ForgedTokens(t *testing.T, env Env, good string, keys []byte) {
	t.Helper()
	env.Tokens = forge(t, good, keys)
	rows := []attack{}
	for _, name := range slices.Sorted(maps.Keys(env.Tokens)) {
		rows = append(rows, attack{name: "A caller shows a token " + name, as: name, path: hosts, code: http.StatusUnauthorized, says: "Unauthorized"})
	}
	// The good token is authenticated, so the refusals of the others come from their defect.
	env.Tokens["good"] = good
	rows = append(rows, attack{name: "A service account without rights lists hosts", as: "good", path: hosts, code: http.StatusForbidden, says: "cannot list"})
	play(t, env, nil, rows, []string{hosts})
}

// KeySet returns the keys of service account tokens of a server.
func KeySet(t *testing.T, env Env) []byte {
	t.Helper()
	return newClient(t, env.Admin).must(t, http.MethodGet, keySetPath, "", "")
}

// forge returns changed copies of a token by the change.
func forge(t *testing.T, good string, keys []byte) map[string]string {
	t.Helper()
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		ID string `json:"kid"`
	}
	if data, err := base64.RawURLEncoding.DecodeString(head); err != nil || json.Unmarshal(data, &header) != nil {
		t.Fatal(err)
	}
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	changed := func(name string, value any) string {
		var claims map[string]any
		if err := json.Unmarshal(decoded, &claims); err != nil {
			t.Fatal(err)
		}
		claims[name] = value
		data, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		return head + "." + encode(string(data)) + "." + signature
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"with alg none and without a signature":   encode(`{"alg":"none"}`) + "." + payload + ".",
		"with alg none and the good signature":    encode(`{"alg":"none"}`) + "." + payload + "." + signature,
		"without a signature":                     head + "." + payload + ".",
		"for another service account":             changed("sub", "system:serviceaccount:kube-system:default"),
		"for the group of administrators":         changed("groups", []string{"system:masters"}),
		"of another issuer":                       changed("iss", "https://elsewhere.example.com"),
		"with 300 kB more":                        changed("more", strings.Repeat("x", 200<<10)),
		"signed by a stranger with the same ID":   signed(t, jose.ES256, stranger, header.ID, decoded, false),
		"with the key that verifies it inside":    signed(t, jose.ES256, stranger, header.ID, decoded, true),
		"with the public key as secret of HS256":  signed(t, jose.HS256, publicKey(t, keys), header.ID, decoded, false),
		"with an empty secret of HS256":           signed(t, jose.HS256, []byte{}, header.ID, decoded, false),
		"that is the good one and one more point": good + ".",
	}
}

// publicKey returns the first key in PEM, as libraries that confuse algorithms read it.
func publicKey(t *testing.T, keys []byte) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("%s: %v", keys, err)
	}
	der, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func signed(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, payload []byte, embed bool) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{EmbedJWK: embed}).WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signature.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
