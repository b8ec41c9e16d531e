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
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	upstream "k8s.io/kubernetes/pkg/kubeapiserver/options"
	"sigs.k8s.io/yaml"

	ours "github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/structured"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

const (
	// ownIssuer is that of the server's service account tokens.
	ownIssuer = "https://gatehouse"
	// absentIssuer has no provider.
	absentIssuer = "https://127.0.0.1:1"
	// apiPath is a path that needs credentials unless a file permits it.
	apiPath = "/api"
)

// object is a part of a file. It may have fields that the API does not have.
type object = map[string]any

// pair is the authenticator of a kube-apiserver and ours, with the same file.
type pair struct{ theirs, ours authenticator.Request }

// build returns both authenticators, or the error with which each refuses the file.
func build(t *testing.T, content, ca string) (p pair, theirs, own error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authentication.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p.theirs, theirs = buildTheirs(t.Context(), path)
	p.ours, own = buildOurs(t.Context(), path, ca)
	return p, theirs, own
}

func buildTheirs(ctx context.Context, path string) (authenticator.Request, error) {
	options := upstream.NewBuiltInAuthenticationOptions().WithAnonymous().WithServiceAccounts()
	options.AuthenticationConfigFile = path
	options.ServiceAccounts.Issuers = []string{ownIssuer}
	config, err := options.ToAuthenticationConfig()
	if err != nil {
		return nil, err
	}
	request, _, _, _, err := config.New(ctx)
	return request, err
}

func buildOurs(ctx context.Context, path, ca string) (authenticator.Request, error) {
	issuers, err := structured.New(ctx, structured.Options{
		Path: path, DisallowedIssuers: []string{ownIssuer}, Audiences: authenticator.Audiences{ownIssuer}, AnonymousPaths: ours.AnonymousPaths,
	})
	if err != nil {
		return nil, err
	}
	certificates, err := dynamiccertificates.NewStaticCAContent("client-ca", []byte(ca))
	if err != nil {
		return nil, err
	}
	request, _ := ours.NewStandalone(ours.Standalone{ClientCA: certificates, OIDC: issuers, Anonymous: issuers.Anonymous, Audiences: authenticator.Audiences{ownIssuer}})
	return request, nil
}

// outcome is the result for one request: the user, or nothing and the reason.
type outcome struct {
	user   string
	reason error
	info   user.Info
}

// request sends a request without credentials if the token is empty.
func request(t *testing.T, a authenticator.Request, path, token string) outcome {
	t.Helper()
	r := httptest.NewRequestWithContext(authenticator.WithAudiences(t.Context(), authenticator.Audiences{ownIssuer}), http.MethodGet, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, ok, err := a.AuthenticateRequest(r)
	if err != nil || !ok {
		return outcome{reason: err}
	}
	groups := slices.Sorted(slices.Values(response.User.GetGroups()))
	extra := response.User.GetExtra()
	text := fmt.Sprintf("%s %q %s", response.User.GetName(), groups, response.User.GetUID())
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		text += fmt.Sprintf(" %s=%q", key, extra[key])
	}
	return outcome{user: text, info: response.User}
}

// initialized sends a token until the provider's discovery has a result, by each authenticator.
func initialized(t *testing.T, p pair, tokens ...string) {
	t.Helper()
	for name, a := range map[string]authenticator.Request{"kube-apiserver's": p.theirs, "ours": p.ours} {
		for _, token := range tokens {
			kit.EventuallyState(t, name+" has the provider's keys", func(context.Context) (bool, string) {
				reason := fmt.Sprint(request(t, a, apiPath, token).reason)
				return !strings.Contains(reason, "not initialized") && !strings.Contains(reason, "has not answered yet"), reason
			})
		}
	}
}

// stricter names the design by which ours refuses a user that kube-apiserver accepts; empty if both
// must agree.
func stricter(info user.Info) string {
	switch {
	case info == nil:
		return ""
	case info.GetName() == "":
		return "an empty username"
	case strings.HasPrefix(info.GetName(), "system:"):
		return "a username of the server"
	case slices.ContainsFunc(info.GetGroups(), func(g string) bool { return strings.HasPrefix(g, "system:") && g != user.AllAuthenticated }):
		return "a group of the server"
	}
	return ""
}

// compare sends a token to both. It returns the design by which ours is stricter.
func compare(t *testing.T, p pair, token string) (design string, accepted bool) {
	t.Helper()
	theirs, own := request(t, p.theirs, apiPath, token), request(t, p.ours, apiPath, token)
	if design = stricter(theirs.info); design != "" {
		if own.user != "" || own.reason == nil {
			t.Errorf("%s: ours returns %s", design, own.user)
		}
		return design, false
	}
	if own.user != theirs.user || (own.reason == nil) != (theirs.reason == nil) {
		t.Errorf("ours: %q %v\nkube-apiserver's: %q %v", own.user, own.reason, theirs.user, theirs.reason)
	}
	return "", own.user != ""
}

// world has two providers whose keys have the same ID.
type world struct {
	one, two         *idp.Provider
	keyOne, keyTwo   *idp.Key
	stranger, hidden *idp.Key // with the ID of the others, and with another ID
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{one: idp.New(t), two: idp.New(t), keyOne: idp.NewKey(t, "kid"), keyTwo: idp.NewKey(t, "kid"), stranger: idp.NewKey(t, "kid"), hidden: idp.NewKey(t, "hidden")}
	w.one.Publish(w.keyOne)
	w.two.Publish(w.keyTwo)
	return w
}

// entry returns a valid entry of a provider.
func entry(p *idp.Provider, prefix string) object {
	return object{
		"issuer":        object{"url": p.URL, "audiences": []any{idp.Audience}, "certificateAuthority": p.CA},
		"claimMappings": object{"username": object{"claim": "sub", "prefix": prefix}, "groups": object{"claim": "groups", "prefix": prefix}},
	}
}

// file returns a file with entries and other fields.
func file(t *testing.T, entries []any, fields object) string {
	t.Helper()
	content := object{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": entries}
	maps.Copy(content, fields)
	data, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// at returns the object below an entry.
func at(e object, path ...string) object {
	for _, name := range path {
		e = e[name].(object)
	}
	return e
}

// copied returns a deep copy.
func copied(t *testing.T, e object) object {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
