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
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/keyutil"
	testingclock "k8s.io/utils/clock/testing"
)

const testIssuer = "https://gatehouse.test"

// noon is the time of the tests.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newECKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyFile writes a private key.
func keyFile(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, data)
}

// publicKeyFile writes the public keys of keys.
func publicKeyFile(t testing.TB, keys ...crypto.Signer) string {
	t.Helper()
	var data []byte
	for _, key := range keys {
		data = append(data, publicPEM(t, key)...)
	}
	return file(t, data)
}

func publicPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func file(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readKeys(t testing.TB, signing crypto.PrivateKey, verifying ...crypto.Signer) *Keys {
	t.Helper()
	var files []string
	for _, key := range verifying {
		files = append(files, publicKeyFile(t, key))
	}
	keys, err := ReadKeys(keyFile(t, signing), files...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func idOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	id, err := keyID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// craft signs any payload, also a wrong one.
func craft(t testing.TB, algorithm jose.SignatureAlgorithm, key any, kid string, payload map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: &jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(encoded)
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// assemble concatenates the parts of a token, for tokens that no library would sign.
func assemble(t testing.TB, header, payload map[string]any, signature []byte) string {
	t.Helper()
	encode := func(part map[string]any) string {
		data, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	return encode(header) + "." + encode(payload) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// payload returns the claims of a valid token of shop/web, with changes; a nil value removes a claim.
func payload(change map[string]any) map[string]any {
	all := map[string]any{
		"iss": testIssuer,
		"aud": []string{testIssuer},
		"sub": "system:serviceaccount:shop:web",
		"jti": "11111111-2222-3333-4444-555555555555",
		"iat": noon.Unix(),
		"nbf": noon.Unix(),
		"exp": noon.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "shop",
			"serviceaccount": map[string]any{"name": "web", "uid": "web-1"},
		},
	}
	for claim, value := range change {
		if value == nil {
			delete(all, claim)
			continue
		}
		all[claim] = value
	}
	return all
}

// bound is the private claim of a token that is bound to an object.
func bound(kind, name, uid string) map[string]any {
	return map[string]any{"kubernetes.io": map[string]any{
		"namespace":      "shop",
		"serviceaccount": map[string]any{"name": "web", "uid": "web-1"},
		kind:             map[string]any{"name": name, "uid": uid},
	}}
}

// world has the existing objects, by kind, namespace and name.
type world map[string]*metav1.ObjectMeta

func newWorld() world {
	w := world{}
	w.put("namespace", "", "shop", "shop-1")
	w.put("serviceaccount", "shop", "web", "web-1")
	w.put("secret", "shop", "vault", "vault-1")
	w.put("instance", "shop", "web-0", "web-0-1")
	return w
}

func (w world) put(kind, namespace, name string, uid types.UID) {
	w[kind+"/"+namespace+"/"+name] = &metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid}
}

func (w world) find(kind, namespace, name string) (metav1.Object, error) {
	if object, ok := w[kind+"/"+namespace+"/"+name]; ok {
		return object, nil
	}
	return nil, fmt.Errorf("%s %q not found", kind, name)
}

func (w world) Namespace(_ context.Context, name string) (metav1.Object, error) {
	return w.find("namespace", "", name)
}

func (w world) ServiceAccount(_ context.Context, namespace, name string) (metav1.Object, error) {
	return w.find("serviceaccount", namespace, name)
}

func (w world) Secret(_ context.Context, namespace, name string) (metav1.Object, error) {
	return w.find("secret", namespace, name)
}

func (w world) Instance(_ context.Context, namespace, name string) (metav1.Object, error) {
	return w.find("instance", namespace, name)
}

// deletedAt marks an object as being deleted.
func deletedAt(key string, at time.Time) func(world) {
	return func(w world) { w[key].DeletionTimestamp = &metav1.Time{Time: at} }
}

func gone(key string) func(world) { return func(w world) { delete(w, key) } }

func recreated(key string) func(world) { return func(w world) { w[key].UID = "another" } }

func newAuthenticator(keys *Keys, w world) (*Authenticator, *testingclock.FakeClock) {
	clock := testingclock.NewFakeClock(noon)
	return NewAuthenticator(Config{
		Issuers:   []string{testIssuer, "https://older.test"},
		Audiences: []string{testIssuer, "api"},
		Keys:      keys,
		Lookup:    w,
		Clock:     clock,
	}), clock
}
