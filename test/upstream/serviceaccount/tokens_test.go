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
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	upstream "k8s.io/kubernetes/pkg/serviceaccount"
	"k8s.io/utils/clock"

	ours "github.com/gatehouse-dev/gatehouse/pkg/authentication/serviceaccount"
)

const (
	issuer      = "https://gatehouse.test"
	olderIssuer = "https://older.test"
)

// world has the objects that both look up. Namespaces always exist, because Kubernetes does not look them up.
type world struct {
	accounts map[string]metav1.ObjectMeta
	secrets  map[string]metav1.ObjectMeta
}

func find(kind string, from map[string]metav1.ObjectMeta, namespace, name string) (metav1.ObjectMeta, error) {
	meta, ok := from[namespace+"/"+name]
	if !ok {
		return meta, apierrors.NewNotFound(corev1.Resource(kind), name)
	}
	meta.Namespace, meta.Name = namespace, name
	return meta, nil
}

func nothing(kind, name string) error { return apierrors.NewNotFound(corev1.Resource(kind), name) }

// theirs is the lookup of Kubernetes' authenticator.
type theirs struct{ world }

func (w theirs) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	meta, err := find("serviceaccounts", w.accounts, namespace, name)
	return &corev1.ServiceAccount{ObjectMeta: meta}, err
}

func (w theirs) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	meta, err := find("secrets", w.secrets, namespace, name)
	return &corev1.Secret{ObjectMeta: meta}, err
}

func (theirs) GetPod(_ context.Context, _, name string) (*corev1.Pod, error) {
	return nil, nothing("pods", name)
}

func (theirs) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return nil, nothing("nodes", name)
}

func (theirs) GetValidatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	return nil, nothing("validatingwebhookconfigurations", name)
}

func (theirs) GetMutatingWebhookConfiguration(_ context.Context, name string) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	return nil, nothing("mutatingwebhookconfigurations", name)
}

// lookup is the lookup of our authenticator.
type lookup struct{ world }

func (lookup) Namespace(_ context.Context, name string) (metav1.Object, error) {
	return &metav1.ObjectMeta{Name: name}, nil
}

func (w lookup) ServiceAccount(_ context.Context, namespace, name string) (metav1.Object, error) {
	meta, err := find("serviceaccounts", w.accounts, namespace, name)
	return &meta, err
}

func (w lookup) Secret(_ context.Context, namespace, name string) (metav1.Object, error) {
	meta, err := find("secrets", w.secrets, namespace, name)
	return &meta, err
}

func (lookup) Instance(_ context.Context, _, name string) (metav1.Object, error) {
	return nil, nothing("instances", name)
}

func newKey[K any](t *testing.T, key K, err error) K {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	return newKey(t, key, err)
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	return newKey(t, key, err)
}

// pemOf returns a key as in a file: the private key, or the public key.
func pemOf(t *testing.T, key crypto.Signer, private bool) []byte {
	t.Helper()
	block, der, err := "PUBLIC KEY", []byte(nil), error(nil)
	if private {
		block = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(key)
	} else {
		der, err = x509.MarshalPKIXPublicKey(key.Public())
	}
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: newKey(t, der, err)})
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign signs any payload.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, kid string, payload []byte) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: &jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	return newKey(t, token, err)
}

func said(t *testing.T, change map[string]any) []byte {
	t.Helper()
	now := time.Now()
	all := map[string]any{
		"iss": issuer, "aud": []string{"api"}, "sub": "system:serviceaccount:shop:web", "jti": "an-id",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": account("shop", "web", "web-1"),
	}
	for claim, value := range change {
		if value == nil {
			delete(all, claim)
			continue
		}
		all[claim] = value
	}
	data, err := json.Marshal(all)
	return newKey(t, data, err)
}

func account(namespace, name string, uid types.UID, bound ...string) map[string]any {
	all := map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": uid}}
	if len(bound) == 3 {
		all[bound[0]] = map[string]any{"name": bound[1], "uid": bound[2]}
	}
	return all
}

func own(claim map[string]any) map[string]any { return map[string]any{"kubernetes.io": claim} }

// both are the two authenticators with the same keys and objects.
type both struct{ theirs, ours authenticator.Token }

func newBoth(t *testing.T, w world, signing crypto.Signer, more ...crypto.Signer) both {
	t.Helper()
	public := []any{signing.Public()}
	var files []string
	for _, key := range more {
		public = append(public, key.Public())
		files = append(files, write(t, pemOf(t, key, false)))
	}
	getter, err := upstream.StaticPublicKeysGetter(public)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ours.ReadKeys(write(t, pemOf(t, signing, true)), files...)
	if err != nil {
		t.Fatal(err)
	}
	issuers, audiences := []string{issuer, olderIssuer}, authenticator.Audiences{"api", issuer}
	return both{
		theirs: upstream.JWTTokenAuthenticator(issuers, getter, audiences, upstream.NewValidator(theirs{w})),
		ours:   ours.NewAuthenticator(ours.Config{Issuers: issuers, Audiences: audiences, Keys: keys, Lookup: lookup{w}, Clock: clock.RealClock{}}),
	}
}

// compare authenticates a token with both and returns whether they accept it.
func (b both) compare(t *testing.T, ctx context.Context, token string) bool {
	t.Helper()
	want, good, wantErr := b.theirs.AuthenticateToken(ctx, token)
	for range 2 { // the second time the signature is cached
		got, ok, err := b.ours.AuthenticateToken(ctx, token)
		if ok != good || (err == nil) != (wantErr == nil) {
			t.Fatalf("Kubernetes returns %v (%v), ours %v (%v)", good, wantErr, ok, err)
		}
		if !ok {
			continue
		}
		if got.User.GetName() != want.User.GetName() || got.User.GetUID() != want.User.GetUID() || !reflect.DeepEqual(got.User.GetGroups(), want.User.GetGroups()) || !reflect.DeepEqual(got.User.GetExtra(), want.User.GetExtra()) {
			t.Errorf("Kubernetes returns %v, ours %v", want.User, got.User)
		}
		if !reflect.DeepEqual(got.Audiences, want.Audiences) {
			t.Errorf("Kubernetes returns the audiences %q, ours %q", want.Audiences, got.Audiences)
		}
	}
	return good
}

func ago(d time.Duration) *metav1.Time { return &metav1.Time{Time: time.Now().Add(-d)} }

func TestKubernetesAndWeTakeTheSameTokens(t *testing.T) {
	w := world{
		accounts: map[string]metav1.ObjectMeta{
			"shop/web":   {UID: "web-1"},
			"shop/going": {UID: "going-1", DeletionTimestamp: ago(30 * time.Second)},
			"shop/gone":  {UID: "gone-1", DeletionTimestamp: ago(2 * time.Minute)},
			"shop/later": {UID: "later-1", DeletionTimestamp: ago(-time.Hour)},
		},
		secrets: map[string]metav1.ObjectMeta{
			"shop/vault": {UID: "vault-1"},
			"shop/gone":  {UID: "gone-1", DeletionTimestamp: ago(2 * time.Minute)},
		},
	}
	signing, older, rsaOlder, stranger := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), rsaKey(t), ecKey(t, elliptic.P256())
	b := newBoth(t, w, signing, older, rsaOlder)
	ec := func(change map[string]any) string { return sign(t, jose.ES256, signing, "", said(t, change)) }
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	good := ec(nil)
	parts := strings.Split(good, ".")
	now := time.Now()

	for _, tc := range []struct {
		name, token string
		good        bool
	}{
		{"a good one", good, true},
		{"of an older issuer", ec(map[string]any{"iss": olderIssuer}), true},
		{"of another issuer", ec(map[string]any{"iss": "https://other.test"}), false},
		{"of no issuer", ec(map[string]any{"iss": nil}), false},
		{"of an issuer with a slash more", ec(map[string]any{"iss": issuer + "/"}), false},
		{"for two audiences of ours and one of another", ec(map[string]any{"aud": []string{"x", issuer, "api"}}), true},
		{"for an audience that is no list", ec(map[string]any{"aud": "api"}), true},
		{"for another audience", ec(map[string]any{"aud": []string{"x"}}), false},
		{"for no audience", ec(map[string]any{"aud": nil}), true},
		{"for an audience that is a number", ec(map[string]any{"aud": 1}), false},
		{"expired within the leeway", ec(map[string]any{"exp": now.Add(-30 * time.Second).Unix()}), true},
		{"expired", ec(map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}), false},
		{"expired at a negative time", ec(map[string]any{"exp": -1}), false},
		{"without an end", ec(map[string]any{"exp": nil}), true},
		{"with an end that is a word", ec(map[string]any{"exp": "tomorrow"}), false},
		{"valid in half a minute", ec(map[string]any{"nbf": now.Add(30 * time.Second).Unix()}), true},
		{"valid in an hour", ec(map[string]any{"nbf": now.Add(time.Hour).Unix()}), false},
		{"issued in an hour", ec(map[string]any{"iat": now.Add(time.Hour).Unix()}), false},
		{"without an ID", ec(map[string]any{"jti": nil}), true},
		{"of a subject that is another", ec(map[string]any{"sub": "system:serviceaccount:kube-system:root"}), true},
		{"of an account that is not there", ec(own(account("shop", "none", "web-1"))), false},
		{"of a recreated account", ec(own(account("shop", "web", "web-0"))), false},
		{"of an account without a UID", ec(own(account("shop", "web", ""))), false},
		{"of another namespace", ec(own(account("other", "web", "web-1"))), false},
		{"of an account deleted a moment ago", ec(own(account("shop", "going", "going-1"))), true},
		{"of an account deleted longer ago", ec(own(account("shop", "gone", "gone-1"))), false},
		{"of an account that will be deleted", ec(own(account("shop", "later", "later-1"))), true},
		{"of no account", ec(map[string]any{"kubernetes.io": nil}), false},
		{"with private claims that are a word", ec(map[string]any{"kubernetes.io": "shop/web"}), false},
		{"bound to a secret", ec(own(account("shop", "web", "web-1", "secret", "vault", "vault-1"))), true},
		{"bound to a recreated secret", ec(own(account("shop", "web", "web-1", "secret", "vault", "vault-0"))), false},
		{"bound to a secret that is not there", ec(own(account("shop", "web", "web-1", "secret", "none", "vault-1"))), false},
		{"bound to a secret deleted longer ago", ec(own(account("shop", "web", "web-1", "secret", "gone", "gone-1"))), false},
		{"bound to a pod", ec(own(account("shop", "web", "web-1", "pod", "p", "1"))), false},
		{"bound to a node", ec(own(account("shop", "web", "web-1", "node", "n", "1"))), false},
		{"bound to a webhook", ec(own(account("shop", "web", "web-1", "validatingwebhookconfiguration", "v", "1"))), false},
		{"of a key on another curve", sign(t, jose.ES384, older, "", said(t, nil)), true},
		{"of an RSA key", sign(t, jose.RS256, rsaOlder, "", said(t, nil)), true},
		{"of an RSA key with a longer hash", sign(t, jose.RS512, rsaOlder, "", said(t, nil)), true},
		{"of an RSA key with PSS", sign(t, jose.PS256, rsaOlder, "", said(t, nil)), true},
		{"of a stranger's key", sign(t, jose.ES256, stranger, "", said(t, nil)), false},
		{"of an unknown key ID", sign(t, jose.ES256, signing, "nobody", said(t, nil)), false},
		{"signed with the public key as a secret", sign(t, jose.HS256, pemOf(t, signing, false), "", said(t, nil)), false},
		{"alg none", encode(`{"alg":"none"}`) + "." + parts[1] + ".", false},
		{"alg none and a signature", encode(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], false},
		{"no alg", encode(`{}`) + "." + parts[1] + "." + parts[2], false},
		{"a critical extension", encode(`{"alg":"ES256","crit":["x"],"x":1}`) + "." + parts[1] + "." + parts[2], false},
		{"a signature of zeros", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), false},
		{"no signature", parts[0] + "." + parts[1] + ".", false},
		{"a payload of another", parts[0] + "." + encode(string(said(t, map[string]any{"jti": "another"}))) + "." + parts[2], false},
		{"an issuer given twice", sign(t, jose.ES256, signing, "", []byte(`{"iss":"https://other.test","iss":"`+issuer+`"}`)), false},
		{"an issuer in other letters", sign(t, jose.ES256, signing, "", []byte(`{"ISS":"`+issuer+`"}`)), false},
		{"as a JSON object", `{"payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, false},
		{"with padding", parts[0] + "." + parts[1] + "=." + parts[2], false},
		{"two parts", parts[0] + "." + parts[1], false},
		{"a word", "guess", false},
		{"nothing", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := b.compare(t, t.Context(), tc.token); got != tc.good {
				t.Errorf("both return %v, want %v", got, tc.good)
			}
		})
	}
}

func TestKubernetesAndWeReviewTokensForTheSameAudiences(t *testing.T) {
	w := world{accounts: map[string]metav1.ObjectMeta{"shop/web": {UID: "web-1"}}}
	key := ecKey(t, elliptic.P256())
	b := newBoth(t, w, key)
	for _, of := range [][]string{nil, {"api"}, {"vault"}, {"vault", "api", issuer}, {"db", "vault"}} {
		for _, wanted := range [][]string{{"api"}, {"vault"}, {issuer, "vault"}, {"vault", "db"}, {"none"}} {
			t.Run(strings.Join(of, "+")+" for "+strings.Join(wanted, "+"), func(t *testing.T) {
				var change map[string]any
				if change = (map[string]any{"aud": of}); of == nil {
					change = map[string]any{"aud": nil}
				}
				b.compare(t, authenticator.WithAudiences(t.Context(), wanted), sign(t, jose.ES256, key, "", said(t, change)))
			})
		}
	}
}

// TestWhatWeIssueKubernetesTakes shows that the claims are the same.
func TestWhatWeIssueKubernetesTakes(t *testing.T) {
	w := world{accounts: map[string]metav1.ObjectMeta{"shop/web": {UID: "web-1"}}, secrets: map[string]metav1.ObjectMeta{"shop/vault": {UID: "vault-1"}}}
	key := ecKey(t, elliptic.P256())
	keys, err := ours.ReadKeys(write(t, pemOf(t, key, true)))
	if err != nil {
		t.Fatal(err)
	}
	made, err := ours.NewIssuer(issuer, keys, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	b := newBoth(t, w, key)
	for name, secret := range map[string]*ours.Reference{"a plain token": nil, "one bound to a secret": {Name: "vault", UID: "vault-1"}} {
		t.Run(name, func(t *testing.T) {
			issued, err := made.Issue(ours.Grant{Account: &metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web-1"}, Audiences: []string{"api"}, Lifetime: time.Hour, Secret: secret})
			if err != nil {
				t.Fatal(err)
			}
			if !b.compare(t, t.Context(), issued.Token) {
				t.Error("it is not taken")
			}
		})
	}
}
