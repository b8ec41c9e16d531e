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
	"fmt"
	"strings"
	"testing"
)

// designOf names the design by which ours refuses a file that kube-apiserver accepts; empty if both
// must agree.
func designOf(refusal error) string {
	if refusal == nil {
		return ""
	}
	for text, design := range map[string]string{
		`names that begin with "system:" are reserved`:  "a prefix of the server's names",
		"gatehouse.dev and its subdomains are reserved": "a key of the server",
		"this server has no egress selector":            "an egress selector",
		"is larger than 1048576 bytes":                  "a file beyond 1 MiB",
	} {
		if strings.Contains(refusal.Error(), text) {
			return design
		}
	}
	return ""
}

func TestTheSameFilesAreValid(t *testing.T) {
	w := newWorld(t)
	changed := func(change func(e object)) string {
		e := entry(w.one, "one:")
		change(e)
		return file(t, []any{e}, nil)
	}
	rules := func(name string, list ...any) string { return changed(func(e object) { e[name] = list }) }
	mapped := func(name string, value any) string {
		return changed(func(e object) { at(e, "claimMappings")[name] = value })
	}
	issuer := func(name string, value any) string {
		return changed(func(e object) { at(e, "issuer")[name] = value })
	}
	many := func(count int) string {
		var entries []any
		for i := range count {
			e := entry(w.one, "x:")
			at(e, "issuer")["url"] = fmt.Sprintf("https://127.0.0.1:1/%d", i)
			entries = append(entries, e)
		}
		return file(t, entries, nil)
	}
	valid := file(t, []any{entry(w.one, "one:")}, nil)
	for _, tc := range []struct {
		name, content string
		design        string // ours is stricter
	}{
		{name: "a valid file", content: valid},
		{name: "two issuers", content: file(t, []any{entry(w.one, "a:"), entry(w.two, "a:")}, nil)},
		{name: "no issuer", content: file(t, nil, nil)},
		{name: "an empty file"},
		{name: "spaces only", content: " \n"},
		{name: "no YAML", content: "{"},
		{name: "another kind", content: "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"},
		{name: "another group", content: strings.Replace(valid, "apiserver.config.k8s.io", "example.com", 1)},
		{name: "version v1beta1", content: strings.Replace(valid, "k8s.io/v1", "k8s.io/v1beta1", 1)},
		{name: "version v1alpha1", content: strings.Replace(valid, "k8s.io/v1", "k8s.io/v1alpha1", 1)},
		{name: "version v2", content: strings.Replace(valid, "k8s.io/v1", "k8s.io/v2", 1)},
		{name: "an unknown field", content: issuer("audience", "a")},
		{name: "a field twice", content: valid + "kind: AuthenticationConfiguration\n"},
		{name: "a second document", content: valid + "---\n" + valid},
		{name: "64 issuers", content: many(64)},
		{name: "65 issuers", content: many(65)},
		{name: "an issuer twice", content: file(t, []any{entry(w.one, "a:"), entry(w.one, "b:")}, nil)},
		{name: "the server's own issuer", content: issuer("url", ownIssuer)},
		{name: "no URL", content: issuer("url", "")},
		{name: "a URL with http", content: issuer("url", "http://example.com")},
		{name: "a URL with a user", content: issuer("url", "https://a:b@example.com")},
		{name: "a URL with a query", content: issuer("url", "https://example.com?a=b")},
		{name: "a URL with a fragment", content: issuer("url", "https://example.com#a")},
		{name: "a URL that cannot be parsed", content: issuer("url", "https://exa mple.com")},
		{name: "a discovery URL that is the issuer", content: issuer("discoveryURL", w.one.URL+"/")},
		{name: "another discovery URL", content: issuer("discoveryURL", w.one.URL+"/.well-known/openid-configuration")},
		{name: "a discovery URL with http", content: issuer("discoveryURL", "http://example.com/x")},
		{name: "no audience", content: issuer("audiences", []any{})},
		{name: "an empty audience", content: issuer("audiences", []any{""})},
		{name: "an audience twice", content: changed(func(e object) {
			at(e, "issuer")["audiences"], at(e, "issuer")["audienceMatchPolicy"] = []any{"a", "a"}, "MatchAny"
		})},
		{name: "two audiences without a policy", content: issuer("audiences", []any{"a", "b"})},
		{name: "another policy", content: issuer("audienceMatchPolicy", "MatchAll")},
		{name: "an authority that is none", content: issuer("certificateAuthority", "none")},
		{name: "an egress selector", content: issuer("egressSelectorType", "cluster"), design: "an egress selector"},
		{name: "an unknown egress selector", content: issuer("egressSelectorType", "moon")},
		{name: "no username", content: mapped("username", object{})},
		{name: "a username without a prefix", content: mapped("username", object{"claim": "sub"})},
		{name: "a username with an empty prefix", content: mapped("username", object{"claim": "sub", "prefix": ""})},
		{name: "a username by claim and by expression", content: mapped("username", object{"claim": "sub", "prefix": "", "expression": "claims.sub"})},
		{name: "a username by an expression with a prefix", content: mapped("username", object{"prefix": "a:", "expression": "claims.sub"})},
		{name: "a username that is a number", content: mapped("username", object{"expression": "1"})},
		{name: "a username by an email without verification", content: mapped("username", object{"expression": "claims.email"})},
		{name: "a username by a verified email", content: changed(func(e object) {
			at(e, "claimMappings")["username"] = object{"expression": "claims.email"}
			e["claimValidationRules"] = []any{object{"expression": "claims.email_verified"}}
		})},
		{name: "a username with the prefix of service accounts", content: mapped("username", object{"claim": "sub", "prefix": "system:serviceaccount:"}), design: "a prefix of the server's names"},
		{name: "groups with the prefix of the server", content: mapped("groups", object{"claim": "groups", "prefix": "system:"}), design: "a prefix of the server's names"},
		{name: "groups without a prefix", content: mapped("groups", object{"claim": "groups"})},
		{name: "groups by an expression that does not compile", content: mapped("groups", object{"expression": "claims.groups.("})},
		{name: "a UID by claim and by expression", content: mapped("uid", object{"claim": "a", "expression": "claims.a"})},
		{name: "extra attributes", content: mapped("extra", []any{object{"key": "example.com/tenant", "valueExpression": "claims.tid"}})},
		{name: "a key of Kubernetes", content: mapped("extra", []any{object{"key": "a.k8s.io/tenant", "valueExpression": "claims.tid"}})},
		{name: "a key of the server", content: mapped("extra", []any{object{"key": "fleet.gatehouse.dev/instance-name", "valueExpression": "claims.tid"}}), design: "a key of the server"},
		{name: "a key that resembles the server's", content: mapped("extra", []any{object{"key": "notgatehouse.dev/name", "valueExpression": "claims.tid"}})},
		{name: "a key without a domain", content: mapped("extra", []any{object{"key": "tenant", "valueExpression": "claims.tid"}})},
		{name: "a key in capitals", content: mapped("extra", []any{object{"key": "example.com/Tenant", "valueExpression": "claims.tid"}})},
		{name: "a key twice", content: mapped("extra", []any{object{"key": "example.com/a", "valueExpression": "claims.a"}, object{"key": "example.com/a", "valueExpression": "claims.b"}})},
		{name: "a key without a value", content: mapped("extra", []any{object{"key": "example.com/a"}})},
		{name: "a rule about claims", content: rules("claimValidationRules", object{"expression": "claims.hd == 'a'", "message": "m"}, object{"claim": "env", "requiredValue": "x"})},
		{name: "an empty rule", content: rules("claimValidationRules", object{})},
		{name: "a rule twice", content: rules("claimValidationRules", object{"claim": "a"}, object{"claim": "a"})},
		{name: "a rule that is no condition", content: rules("claimValidationRules", object{"expression": "claims.a + 'b'"})},
		{name: "a rule of both kinds", content: rules("claimValidationRules", object{"claim": "a", "expression": "true"})},
		{name: "a rule by claim with a message", content: rules("claimValidationRules", object{"claim": "a", "message": "m"})},
		{name: "a rule about users", content: rules("userValidationRules", object{"expression": "!user.username.startsWith('system:')"})},
		{name: "a rule about users that reads claims", content: rules("userValidationRules", object{"expression": "claims.a == 'b'"})},
		{name: "a rule about users twice", content: rules("userValidationRules", object{"expression": "true"}, object{"expression": "true"})},
		{name: "an empty rule about users", content: rules("userValidationRules", object{})},
		{name: "anonymous requests", content: file(t, nil, object{"anonymous": object{"enabled": true, "conditions": []any{object{"path": "/livez"}}}})},
		{name: "conditions without anonymous requests", content: file(t, nil, object{"anonymous": object{"enabled": false, "conditions": []any{object{"path": "/livez"}}}})},
		{name: "a condition without a path", content: file(t, nil, object{"anonymous": object{"enabled": true, "conditions": []any{object{}}}})},
		{name: "a file beyond 1 MiB", content: valid + "# " + strings.Repeat("x", 1<<20) + "\n", design: "a file beyond 1 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, theirs, own := build(t, tc.content, w.one.CA)
			t.Logf("kube-apiserver's: %.300v\nours: %.300v", theirs, own)
			if tc.design != "" {
				if got := designOf(own); got != tc.design {
					t.Errorf("ours refuses it for %q: %v", got, own)
				}
				return
			}
			if (theirs == nil) != (own == nil) {
				t.Errorf("kube-apiserver's: %v\nours: %v", theirs, own)
			}
		})
	}
}

func TestTheSamePathsNeedNoCredentials(t *testing.T) {
	w := newWorld(t)
	paths := []string{"/", "/livez", "/livez/", "/livez/ping", "/readyz", "/api", "/apis/apps/v1", "/healthz?verbose", "//livez", "/LIVEZ"}
	for name, anonymous := range map[string]any{
		"two paths":        object{"enabled": true, "conditions": []any{object{"path": "/livez"}, object{"path": "/readyz"}}},
		"a path of an API": object{"enabled": true, "conditions": []any{object{"path": "/api"}}},
		"every path":       object{"enabled": true},
		"no path":          object{"enabled": false},
	} {
		t.Run(name, func(t *testing.T) {
			p, theirs, own := build(t, file(t, nil, object{"anonymous": anonymous}), w.one.CA)
			if theirs != nil || own != nil {
				t.Fatal(theirs, own)
			}
			for _, path := range paths {
				for _, token := range []string{"", "wrong"} {
					want, got := request(t, p.theirs, path, token), request(t, p.ours, path, token)
					if got.user != want.user {
						t.Errorf("%s with token %q: ours %q, kube-apiserver's %q", path, token, got.user, want.user)
					}
				}
			}
		})
	}
	t.Run("without the field ours is stricter: its own paths, not every path", func(t *testing.T) {
		p, theirs, own := build(t, file(t, nil, nil), w.one.CA)
		if theirs != nil || own != nil {
			t.Fatal(theirs, own)
		}
		for path, want := range map[string]bool{"/livez": true, "/version": true, "/api": false, "/": false} {
			if request(t, p.theirs, path, "").user == "" {
				t.Errorf("kube-apiserver's refuses %s", path)
			}
			if got := request(t, p.ours, path, "").user; (got != "") != want {
				t.Errorf("%s: %q", path, got)
			}
		}
	})
}
