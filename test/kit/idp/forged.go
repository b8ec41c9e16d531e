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

package idp

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	jose "gopkg.in/go-jose/go-jose.v2"
)

// Forged returns tokens that claim to be the provider's and whose signature is not by its key, by the way
// in which they are forged.
func Forged(t testing.TB, p *Provider, key, stranger *Key, change map[string]any) map[string]string {
	t.Helper()
	claims := p.Claims(change)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: stranger.private}, (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", stranger.id))
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := embedded.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"without a signature and with alg none":       Unsigned(t, `{"alg":"none"}`, claims),
		"without a signature and with alg NONE":       Unsigned(t, `{"alg":"NONE","kid":"`+key.id+`"}`, claims),
		"without a signature":                         Unsigned(t, `{"alg":"ES256","kid":"`+key.id+`"}`, claims),
		"with the public key as the secret of HS256":  Sign(t, jose.HS256, key.PublicBytes(), key.id, claims),
		"with the public key as the secret of HS512":  Sign(t, jose.HS512, key.PublicBytes(), key.id, claims),
		"with the key that verifies it in its header": compact,
	}
}

// PublicBytes returns the public key as the secret with which libraries that confuse algorithms verify HMAC.
func (k *Key) PublicBytes() []byte {
	data, err := k.Public().Bytes()
	if err != nil {
		panic(err) // NewKey's curve has an encoding
	}
	return data
}

// Unsigned returns a token with a header and an empty signature.
func Unsigned(t testing.TB, header string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode(payload) + "."
}
