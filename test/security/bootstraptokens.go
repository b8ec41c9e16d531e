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
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// goodToken is a bootstrap token in a group that may create hosts, and nothing else.
const goodToken = "attack.0123456789abcdef"

// bootstrapToken returns the secret of a token with changed values; an empty value removes a key.
func bootstrapToken(namespace, id string, changes ...[2]string) string {
	data := map[string]string{
		"token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", "auth-extra-groups": "system:bootstrappers:attack",
	}
	kind := "bootstrap.kubernetes.io/token"
	for _, change := range changes {
		switch {
		case change[0] == "type":
			kind = change[1]
		case change[1] == "":
			delete(data, change[0])
		default:
			data[change[0]] = change[1]
		}
	}
	encoded := ""
	for key, value := range data {
		encoded += fmt.Sprintf(`,%q:%q`, key, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":%q,"name":"bootstrap-token-%s"},"type":%q,"data":{%s}}`, namespace, id, kind, encoded[1:])
}

// BootstrapTokens plays attacks with bootstrap tokens beyond their purpose, on a standalone server that
// accepts them and deletes no expired ones.
func BootstrapTokens(t *testing.T, env Env) {
	t.Helper()
	admin := newClient(t, env.Admin)
	admin.apply(t, rbac+"/clusterroles/attack-bootstrap", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"attack-bootstrap"},"rules":[{"apiGroups":["fleet.gatehouse.dev"],"resources":["hosts"],"verbs":["create","list"]}]}`)
	admin.apply(t, rbac+"/clusterrolebindings/attack-bootstrap", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"attack-bootstrap"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"attack-bootstrap"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:bootstrappers:attack"}]}`)
	const system = "kube-system"
	secrets := func(namespace string) string { return core + "/namespaces/" + namespace + "/secrets" }
	env.Tokens = map[string]string{"a bootstrap token": goodToken}
	refused := []struct {
		name, namespace, id string
		change              [2]string
	}{
		{"an expired bootstrap token", system, "expird", [2]string{"expiration", "2020-01-01T00:00:00Z"}},
		{"a bootstrap token with an expiration that is no time", system, "notime", [2]string{"expiration", "never"}},
		{"a bootstrap token of another namespace", "default", "elswhr", [2]string{}},
		{"a bootstrap token without its usage", system, "nousge", [2]string{"usage-bootstrap-authentication", ""}},
		{"a bootstrap token for signing", system, "signng", [2]string{"usage-bootstrap-authentication", "false"}},
		{"a bootstrap token of another type", system, "opaque", [2]string{"type", "Opaque"}},
		{"a bootstrap token with the group of administrators", system, "master", [2]string{"auth-extra-groups", "system:masters"}},
		{"a bootstrap token with one such group of two", system, "two222", [2]string{"auth-extra-groups", "system:bootstrappers:attack,system:masters"}},
		{"a bootstrap token with the ID of another", system, "secnd2", [2]string{"token-id", "attack"}},
	}
	for _, r := range refused {
		admin.must(t, http.MethodPost, secrets(r.namespace), "", bootstrapToken(r.namespace, r.id, r.change))
		env.Tokens[r.name] = r.id + ".0123456789abcdef"
	}
	env.Tokens["a bootstrap token with another secret"] = "attack.0123456789abcdee"
	// The good one is created last: once it is accepted, the server has read the others.
	admin.must(t, http.MethodPost, secrets(system), "", bootstrapToken(system, "attack"))
	config := rest.AnonymousClientConfig(env.Admin)
	config.BearerToken = goodToken
	bearer := newClient(t, config)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bearer.awaitCode(ctx, t, attack{path: hosts}, http.StatusOK)
	awaitRootCA(t, admin)
	play(t, env, nil, bootstrapTokenRows(env), []string{hosts, core + "/secrets", core + "/namespaces", core + "/serviceaccounts", rbac + "/clusterroles", rbac + "/clusterrolebindings"})
	takeTokensAway(t, admin, bearer)
}

// bootstrapTokenRows are requests with tokens that are not accepted, and requests of an accepted one
// that its group may not make.
func bootstrapTokenRows(env Env) []attack {
	var rows []attack
	for name := range env.Tokens {
		if name != "a bootstrap token" {
			rows = append(rows, attack{name: "A caller shows " + name, as: name, path: hosts, code: http.StatusUnauthorized, says: "Unauthorized"})
		}
	}
	const user = `User \"system:bootstrap:attack\" cannot `
	beyond := []attack{
		{name: "A bootstrap token lists secrets", path: core + "/secrets", says: user + "list"},
		{name: "A bootstrap token reads its own secret", path: core + "/namespaces/kube-system/secrets/bootstrap-token-attack", says: user + "get"},
		{name: "A bootstrap token makes another", method: http.MethodPost, path: core + "/namespaces/kube-system/secrets", body: bootstrapToken("kube-system", "anothr"), says: user + "create"},
		{name: "A bootstrap token prolongs itself", method: http.MethodPatch, path: core + "/namespaces/kube-system/secrets/bootstrap-token-attack", body: `{"data":{"expiration":null}}`, says: user + "patch"},
		{name: "A bootstrap token deletes a host", method: http.MethodDelete, path: hosts + "/any", says: user + "delete"},
		{name: "A bootstrap token binds its group to the administrators", method: http.MethodPost, path: rbac + "/clusterrolebindings", body: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"evil"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:bootstrappers"}]}`, says: user + "create"},
		{name: "A bootstrap token acts as an administrator", path: core + "/secrets", headers: map[string][]string{"Impersonate-User": {"admin"}, "Impersonate-Group": {"system:masters"}}, says: "impersonate"},
		{name: "A bootstrap token requests the token of a service account", method: http.MethodPost, path: core + "/namespaces/kube-system/serviceaccounts/default/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, says: user + "create"},
		{name: "A bootstrap token reviews tokens", method: http.MethodPost, path: "/apis/authentication.k8s.io/v1/tokenreviews", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"` + goodToken + `"}}`, says: user + "create"},
		{name: "A bootstrap token reads metrics", path: "/metrics"},
	}
	for i := range beyond {
		beyond[i].as, beyond[i].code = "a bootstrap token", http.StatusForbidden
	}
	return slices.Concat(rows, beyond)
}

// takeTokensAway changes the secret of the accepted token, and sends the next request at once.
func takeTokensAway(t *testing.T, admin, bearer client) {
	t.Helper()
	const system = core + "/namespaces/kube-system/secrets"
	path := system + "/bootstrap-token-attack"
	patch := func(data string) func() {
		return func() { admin.must(t, http.MethodPatch, path, "", `{"data":{`+data+`}}`) }
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, row := range []struct {
		name       string
		take, give func()
	}{
		{"A bootstrap token whose usage was taken away", patch(`"usage-bootstrap-authentication":null`), patch(`"usage-bootstrap-authentication":"dHJ1ZQ=="`)},
		{"A bootstrap token that was ended", patch(`"expiration":"MjAyMC0wMS0wMVQwMDowMDowMFo="`), patch(`"expiration":null`)},
		{"A bootstrap token whose secret was changed", patch(`"token-secret":"ZmVkY2JhOTg3NjU0MzIxMA=="`), patch(`"token-secret":"MDEyMzQ1Njc4OWFiY2RlZg=="`)},
		{"A bootstrap token that was deleted", func() { admin.must(t, http.MethodDelete, path, "", "") }, func() { admin.must(t, http.MethodPost, system, "", bootstrapToken("kube-system", "attack")) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.take()
			if code, body := bearer.send(t, attack{path: hosts}); code != http.StatusUnauthorized {
				t.Errorf("the next request is answered with %d: %s", code, body)
			}
			// The same token is accepted again, so that the refusals come from the change.
			row.give()
			bearer.awaitCode(ctx, t, attack{path: hosts}, http.StatusOK)
		})
	}
}
