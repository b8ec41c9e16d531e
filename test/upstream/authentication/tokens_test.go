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
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	jose "gopkg.in/go-jose/go-jose.v2"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

func TestTheSameTokensAreTheSameUsers(t *testing.T) {
	w := newWorld(t)
	// The first issuer has no prefix, so its claims are users and groups as they are.
	first := entry(w.one, "")
	first["claimValidationRules"] = []any{object{"expression": "!has(claims.blocked)", "message": "blocked"}}
	first["userValidationRules"] = []any{object{"expression": "user.username != 'mallory'", "message": "mallory"}}
	at(first, "claimMappings")["uid"] = object{"claim": "uid"}
	at(first, "claimMappings")["extra"] = []any{object{"key": "example.com/tenant", "valueExpression": "has(claims.tid) ? claims.tid : ''"}}
	p, theirs, own := build(t, file(t, []any{first, entry(w.two, "two:")}, nil), w.one.CA)
	if theirs != nil || own != nil {
		t.Fatal(theirs, own)
	}
	initialized(t, p, w.one.Token(t, w.keyOne, object{"uid": "7"}), w.two.Token(t, w.keyTwo, nil))
	one := func(change object) string {
		claims := object{"uid": "7"}
		maps.Copy(claims, change)
		return w.one.Token(t, w.keyOne, claims)
	}
	now := time.Now()
	for _, tc := range []struct {
		name, token string
		accepted    bool
		design      string // ours is stricter
	}{
		{name: "a good token", token: one(nil), accepted: true},
		{name: "groups, a UID and extra attributes", token: one(object{"groups": []any{"b", "a"}, "tid": "t", "jti": "9"}), accepted: true},
		{name: "a group as a string", token: one(object{"groups": "a"}), accepted: true},
		{name: "groups that are no strings", token: one(object{"groups": []any{1}})},
		{name: "a token of the other issuer", token: w.two.Token(t, w.keyTwo, nil), accepted: true},
		{name: "the issuer of one and the key of the other, which has the same ID", token: w.one.Token(t, w.keyTwo, object{"uid": "7"})},
		{name: "the same the other way round", token: w.two.Token(t, w.keyOne, nil)},
		{name: "a key of a stranger with the same ID", token: w.one.Token(t, w.stranger, object{"uid": "7"})},
		{name: "a key with an unknown ID", token: w.one.Token(t, w.hidden, object{"uid": "7"})},
		{name: "no signature", token: idp.Unsigned(t, `{"alg":"none"}`, w.one.Claims(object{"uid": "7"}))},
		{name: "no signature in capitals", token: idp.Unsigned(t, `{"alg":"NONE","kid":"kid"}`, w.one.Claims(object{"uid": "7"}))},
		{name: "the public key as the secret of HS256", token: idp.Sign(t, jose.HS256, w.keyOne.PublicBytes(), "kid", w.one.Claims(object{"uid": "7"}))},
		{name: "the public key as the secret of HS512", token: idp.Sign(t, jose.HS512, w.keyOne.PublicBytes(), "kid", w.one.Claims(object{"uid": "7"}))},
		{name: "another audience", token: one(object{"aud": "vault"})},
		{name: "two audiences", token: one(object{"aud": []any{"vault", idp.Audience}}), accepted: true},
		{name: "no audience", token: one(object{"aud": nil})},
		{name: "expired", token: one(object{"exp": now.Add(-time.Second).Unix()})},
		{name: "no expiry", token: one(object{"exp": nil})},
		{name: "an expiry that is text", token: one(object{"exp": "2100-01-01"})},
		{name: "not valid for half a minute", token: one(object{"nbf": now.Add(30 * time.Second).Unix()}), accepted: true},
		{name: "not valid for two minutes", token: one(object{"nbf": now.Add(2 * time.Minute).Unix()})},
		{name: "issued in the future", token: one(object{"iat": now.Add(time.Hour).Unix()}), accepted: true},
		{name: "no user", token: one(object{"sub": nil})},
		{name: "a user that is a number", token: one(object{"sub": 7})},
		{name: "an issuer that is not in the file", token: one(object{"iss": "https://elsewhere.example.com"})},
		{name: "the issuer with a slash at the end", token: one(object{"iss": w.one.URL + "/"})},
		{name: "the issuer in capitals", token: one(object{"iss": strings.ToUpper(w.one.URL)})},
		{name: "an issuer that is a list", token: one(object{"iss": []any{w.one.URL, w.two.URL}})},
		{name: "the server's own issuer", token: one(object{"iss": ownIssuer})},
		{name: "no issuer", token: one(object{"iss": nil})},
		{name: "a rule about claims is false", token: one(object{"blocked": true})},
		{name: "a rule about users is false", token: one(object{"sub": "mallory"})},
		{name: "a word", token: "secret"},
		{name: "two points", token: ".."},
		{name: "four points", token: one(nil) + ".."},
		{name: "a token with spaces at the end", token: one(nil) + "  ", accepted: true},
		{name: "a service account", token: one(object{"sub": "system:serviceaccount:kube-system:default"}), design: "a username of the server"},
		{name: "a host", token: one(object{"sub": "system:host:edge-1"}), design: "a username of the server"},
		{name: "the user without credentials", token: one(object{"sub": "system:anonymous"}), design: "a username of the server"},
		{name: "administrators", token: one(object{"groups": []any{"dev", "system:masters"}}), design: "a group of the server"},
		{name: "hosts", token: one(object{"groups": "system:hosts"}), design: "a group of the server"},
		{name: "an empty user", token: one(object{"sub": ""}), design: "an empty username"},
		{name: "names of the server with a prefix", token: w.two.Token(t, w.keyTwo, object{"sub": "system:anonymous", "groups": []any{"system:masters"}}), accepted: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if design, accepted := compare(t, p, tc.token); design != tc.design || accepted != tc.accepted {
				t.Errorf("accepted: %v, stricter by design: %q", accepted, design)
			}
		})
	}
	t.Run("ours is stricter: a token beyond 64 KiB", func(t *testing.T) {
		token := one(object{"more": strings.Repeat("x", 60<<10)})
		if theirs := request(t, p.theirs, apiPath, token); theirs.user == "" {
			t.Errorf("kube-apiserver's: %v", theirs.reason)
		}
		if own := request(t, p.ours, apiPath, token); own.reason == nil || !strings.Contains(own.reason.Error(), "65536 is the limit") {
			t.Errorf("ours: %s %v", own.user, own.reason)
		}
	})
}

func TestDistributedClaimsHaveTheSameResult(t *testing.T) {
	w := newWorld(t)
	p, theirs, own := build(t, file(t, []any{entry(w.one, "one:")}, nil), w.one.CA)
	if theirs != nil || own != nil {
		t.Fatal(theirs, own)
	}
	initialized(t, p, w.one.Token(t, w.keyOne, nil))
	sources := func(endpoint string) object {
		return object{"_claim_names": object{"groups": "src"}, "_claim_sources": object{"src": object{"endpoint": endpoint}}}
	}
	far := object{"groups": []any{"far"}}
	for i, tc := range []struct {
		name, groups, endpoint string
		accepted               bool
	}{
		{"groups that the issuer signed", w.one.Token(t, w.keyOne, far), w.one.URL + "/groups", true},
		{"groups with a key of a stranger", w.one.Token(t, w.stranger, far), w.one.URL + "/groups", false},
		{"groups for another audience", w.one.Token(t, w.keyOne, object{"groups": []any{"far"}, "aud": "vault"}), w.one.URL + "/groups", false},
		{"groups of an issuer with another authority", w.two.Token(t, w.keyTwo, far), w.one.URL + "/groups", false},
		{"no token", "none", w.one.URL + "/groups", false},
		{"an endpoint that does not exist", "", w.one.URL + "/nothing", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.one.SetGroups(tc.groups)
			claims := sources(tc.endpoint)
			claims["jti"] = fmt.Sprint(i)
			token := w.one.Token(t, w.keyOne, claims)
			if tc.accepted {
				// Both start the discovery of the issuer of claims with the first token, which they refuse.
				for _, a := range []authenticator.Request{p.theirs, p.ours} {
					kit.EventuallyState(t, "the issuer of the claims is known", func(context.Context) (bool, string) {
						got := request(t, a, apiPath, token)
						return got.user != "", fmt.Sprint(got.reason)
					})
				}
			}
			if _, accepted := compare(t, p, token); accepted != tc.accepted {
				t.Errorf("accepted: %v", accepted)
			}
		})
	}
}

// one of the values; nil leaves the field out.
func oneOf(r *rand.Rand, values ...any) any { return values[r.IntN(len(values))] }

// set sets a field unless the value is nil.
func set(o object, name string, value any) {
	delete(o, name)
	if value != nil {
		o[name] = value
	}
}

// mostly returns one of the good values, and one of the bad ones in one of twenty cases.
func mostly(r *rand.Rand, good, bad []any) any {
	if r.IntN(20) == 0 {
		return oneOf(r, bad...)
	}
	return oneOf(r, good...)
}

// byExpression returns one entry with an expression for each.
func byExpression(field string, expressions ...string) []any {
	var out []any
	for _, expression := range expressions {
		out = append(out, object{field: expression})
	}
	return out
}

// randomEntry returns an entry that is valid more often than not.
func randomEntry(t *testing.T, r *rand.Rand, p *idp.Provider) object {
	t.Helper()
	e := entry(p, "p:")
	issuer, mappings := at(e, "issuer"), at(e, "claimMappings")
	issuer["audiences"] = mostly(r, []any{[]any{"gatehouse"}}, []any{[]any{}, []any{"a", "b"}, []any{""}, []any{"gatehouse", "gatehouse"}})
	if r.IntN(4) == 0 {
		issuer["audiences"], issuer["audienceMatchPolicy"] = []any{"vault", "gatehouse"}, mostly(r, []any{"MatchAny"}, []any{"", "MatchAll"})
	}
	set(issuer, "discoveryURL", mostly(r, []any{nil, p.URL + "/.well-known/openid-configuration"}, []any{p.URL + "/", "http://example.com"}))
	set(issuer, "egressSelectorType", mostly(r, []any{nil}, []any{"cluster", "etcd"}))
	set(e, "unknown", mostly(r, []any{nil}, []any{"x"}))
	claim := func(name, prefix string) any { return object{"claim": name, "prefix": prefix} }
	mappings["username"] = mostly(r,
		append(byExpression("expression", "claims.sub", "'x:' + claims.sub", "has(claims.email) && claims.email_verified ? claims.email : 'none'", "claims.groups[0]", "'system:' + claims.sub"),
			claim("sub", ""), claim("sub", "a:"), claim("sub", "system"), claim("email", "mail:")),
		append(byExpression("expression", "claims.email", "claims.sub.", "1"), object{"claim": "sub"}, object{}, claim("sub", "system:")))
	set(mappings, "groups", mostly(r,
		append(byExpression("expression", "claims.groups", "claims.roles.map(x, 'r:' + x)", "has(claims.groups) ? claims.groups : []", "'one'", "[claims.hd]", "claims.groups.filter(x, !x.startsWith('system:'))"),
			nil, claim("groups", ""), claim("groups", "g:"), claim("roles", "")),
		append(byExpression("expression", "true", "claims.groups ="), claim("groups", "system:"))))
	set(mappings, "uid", mostly(r, []any{nil, nil, object{"claim": "uid"}, object{"expression": "claims.sub"}}, []any{object{"claim": "a", "expression": "claims.a"}}))
	if r.IntN(3) == 0 {
		mappings["extra"] = []any{object{
			"key":             mostly(r, []any{"example.com/a", "notgatehouse.dev/a"}, []any{"gatehouse.dev/a", "x.gatehouse.dev/a", "kubernetes.io/a", "Example.com/a", "a"}),
			"valueExpression": mostly(r, []any{"'x'", "has(claims.hd) ? claims.hd : ''", "has(claims.groups) ? claims.groups : ''", "claims.hd"}, []any{"1", "claims."}),
		}}
	}
	set(e, "claimValidationRules", mostly(r,
		[]any{nil, nil, nil, []any{object{"claim": "env", "requiredValue": "prod"}}, byExpression("expression", "!has(claims.hd) || claims.hd == 'example.com'", "claims.exp - claims.iat <= 7200"), byExpression("expression", "claims.?hd.orValue('') != 'example.org'"), byExpression("expression", "'dev' in claims.groups")},
		[]any{[]any{object{}}, byExpression("expression", "claims.hd"), byExpression("expression", "true", "true")}))
	set(e, "userValidationRules", mostly(r,
		[]any{nil, nil, byExpression("expression", "!user.username.startsWith('system:')"), byExpression("expression", "user.groups.all(g, !g.startsWith('system:'))", "user.username != 'bob'"), byExpression("expression", "user.uid != ''")},
		[]any{byExpression("expression", "user.name == 'a'"), byExpression("expression", "claims.sub == 'a'"), []any{object{}}}))
	return copied(t, e)
}

// randomToken returns a token that is good more often than not.
func randomToken(t *testing.T, r *rand.Rand, w world) string {
	t.Helper()
	p, key := w.one, w.keyOne
	if r.IntN(2) == 0 {
		p, key = w.two, w.keyTwo
	}
	now := time.Now()
	change := object{"jti": oneOf(r, nil, "j"), "email": oneOf(r, nil, "ada@example.com", "", 5), "email_verified": oneOf(r, nil, true, true, false, "true"), "hd": oneOf(r, nil, "example.com", "example.org"),
		"env": oneOf(r, nil, "prod", "test"), "uid": oneOf(r, nil, "7", 7), "roles": oneOf(r, nil, []any{"x", "y"}, []any{}, "x"),
		"groups": oneOf(r, nil, "dev", []any{"dev", "ops"}, []any{"dev"}, []any{}, []any{"dev", 5}, object{"a": "b"}, []any{"system:masters"}, "system:hosts")}
	if r.IntN(3) == 0 {
		change["sub"] = oneOf(r, "bob", "", nil, 7, "system:serviceaccount:a:b", ":x", "tem:masters", true)
	}
	switch r.IntN(12) {
	case 0:
		change["aud"] = oneOf(r, nil, "vault", []any{"vault", "gatehouse"}, []any{}, 5)
	case 1:
		change["exp"] = oneOf(r, nil, now.Add(-time.Minute).Unix(), "soon", float64(now.Unix())+3600.5, -1)
	case 2:
		change["nbf"] = oneOf(r, now.Unix(), now.Add(30*time.Second).Unix(), now.Add(time.Hour).Unix(), "now")
	case 3:
		change["iss"] = oneOf(r, nil, w.one.URL, w.two.URL, w.one.URL+"/", absentIssuer, ownIssuer, 5, []any{w.one.URL})
	case 4:
		key = []*idp.Key{w.keyOne, w.keyTwo, w.stranger, w.hidden}[r.IntN(4)]
	case 5:
		return idp.Unsigned(t, fmt.Sprint(oneOf(r, `{"alg":"none"}`, `{"alg":"ES256","kid":"kid"}`, `{}`, `{"alg":"HS256"}`)), p.Claims(change))
	case 6:
		return idp.Sign(t, jose.HS256, key.PublicBytes(), "kid", p.Claims(change))
	}
	token := p.Token(t, key, change)
	if r.IntN(20) == 0 {
		at := r.IntN(len(token))
		token = token[:at] + string("aZ0_.-"[r.IntN(6)]) + token[at+1:]
	}
	return token
}

func TestRandomFilesAndTokensHaveTheSameResults(t *testing.T) {
	const files, tokens = 100, 60
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 18))
	w := newWorld(t)
	count := map[string]int{}
	for i := range files {
		entries := []any{randomEntry(t, r, w.one)}
		if r.IntN(3) == 0 {
			entries = append(entries, randomEntry(t, r, w.two))
		}
		if r.IntN(10) == 0 {
			absent := entry(w.one, "absent:")
			at(absent, "issuer")["url"] = absentIssuer
			entries = append(entries, absent)
		}
		content := file(t, entries, nil)
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			p, theirs, own := build(t, content, w.one.CA)
			switch design := designOf(own); {
			case design != "":
				count["files: stricter: "+design]++
				return
			case (theirs == nil) != (own == nil):
				t.Fatalf("kube-apiserver's: %v\nours: %v\n%s", theirs, own, content)
			case own != nil:
				count["files: both refuse"]++
				return
			}
			count["files: both accept"]++
			initialized(t, p, w.one.Token(t, w.keyOne, nil), w.two.Token(t, w.keyTwo, nil))
			for range tokens {
				token := randomToken(t, r, w)
				design, accepted := compare(t, p, token)
				count[fmt.Sprintf("tokens: accepted %v, stricter %q", accepted, design)]++
				if t.Failed() {
					t.Fatalf("token %s\n%s", token, content)
				}
			}
		})
	}
	t.Log(count)
	for _, want := range []string{"files: both accept", "files: both refuse", `tokens: accepted true, stricter ""`, `tokens: accepted false, stricter ""`} {
		if count[want] < files/10 {
			t.Errorf("%s: only %d", want, count[want])
		}
	}
}
