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

package authorization

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// isRecognised expects the token to authenticate the user, which is forbidden to read: the error names it.
func isRecognised(t *testing.T, server *servertesting.Server, token, user string) {
	t.Helper()
	harness.WrongRequest{Method: http.MethodGet, Path: harness.HostsPath, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: fmt.Sprintf("User %q cannot list", user)}.Check(t, harness.NewRawClient(t, harness.WithToken(server, token)))
}

// traceID matches the ID of a request in the message of its refusal.
var traceID = regexp.MustCompile(`gatehouse why [0-9a-f]+`)

// isUnauthorized expects the same refusal for the token as for a request without a token, but for the ID.
func isUnauthorized(t *testing.T, server *servertesting.Server, token string) {
	t.Helper()
	nothing := harness.NewRawClient(t, rest.AnonymousClientConfig(server.Config)).Do(t, http.MethodGet, harness.HostsPath, "", "", "")
	answer := harness.NewRawClient(t, harness.WithToken(server, token)).Do(t, http.MethodGet, harness.HostsPath, "", "", "")
	if answer.Code != http.StatusUnauthorized || traceID.ReplaceAllString(string(answer.Body), "") != traceID.ReplaceAllString(string(nothing.Body), "") {
		t.Errorf("got %d %s, want what a request without a token gets: %s", answer.Code, answer.Body, nothing.Body)
	}
}

func newAccount(t *testing.T, client kubernetes.Interface, name string) *corev1.ServiceAccount {
	t.Helper()
	account, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func TestATokenLivesAsLongAsItsAccountAndWhatItIsBoundTo(t *testing.T) {
	server := servertesting.Start(t)
	client := kubernetes.NewForConfigOrDie(server.Config)
	ctx := t.Context()
	const user = "system:serviceaccount:default:web"
	newAccount(t, client, "web")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "vault"}}
	if _, err := client.CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	plain := harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{})
	bound := harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To[int64](600),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: "vault"},
	})
	foreign := harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{Audiences: []string{"elsewhere"}})
	isRecognised(t, server, plain, user)
	isRecognised(t, server, bound, user)
	isUnauthorized(t, server, foreign)

	if err := client.CoreV1().Secrets("default").Delete(ctx, "vault", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	becomesUnauthorized(t, server, bound)
	isRecognised(t, server, plain, user)

	if err := client.CoreV1().ServiceAccounts("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	becomesUnauthorized(t, server, plain)
	newAccount(t, client, "web")
	isRecognised(t, server, harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{}), user)
	isUnauthorized(t, server, plain)
}

// becomesUnauthorized waits for the watch cache, which observes a delete a moment later.
func becomesUnauthorized(t *testing.T, server *servertesting.Server, token string) {
	t.Helper()
	client := harness.NewRawClient(t, harness.WithToken(server, token))
	kit.Eventually(t, "the token is refused", func(context.Context) bool {
		return client.Do(t, http.MethodGet, harness.HostsPath, "", "", "").Code == http.StatusUnauthorized
	})
	isUnauthorized(t, server, token)
}

func TestReviewsNameTheUserOfAToken(t *testing.T) {
	server := servertesting.Start(t)
	client := kubernetes.NewForConfigOrDie(server.Config)
	account := newAccount(t, client, "web")
	plain := harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{})
	foreign := harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{Audiences: []string{"vault", "db"}})
	for _, tc := range []struct {
		name, token         string
		audiences, returned []string // returned none: not authenticated
	}{
		{"this server's", plain, nil, []string{authentication.DefaultIssuer}},
		{"this server's, for another", plain, []string{"vault"}, nil},
		{"another's, for it", foreign, []string{"vault"}, []string{"vault"}},
		{"another's, for this server", foreign, nil, nil},
		{"of no issuer", "guess", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: tc.token, Audiences: tc.audiences}}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			status := review.Status
			if status.Authenticated != (tc.returned != nil) || (status.Error == "") != status.Authenticated || strings.Join(status.Audiences, ",") != strings.Join(tc.returned, ",") {
				t.Errorf("got %v", status)
			}
			if status.Authenticated && (status.User.Username != "system:serviceaccount:default:web" || status.User.UID != string(account.UID) || !strings.HasPrefix(status.User.Extra["authentication.kubernetes.io/credential-id"][0], "JTI=")) {
				t.Errorf("got %v", status.User)
			}
		})
	}
	harness.WrongRequest{Path: "/apis/authentication.k8s.io/v1/tokenreviews", Body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}`,
		Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "spec.token is required"}.Check(t, harness.NewRawClient(t, server.Config))

	config := rest.CopyConfig(server.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "carol", Groups: []string{"system:masters", "ops"}}
	self, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if who := self.Status.UserInfo; who.Username != "carol" || strings.Join(who.Groups, ",") != "system:masters,ops,system:authenticated" {
		t.Errorf("got %v", who)
	}
}

func TestTokenRequestsAreHeldToTheirLimits(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Callers.Accounts.MaxExpiration = time.Hour })
	client := kubernetes.NewForConfigOrDie(server.Config)
	newAccount(t, client, "web")
	admin := harness.NewRawClient(t, server.Config)
	path := "/api/v1/namespaces/default/serviceaccounts/web/token"
	body := func(rest string) string {
		return `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest",` + rest + `}`
	}
	for _, row := range []harness.WrongRequest{
		{Name: "Less than ten minutes are refused", Path: path, Body: body(`"spec":{"audiences":null,"expirationSeconds":599}`), Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"spec.expirationSeconds"}, Message: "less than 10 minutes"},
		{Name: "More than 2^32 seconds are refused", Path: path, Body: body(`"spec":{"audiences":null,"expirationSeconds":4294967297}`), Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"spec.expirationSeconds"}, Message: "larger than 2^32"},
		{Name: "The name of another account is refused", Path: path, Body: body(`"metadata":{"name":"root"},"spec":{"audiences":null}`), Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"metadata.name"}, Message: "must be the name of the service account"},
		{Name: "The UID of another account is refused", Path: path, Body: body(`"metadata":{"uid":"x"},"spec":{"audiences":null}`), Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: "recreated"},
		{Name: "A pod cannot be bound to", Path: path, Body: body(`"spec":{"audiences":null,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"p"}}`), Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "cannot be bound to a Pod"},
		{Name: "An account that is not there has no token", Path: strings.Replace(path, "web", "none", 1), Body: body(`"spec":{"audiences":null}`), Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `serviceaccounts "none" not found`},
		{Name: "Nor has a secret that is not there", Path: path, Body: body(`"spec":{"audiences":null,"boundObjectRef":{"kind":"Secret","apiVersion":"v1","name":"none"}}`), Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `secrets "none" not found`},
		{Name: "Another kind is no request for a token", Path: path, Body: `{"apiVersion":"v1","kind":"ServiceAccount"}`, Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "cannot be handled as a TokenRequest"},
		{Name: "A token cannot be read", Method: http.MethodGet, Path: path, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "does not allow this method"},
	} {
		t.Run(row.Name, func(t *testing.T) { row.Check(t, admin) })
	}
	answer := admin.Do(t, http.MethodPost, path, "application/json", "", body(`"spec":{"audiences":null,"expirationSeconds":86400}`))
	var given authenticationv1.TokenRequest
	answer.Into(t, &given)
	if answer.Code != http.StatusCreated || *given.Spec.ExpirationSeconds != 3600 || !strings.Contains(answer.Header.Get("Warning"), "shortened to 3600 seconds") {
		t.Errorf("got %d %v, warned %q", answer.Code, given.Spec, answer.Header.Get("Warning"))
	}
	dry, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "web", &authenticationv1.TokenRequest{}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || dry.Status.Token != "" {
		t.Errorf("a dry run gives out %v, %v", dry, err)
	}
}

// signingKey returns the signing key of the server, which can sign any token.
func signingKey(t *testing.T, server *servertesting.Server) *ecdsa.PrivateKey {
	t.Helper()
	key, err := keyutil.PrivateKeyFromFile(filepath.Join(server.DataDir, "pki", "service-accounts.key"))
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ecdsa.PrivateKey)
}

func signToken(t *testing.T, algorithm jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: &jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestCraftedTokensAreRefusedWithoutAWord(t *testing.T) {
	server := servertesting.Start(t)
	account := newAccount(t, kubernetes.NewForConfigOrDie(server.Config), "web")
	key := signingKey(t, server)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(crypto.PublicKey(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	now := time.Now()
	claims := func(change map[string]any) map[string]any {
		all := map[string]any{
			"iss": authentication.DefaultIssuer, "aud": []string{authentication.DefaultIssuer}, "sub": "system:serviceaccount:default:web",
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "web", "uid": account.UID}},
		}
		for name, value := range change {
			all[name] = value
		}
		return all
	}
	own := func(namespace, name, uid string, more ...string) map[string]any {
		private := map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": uid}}
		if len(more) == 2 {
			private[more[0]] = map[string]any{"name": more[1], "uid": "x"}
		}
		return map[string]any{"kubernetes.io": private}
	}
	uid := string(account.UID)
	good := signToken(t, jose.ES256, key, "", claims(nil))
	isRecognised(t, server, good, "system:serviceaccount:default:web")
	parts := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, token := range map[string]string{
		"of a stranger's key":              signToken(t, jose.ES256, stranger, "", claims(nil)),
		"of a key that nobody knows":       signToken(t, jose.ES256, key, "nobody", claims(nil)),
		"signed with the public key":       signToken(t, jose.HS256, public, "", claims(nil)),
		"signed with the public key's DER": signToken(t, jose.HS256, der, "", claims(nil)),
		"without a signature, alg none":    header(`{"alg":"none"}`) + "." + parts[1] + ".",
		"alg none with the signature":      header(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"without a signature":              parts[0] + "." + parts[1] + ".",
		"without a header":                 "." + parts[1] + "." + parts[2],
		"of another issuer":                signToken(t, jose.ES256, key, "", claims(map[string]any{"iss": "https://kubernetes.default.svc"})),
		"of no issuer":                     signToken(t, jose.ES256, key, "", claims(map[string]any{"iss": ""})),
		"for another audience":             signToken(t, jose.ES256, key, "", claims(map[string]any{"aud": []string{"vault"}})),
		"expired":                          signToken(t, jose.ES256, key, "", claims(map[string]any{"exp": now.Add(-2 * time.Minute).Unix()})),
		"not valid yet":                    signToken(t, jose.ES256, key, "", claims(map[string]any{"nbf": now.Add(time.Hour).Unix()})),
		"issued in the future":             signToken(t, jose.ES256, key, "", claims(map[string]any{"iat": now.Add(time.Hour).Unix()})),
		"of an account that is not there":  signToken(t, jose.ES256, key, "", claims(own("default", "none", uid))),
		"of another UID":                   signToken(t, jose.ES256, key, "", claims(own("default", "web", "other"))),
		"of no UID":                        signToken(t, jose.ES256, key, "", claims(own("default", "web", ""))),
		"of a namespace that is not there": signToken(t, jose.ES256, key, "", claims(own("none", "web", uid))),
		"of no namespace":                  signToken(t, jose.ES256, key, "", claims(own("", "web", uid))),
		"of a path for a name":             signToken(t, jose.ES256, key, "", claims(own("default", "../default/web", uid))),
		"bound to a secret that is gone":   signToken(t, jose.ES256, key, "", claims(own("default", "web", uid, "secret", "none"))),
		"bound to an instance that is not": signToken(t, jose.ES256, key, "", claims(own("default", "web", uid, "instance", "none"))),
		"bound to a pod":                   signToken(t, jose.ES256, key, "", claims(own("default", "web", uid, "pod", "none"))),
		"of the subject alone":             signToken(t, jose.ES256, key, "", claims(map[string]any{"kubernetes.io": map[string]any{}})),
		"as a JSON object":                 `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"twice":                            good + "." + good,
		"cut short":                        good[:len(good)-4],
		"very long":                        good + strings.Repeat("A", 16<<10),
	} {
		t.Run(name, func(t *testing.T) { isUnauthorized(t, server, token) })
	}
	isRecognised(t, server, good, "system:serviceaccount:default:web")
}

func TestDiscoveryLetsOthersVerifyTokens(t *testing.T) {
	server := servertesting.Start(t)
	client := kubernetes.NewForConfigOrDie(server.Config)
	newAccount(t, client, "web")
	token := harness.NewToken(t, client, "web", authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}})
	admin := harness.NewRawClient(t, server.Config)

	var configuration struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	answer := admin.Do(t, http.MethodGet, "/.well-known/openid-configuration", "", "", "")
	if err := json.Unmarshal(answer.Body, &configuration); err != nil || configuration.Issuer != authentication.DefaultIssuer || !strings.HasPrefix(configuration.Keys, server.URL+"/") {
		t.Fatalf("got %d %s, %v", answer.Code, answer.Body, err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(admin.Do(t, http.MethodGet, strings.TrimPrefix(configuration.Keys, server.URL), "", "", "").Body, &keys); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token)
	if err != nil {
		t.Fatal(err)
	}
	var said jwt.Claims
	if err := parsed.Claims(&keys, &said); err != nil || said.Validate(jwt.Expected{Issuer: authentication.DefaultIssuer, Audience: jwt.Audience{"vault"}, Time: time.Now()}) != nil {
		t.Errorf("the token cannot be verified with the keys of discovery: %v, %v", said, err)
	}
}

func TestOtherCallersComeByTheirFlags(t *testing.T) {
	dir := t.TempDir()
	proxies, err := certificates.Ensure(filepath.Join(dir, "proxies"), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte("letmein,dave,7,\"dev,ops\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := servertesting.Start(t, func(o *options.Options) {
		o.Callers.TokenFile = tokens
		o.Callers.Proxy.CAFile, o.Callers.Proxy.AllowedNames = proxies.CAFile, []string{"front"}
	})
	isRecognised(t, server, "letmein", "dave")
	isUnauthorized(t, server, "letmeout")

	for _, tc := range []struct {
		name   string
		config *rest.Config
		user   string // empty: 401
	}{
		{"the front proxy", harness.IssueClientFrom(t, proxies.CA, server, "front", time.Now()), "carol"},
		{"another certificate of its authority", harness.IssueClientFrom(t, proxies.CA, server, "back", time.Now()), ""},
		{"a user of the same name", harness.IssueClient(t, server, "front"), ""},
		{"the administrator", server.Config, ""},
		{"no certificate", rest.AnonymousClientConfig(server.Config), ""},
	} {
		t.Run("headers of "+tc.name, func(t *testing.T) {
			config := rest.CopyConfig(tc.config)
			config.Wrap(func(next http.RoundTripper) http.RoundTripper { return naming{next} })
			row := harness.WrongRequest{Method: http.MethodGet, Path: harness.HostsPath, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"}
			if tc.user != "" {
				row = harness.WrongRequest{Method: http.MethodGet, Path: harness.HostsPath, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: fmt.Sprintf("User %q cannot list", tc.user)}
			}
			row.Check(t, harness.NewRawClient(t, config))
		})
	}
}

// naming adds a front proxy's headers to requests.
type naming struct{ next http.RoundTripper }

func (n naming) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("X-Remote-User", "carol")
	request.Header.Set("X-Remote-Group", "ops")
	return n.next.RoundTrip(request)
}
