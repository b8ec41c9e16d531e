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

package structured

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

func TestCheckShowsHowATokenIsAuthenticated(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	f := newFile(t, provider.Entry("oidc:", `
  claimValidationRules:
  - {expression: 'claims.hd == "example.com"', message: "another domain"}
  - {claim: env, requiredValue: production}
  userValidationRules:
  - {expression: '!user.username.startsWith("oidc:admin")', message: "administrators use certificates"}
`))
	good := map[string]any{"hd": "example.com", "env": "production", "groups": []string{"dev"}, "jti": "7"}
	with := func(name string, value any) map[string]any {
		claims := map[string]any{}
		for k, v := range good {
			claims[k] = v
		}
		claims[name] = value
		return claims
	}
	for _, tc := range []struct {
		name, token string
		shows       []string
		err         string // empty: accepted
	}{
		{"no token", "", []string{"file: " + string(f) + " is valid", "jwt[0]: " + provider.URL + ", audiences gatehouse", "anonymous: not in the file"}, ""},
		{"a token that is accepted", provider.Token(t, key, good), []string{
			"issuer: " + provider.URL + " (jwt[0])", `  env: "production"`, `  groups: ["dev"]`, "signature, audience and times: valid",
			`claimValidationRules[0]: claims.hd == "example.com": true`, `claimValidationRules[1]: claims.env == "production": true`,
			`userValidationRules[0]: !user.username.startsWith("oidc:admin"): true`,
			`username: "oidc:ada"`, `groups: ["oidc:dev"]`, `uid: ""`, `extra: authentication.kubernetes.io/credential-id: ["JTI=7"]`,
		}, ""},
		{"two rules are false", provider.Token(t, key, map[string]any{"hd": "example.org", "sub": "admin", "env": "production"}), []string{
			`claimValidationRules[0]: claims.hd == "example.com": false`, `claimValidationRules[1]: claims.env == "production": true`, `userValidationRules[0]: !user.username.startsWith("oidc:admin"): false`, "user, which is refused:", `username: "oidc:admin"`,
		}, "another domain"},
		{"a claim with control characters", provider.Token(t, key, with("\x1b[2J", "\u009b31m")), []string{`\u001b[2J: "\u009b31m"`, `username: "oidc:ada"`}, ""},
		{"a claim is missing", provider.Token(t, key, with("sub", nil)), []string{"signature, audience and times: valid"}, "claim not present"},
		{"another key", provider.Token(t, idp.NewKey(t, "one"), good), []string{`  hd: "example.com"`, "signature, audience and times: refused"}, "failed to verify id token signature"},
		{"another audience", provider.Token(t, key, with("aud", "vault")), []string{"signature, audience and times: refused"}, `expected audience "gatehouse" got ["vault"]`},
		{"an expired token", provider.Token(t, key, with("exp", 1)), []string{"exp: 1 (1970-01-01T00:00:01Z)"}, "token is expired"},
		{"another issuer", provider.Token(t, key, with("iss", provider.URL+"/")), nil, "which is not in the file: the claim iss and issuer.url must be equal, also in a slash at the end"},
		{"no JSON Web Token", "secret", nil, "the token is no JSON Web Token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			err := Check(t.Context(), &out, string(f), tc.token+"\n", nil)
			t.Logf("%s%v", out.String(), err)
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if strings.ContainsAny(out.String(), "\x1b\u009b") {
				t.Errorf("a terminal obeys %q", out.String())
			}
			for _, line := range tc.shows {
				if !strings.Contains(out.String(), line) {
					t.Errorf("%q is missing in:\n%s", line, out.String())
				}
			}
		})
	}
}

func TestCheckRefusesAReservedName(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	var out bytes.Buffer
	err := Check(t.Context(), &out, string(newFile(t, provider.Entry("", ""))), provider.Token(t, key, map[string]any{"groups": "system:masters"}), nil)
	if err == nil || !strings.Contains(err.Error(), `the group "system:masters" begins with "system:"`) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "user, which is refused:\n  username: \"ada\"\n  groups: [\"system:masters\"]") {
		t.Errorf("got %s", out.String())
	}
}

func TestCheckNamesTheProviderThatDoesNotAnswer(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.SetDown(true)
	var out bytes.Buffer
	err := Check(t.Context(), &out, string(newFile(t, provider.Entry("", ""))), provider.Token(t, key, nil), nil)
	if err == nil || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("got %v", err)
	}
}

func TestEveryErrorOfAFileIsNamedAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.yaml")
	content := `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://one.example.com, audiences: []}
  claimMappings: {username: {claim: sub}}
- issuer: {url: "http://two.example.com", audiences: [a], egressSelectorType: cluster}
  claimMappings:
    username: {claim: sub, prefix: "system:"}
    extra: [{key: fleet.gatehouse.dev/instance-name, valueExpression: claims.sub}]
`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, started := New(t.Context(), Options{Path: path})
	for name, err := range map[string]error{"a server": started, "gatehouse auth check": Check(t.Context(), &out, path, "", nil)} {
		if err == nil {
			t.Fatalf("%s accepts the file", name)
		}
		for _, want := range []string{
			path, "jwt[0].issuer.audiences: Required value", "jwt[0].claimMappings.username.prefix: Required value",
			"jwt[1].issuer.url: Invalid value", "jwt[1].claimMappings.username.prefix: Invalid value", "jwt[1].claimMappings.extra[0].key: Invalid value", "jwt[1].issuer.egressSelectorType: Forbidden",
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", name, want, err)
			}
		}
	}
}
