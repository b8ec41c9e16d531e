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
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

// Issuers are two providers and a token webhook. The providers' keys have the same ID. The users and
// groups of the first one have no prefix.
type Issuers struct {
	one, two                   *idp.Provider
	keyOne, keyTwo, stranger   *idp.Key
	ConfigFile, KubeconfigFile string
	// Close ends the webhook.
	Close func()
}

// NewIssuers starts providers and webhook, and writes the files for a server.
func NewIssuers(t *testing.T) *Issuers {
	t.Helper()
	i := &Issuers{one: idp.New(t), two: idp.New(t), keyOne: idp.NewKey(t, "kid"), keyTwo: idp.NewKey(t, "kid"), stranger: idp.NewKey(t, "kid")}
	i.one.Publish(i.keyOne)
	i.two.Publish(i.keyTwo)
	dir := t.TempDir()
	i.ConfigFile, i.KubeconfigFile = filepath.Join(dir, "authentication.yaml"), filepath.Join(dir, "webhook.kubeconfig")
	webhook := httptest.NewTLSServer(http.HandlerFunc(reviewByName))
	i.Close = webhook.Close
	t.Cleanup(webhook.Close)
	for path, content := range map[string]string{
		i.ConfigFile:     idp.Header + i.one.Entry("", "") + i.two.Entry("two:", ""),
		i.KubeconfigFile: kit.ServiceKubeconfig(webhook),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// reviewByName accepts tokens reviewed/USER/GROUP, and names that user in that group.
func reviewByName(w http.ResponseWriter, r *http.Request) {
	var review authenticationv1.TokenReview
	_ = json.NewDecoder(r.Body).Decode(&review)
	if parts := strings.Split(review.Spec.Token, "/"); len(parts) == 3 && parts[0] == "reviewed" {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: parts[1], Groups: []string{parts[2]}}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

// developers is the group of the providers' users that may list hosts.
const developers = "attack-developers"

// Providers plays attacks with tokens of providers and of a token webhook, on a standalone server that
// has the files of the issuers.
func Providers(t *testing.T, env Env, issuers *Issuers) {
	t.Helper()
	admin := newClient(t, env.Admin)
	bind := func(name, role, subjects string) {
		admin.apply(t, rbac+"/clusterrolebindings/"+name, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[%s]}`, name, role, subjects))
	}
	group := func(name string) string {
		return fmt.Sprintf(`{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":%q}`, name)
	}
	admin.apply(t, rbac+"/clusterroles/"+developers, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":%q},"rules":[{"apiGroups":["fleet.gatehouse.dev"],"resources":["hosts"],"verbs":["list"]}]}`, developers))
	bind(developers, developers, group(developers)+","+group("two:"+developers))
	bind("attack-reviewers", "system:auth-delegator", group("attack-reviewers"))
	accepted := issuers.accepted(t)
	env.Tokens = issuers.refused(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, token := range accepted {
		env.Tokens[name] = token
		config := rest.AnonymousClientConfig(env.Admin)
		config.BearerToken = token
		newClient(t, config).awaitCode(ctx, t, attack{path: hosts}, http.StatusOK)
	}
	awaitRootCA(t, admin)
	play(t, env, nil, slices.Concat(refusedRows(env, accepted), namedRows(), reviewRows(env)),
		[]string{hosts, core + "/secrets", core + "/namespaces", core + "/serviceaccounts", rbac + "/clusterroles", rbac + "/clusterrolebindings"})
}

// accepted are tokens that the server accepts, so that the refusals of the others come from their defect.
func (i *Issuers) accepted(t *testing.T) map[string]string {
	return map[string]string{
		"a developer of the first issuer":  i.one.Token(t, i.keyOne, map[string]any{"groups": developers}),
		"a developer of the second issuer": i.two.Token(t, i.keyTwo, map[string]any{"groups": []string{developers, "system:masters"}}),
		"a user of the webhook":            "reviewed/rita/" + developers,
		"an administrator of the webhook":  "reviewed/root/system:masters",
		"a reviewer":                       i.one.Token(t, i.keyOne, map[string]any{"sub": "rose", "groups": []string{developers, "attack-reviewers"}}),
	}
}

// refused are tokens that name a developer, or a user of the server, and have a defect.
func (i *Issuers) refused(t *testing.T) map[string]string {
	good := map[string]any{"groups": developers}
	with := func(name string, value any) string {
		return i.one.Token(t, i.keyOne, map[string]any{"groups": developers, name: value})
	}
	tokens := map[string]string{
		"a token of one issuer with the key of another":           i.one.Token(t, i.keyTwo, good),
		"a token of the other issuer with the key of the first":   i.two.Token(t, i.keyOne, good),
		"a provider's token with a stranger's key of the same ID": i.one.Token(t, i.stranger, good),
		"a provider's token for another audience":                 with("aud", "vault"),
		"a provider's token that has expired":                     with("exp", time.Now().Add(-time.Minute).Unix()),
		"a provider's token without an expiry":                    with("exp", nil),
		"a provider's token of an unknown issuer":                 with("iss", "https://elsewhere.example.com"),
		"a provider's token with the server's own issuer":         with("iss", "https://gatehouse"),
		"a provider's token of 300 kB":                            with("more", strings.Repeat("x", 200<<10)),
		"a provider's token for a service account":                with("sub", "system:serviceaccount:kube-system:default"),
		"a provider's token for a host":                           with("sub", "system:host:attack-host"),
		"a provider's token for a controller":                     with("sub", "system:controller:namespace"),
		"a provider's token for the user without credentials":     with("sub", "system:anonymous"),
		"a provider's token for no user":                          with("sub", ""),
		"a provider's token for administrators":                   with("groups", []string{developers, "system:masters"}),
		"a provider's token for hosts":                            with("groups", "system:hosts"),
		"a provider's token for all service accounts":             with("groups", "system:serviceaccounts"),
		"a response for the user without credentials":             "reviewed/system:anonymous/system:masters",
		"a response for the group without credentials":            "reviewed/rita/system:unauthenticated",
		"a response for no user":                                  "reviewed//system:masters",
		"a token that the webhook refuses":                        "reviewed",
	}
	for name, token := range idp.Forged(t, i.one, i.keyOne, i.stranger, good) {
		tokens["a provider's token "+name] = token
	}
	return tokens
}

func refusedRows(env Env, accepted map[string]string) []attack {
	var rows []attack
	for name := range env.Tokens {
		if accepted[name] == "" {
			rows = append(rows, attack{name: "A caller shows " + name, as: name, path: hosts, code: http.StatusUnauthorized, says: "Unauthorized"})
		}
	}
	return rows
}

// namedRows are requests of accepted users beyond their rights.
func namedRows() []attack {
	const second, user = "a developer of the second issuer", `User \"two:ada\" cannot `
	return []attack{
		{name: "A group with the name of the administrators has a prefix and no rights", as: second, path: core + "/secrets", code: http.StatusForbidden, says: user + "list"},
		{name: "A provider's user acts as an administrator", as: second, path: core + "/secrets", headers: map[string][]string{"Impersonate-User": {"admin"}, "Impersonate-Group": {"system:masters"}}, code: http.StatusForbidden, says: "impersonate"},
		{name: "A provider's user forges the front proxy's headers", as: second, path: core + "/secrets", headers: map[string][]string{"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}}, code: http.StatusForbidden, says: user + "list"},
		{name: "A provider's user requests the token of a service account", as: second, method: http.MethodPost, path: core + "/namespaces/kube-system/serviceaccounts/default/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, code: http.StatusForbidden, says: user + "create"},
		// As in Kubernetes, the service is trusted: docs/authentication.md.
		{name: "The webhook names an administrator", as: "an administrator of the webhook", path: core + "/secrets", code: http.StatusOK, says: "SecretList"},
		{name: "A provider's user reads why its issuer is not in force", as: second, path: "/readyz/authentication", code: http.StatusForbidden, says: "cannot get path"},
	}
}

// reviewRows are reviews of tokens by callers without the right, and of tokens with defects.
func reviewRows(env Env) []attack {
	review := func(token, more string) string {
		return fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q%s}}`, token, more)
	}
	const good = "a developer of the first issuer"
	// Status without "authenticated" is a refusal.
	const refused = `"status":{"user":{},"error":`
	rows := []attack{
		{name: "A caller without credentials reviews a token", body: review(env.Tokens[good], ""), code: http.StatusUnauthorized, says: "Unauthorized"},
		{name: "A provider's user reviews a token", as: good, body: review(env.Tokens[good], ""), code: http.StatusForbidden, says: `User \"ada\" cannot create`},
		{name: "A reviewer writes the status of a review", as: "a reviewer", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"},"status":{"authenticated":true,"user":{"username":"admin"}}}`, code: http.StatusCreated, says: refused},
		{name: "A reviewer reviews a token for another audience", as: "a reviewer", body: review(env.Tokens[good], `,"audiences":["vault"]`), code: http.StatusCreated, says: refused},
		{name: "A reviewer reviews a token of 1 MB", as: "a reviewer", body: review(strings.Repeat("x", 1_000_000), ""), code: http.StatusCreated, says: "65536 is the limit"},
		{name: "A reviewer reviews no token", as: "a reviewer", body: review("", ""), code: http.StatusBadRequest, says: "token"},
	}
	for _, name := range []string{"a token of one issuer with the key of another", "a provider's token for administrators", "a provider's token for a service account", "a response for no user"} {
		rows = append(rows, attack{name: "A reviewer reviews " + name, as: "a reviewer", body: review(env.Tokens[name], ""), code: http.StatusCreated, says: refused})
	}
	for i := range rows {
		rows[i].method, rows[i].path = http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews"
	}
	return rows
}
