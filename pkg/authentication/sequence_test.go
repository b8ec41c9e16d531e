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
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
)

// tokensOf maps tokens to users; the token "broken" is an error.
type tokensOf map[string]string

func (m tokensOf) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	if token == "broken" {
		return nil, false, errors.New("the reason")
	}
	name, ok := m[token]
	if !ok {
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func TestTheOrderOfAuthenticators(t *testing.T) {
	users, proxies := newAuthority(t, "users"), newAuthority(t, "proxies")
	controllers := NewControllers()
	namespaces, quota := controllers.Mint("namespace"), controllers.Mint("resourcequota")
	if namespaces == quota || len(namespaces) < 26 {
		t.Fatalf("the tokens of two controllers: %q and %q", namespaces, quota)
	}
	authn, _ := NewStandalone(Standalone{
		ClientCA: provider(t, users),
		FrontProxy: &FrontProxy{
			CA: provider(t, proxies), AllowedNames: []string{"front"},
			UsernameHeaders: []string{"X-Remote-User"}, UIDHeaders: []string{"X-Remote-Uid"}, GroupHeaders: []string{"X-Remote-Group"}, ExtraHeaderPrefixes: []string{"X-Remote-Extra-"},
		},
		Controllers:     controllers,
		TokenFile:       tokensOf{"file": "from-file", "both": "from-file"},
		ServiceAccounts: tokensOf{"account": "from-account", "both": "from-account", "two": "from-account", namespaces: "impostor"},
		BootstrapTokens: tokensOf{"bootstrap": "from-secret", "both": "from-secret", "two": "from-secret"},
		OIDC:            tokensOf{"oidc": "from-oidc", "two": "from-oidc", "three": "from-oidc"},
		Webhook:         tokensOf{"webhook": "from-webhook", "three": "from-webhook", "both": "from-webhook"},
		Audiences:       authenticator.Audiences{"api"},
	})
	alice, front := users.issue(t, "alice", []string{"dev"}), proxies.issue(t, "front", nil)
	headers := map[string]string{"X-Remote-User": "carol", "X-Remote-Group": "ops", "X-Remote-Uid": "7"}
	for _, c := range []caller{
		{name: "a certificate", certificate: alice, user: "alice", groups: []string{"dev", authenticatedGroup}},
		{name: "a token of the file", headers: bearer("file"), user: "from-file", groups: []string{authenticatedGroup}},
		{name: "a token of an account", headers: bearer("account"), user: "from-account", groups: []string{authenticatedGroup}},
		{name: "a bootstrap token", headers: bearer("bootstrap"), user: "from-secret", groups: []string{authenticatedGroup}},
		{name: "a service account counts before a bootstrap token", headers: bearer("two"), user: "from-account", groups: []string{authenticatedGroup}},
		{name: "a token of a provider", headers: bearer("oidc"), user: "from-oidc", groups: []string{authenticatedGroup}},
		{name: "a token of the webhook", headers: bearer("webhook"), user: "from-webhook", groups: []string{authenticatedGroup}},
		{name: "service accounts count before providers", headers: bearer("two"), user: "from-account", groups: []string{authenticatedGroup}},
		{name: "providers count before the webhook", headers: bearer("three"), user: "from-oidc", groups: []string{authenticatedGroup}},
		{name: "a controller's token", headers: bearer(namespaces), user: "system:controller:namespace", groups: []string{authenticatedGroup}},
		{name: "another controller is another user", headers: bearer(quota), user: "system:controller:resourcequota", groups: []string{authenticatedGroup}},
		{name: "the first authenticator that accepts a token counts", headers: bearer("both"), user: "from-file", groups: []string{authenticatedGroup}},
		{name: "a certificate counts before a token", certificate: alice, headers: bearer("file"), user: "alice", groups: []string{"dev", authenticatedGroup}},
		{name: "an unknown token", headers: bearer("guess"), failed: true},
		{name: "a token of a WebSocket", headers: webSocket("file", "v4.channel.k8s.io"), user: "from-file", groups: []string{authenticatedGroup}},
		{name: "an unknown token of a WebSocket", headers: webSocket("guess", "v4.channel.k8s.io"), failed: true},
		{name: "a token of a WebSocket without another subprotocol to agree on", headers: webSocket("file"), failed: true},
		{name: "a token among subprotocols of no WebSocket", headers: map[string]string{"Sec-Websocket-Protocol": webSocket("file", "x")["Sec-Websocket-Protocol"]}},
		{name: "a token in other letters", headers: bearer("FILE"), failed: true},
		{name: "an empty token is treated as no token", headers: bearer("")},
		{name: "a token that is refused is not anonymous", path: "/readyz", headers: bearer("broken"), failed: true},
		{name: "the front proxy names a user", certificate: front, headers: headers, user: "carol", groups: []string{"ops", authenticatedGroup}},
		{name: "the front proxy without a user is refused", certificate: front, failed: true},
		{name: "another certificate of the proxy's authority", certificate: proxies.issue(t, "other", nil), headers: headers, failed: true},
		{name: "a user of the same name as the proxy", certificate: users.issue(t, "front", nil), headers: headers, failed: true},
		{name: "a user's certificate beside forged headers", certificate: alice, headers: headers, failed: true},
		{name: "a good token beside forged headers", headers: map[string]string{"X-Remote-User": "carol", "Authorization": "Bearer file"}, failed: true},
		{name: "forged headers alone", headers: headers, failed: true},
		{name: "forged headers on a health path", path: "/livez", headers: headers, failed: true},
		{name: "groups without a user change nothing", certificate: alice, headers: map[string]string{"X-Remote-Group": "system:masters"}, user: "alice", groups: []string{"dev", authenticatedGroup}},
		{name: "nothing at all"},
		{name: "nothing at all on a health path", path: "/livez", user: anonymousUser, groups: []string{anonymousGroup}},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, authn) })
	}
}

func TestTheOriginOfATokenOfAProviderNamesItsIssuer(t *testing.T) {
	token := func(issuer string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuer+`"}`)) + ".x"
	}
	one, two := token("https://one"), token("https://two")
	accepts := byIssuer("oidc", tokensOf{one: "ada", two: "bob", "opaque": "eve"})
	for token, want := range map[string]string{one: "oidc https://one", two: "oidc https://two", "opaque": "oidc"} {
		var by string
		if _, ok, err := accepts.AuthenticateToken(origin.WithRecord(t.Context(), &by), token); !ok || err != nil || by != want {
			t.Errorf("%q: %v, %v, want %q", by, ok, err, want)
		}
	}
	fails := byIssuer("oidc", authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) {
		return nil, false, errors.New("slow")
	}))
	var failed *origin.Error
	if _, _, err := fails.AuthenticateToken(t.Context(), one); !errors.As(err, &failed) || failed.Name() != "oidc https://one" || err.Error() != "oidc: slow" {
		t.Errorf("the error is %v", err)
	}
}

func TestWithoutAllowedNamesNoCertificateIsTheFrontProxys(t *testing.T) {
	users, proxies := newAuthority(t, "users"), newAuthority(t, "proxies")
	front, headers := proxies.issue(t, "front", nil), map[string]string{"X-Remote-User": "carol"}
	proxy := FrontProxy{CA: provider(t, proxies), UsernameHeaders: []string{"X-Remote-User"}}
	authn, _ := NewStandalone(Standalone{ClientCA: provider(t, users), FrontProxy: &proxy})
	caller{certificate: front, headers: headers, failed: true}.check(t, authn)
	proxy.AnyName = true
	authn, _ = NewStandalone(Standalone{ClientCA: provider(t, users), FrontProxy: &proxy})
	caller{certificate: front, headers: headers, user: "carol", groups: []string{authenticatedGroup}}.check(t, authn)
}

func TestReviewsAuthenticateTokensForTheirAudience(t *testing.T) {
	controllers := NewControllers()
	_, tokens := NewStandalone(Standalone{
		ClientCA:    provider(t, newAuthority(t, "users")),
		Controllers: controllers,
		TokenFile:   tokensOf{"file": "from-file"},
		Audiences:   authenticator.Audiences{"api"},
	})
	for _, tc := range []struct {
		name, token string
		audiences   authenticator.Audiences
		user        string
	}{
		{"a token that is for this server", "file", authenticator.Audiences{"api", "vault"}, "from-file"},
		{"a token of the file for another audience", "file", authenticator.Audiences{"vault"}, ""},
		{"a controller's token", controllers.Mint("x"), authenticator.Audiences{"api"}, "system:controller:x"},
		{"an unknown token", "guess", authenticator.Audiences{"api"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer, ok, _ := tokens.AuthenticateToken(authenticator.WithAudiences(t.Context(), tc.audiences), tc.token)
			if ok != (tc.user != "") {
				t.Fatalf("got %v", answer)
			}
			if ok && (answer.User.GetName() != tc.user || !slices.Contains(answer.User.GetGroups(), authenticatedGroup) || !reflect.DeepEqual(answer.Audiences, authenticator.Audiences{"api"})) {
				t.Errorf("got %v", answer)
			}
		})
	}
}

func TestTheLogHasTheAuthenticatorOfEachRequest(t *testing.T) {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	for name, value := range map[string]string{"logtostderr": "false", "v": "4"} {
		if err := flags.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	klog.SetOutput(&log)
	t.Cleanup(func() { _ = flags.Set("v", "0"); _ = flags.Set("logtostderr", "true") })

	authn, _ := NewStandalone(Standalone{ClientCA: provider(t, newAuthority(t, "users")), TokenFile: tokensOf{"secret-word": "from-file"}, ServiceAccounts: tokensOf{}})
	if _, ok, err := authn.AuthenticateRequest(request(apiPath, nil, bearer("secret-word"))); !ok {
		t.Fatal(err)
	}
	_, _, err := authn.AuthenticateRequest(request(apiPath, nil, bearer("broken")))
	if err == nil || !strings.Contains(err.Error(), "token-file: the reason") || !strings.Contains(err.Error(), "service-account: the reason") {
		t.Errorf("the error has no name of an authenticator: %v", err)
	}
	klog.Flush()
	for _, line := range []string{`"Authenticated request" by="token-file" user="from-file"`, `"Authentication failed" by="service-account" reason="service-account: the reason"`} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("nothing of %s in\n%s", line, log.String())
		}
	}
	if strings.Contains(log.String(), "secret-word") {
		t.Errorf("a token is in the log:\n%s", log.String())
	}
}

func TestASharedAuthorityIsFoundByItsKey(t *testing.T) {
	users, proxies, other := newAuthority(t, "users"), newAuthority(t, "proxies"), newAuthority(t, "other")
	renamed := users.renamed(t, "proxies of another name")
	for _, tc := range []struct {
		name       string
		one, other []byte
		want       string
	}{
		{"different authorities", users.pem, proxies.pem, ""},
		{"the same", users.pem, users.pem, "CN=users"},
		{"one of several", append(bytes.Clone(other.pem), users.pem...), append(bytes.Clone(proxies.pem), users.pem...), "CN=users"},
		{"the same key under another name", users.pem, renamed.pem, "CN=proxies of another name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := SharedAuthority(tc.one, tc.other); err != nil || got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
	if _, err := SharedAuthority(users.pem, nil); err == nil {
		t.Error("a bundle without certificates is no bundle")
	}
}
