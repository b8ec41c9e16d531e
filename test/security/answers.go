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
	"encoding/base64"
	"net/http"
	"testing"
)

// Answers plays input that used to get wrong responses: numbers that overflowed, patches
// that caused a panic, and reads without credentials. The namespace must exist.
func Answers(t *testing.T, env Env, namespace string) {
	t.Helper()
	apps := preparePatches(t, env, namespace)
	play(t, env, administrator(), patchRows(apps+"/attacked"), []string{apps})
}

// administrator returns the caller of rows that no role refuses.
func administrator() map[string]person {
	return map[string]person{"the administrator": {"gatehouse-admin", []string{"system:masters"}}}
}

// preparePatches creates the app of patchRows and returns the path of its collection.
func preparePatches(t *testing.T, env Env, namespace string) string {
	t.Helper()
	apps := fleet + "/namespaces/" + namespace + "/apps"
	newClient(t, env.Admin).must(t, http.MethodPost, apps, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"attacked"},"spec":{"replicas":0,"paused":true,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"a:1"}]}}}}`)
	return apps
}

// AnonymousAnswers plays reads without credentials on a standalone server.
func AnonymousAnswers(t *testing.T, env Env) {
	t.Helper()
	play(t, env, nil, anonymousRows(), []string{hosts})
}

func anonymousRows() []attack {
	token := "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte("a guess"))
	upgrade := map[string][]string{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {token + ", v4.channel.k8s.io"}}
	return []attack{
		{name: "An anonymous caller reads the version", path: "/version", code: http.StatusOK},
		{name: "An anonymous caller writes the version", method: http.MethodPost, path: "/version", code: http.StatusForbidden},
		{name: "An anonymous caller reads a path below the version", path: "/version/more", code: http.StatusUnauthorized},
		{name: "An anonymous caller reads how tokens are verified before a role allows it", path: "/.well-known/openid-configuration", code: http.StatusForbidden},
		{name: "An anonymous caller reads the keys of tokens before a role allows it", path: "/openid/v1/jwks", code: http.StatusForbidden},
		{name: "An anonymous caller watches definitions of custom resources", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?watch=1", code: http.StatusUnauthorized},
		{name: "A WebSocket with a guessed token is refused", path: hosts + "?watch=1", headers: upgrade, code: http.StatusUnauthorized},
	}
}

// patchRows returns patches of one app.
func patchRows(app string) []attack {
	const (
		strategic = "application/strategic-merge-patch+json"
		apply     = "application/apply-patch+yaml"
		invalid   = http.StatusUnprocessableEntity
	)
	applied := func(spec string) string {
		return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"attacked"},"spec":` + spec + `}`
	}
	rows := []attack{
		{name: "An apply wraps the replicas around", path: app + "?fieldManager=x&force=true", contentType: apply, body: applied(`{"replicas":4294967298}`), says: "spec.replicas"},
		{name: "An apply sets more replicas than a number can hold", path: app + "?fieldManager=x&force=true", contentType: apply, body: applied(`{"replicas":1e999}`), says: "spec.replicas"},
		{name: "A strategic patch wraps the replicas around", path: app, contentType: strategic, body: `{"spec":{"replicas":99999999999}}`, says: "spec.replicas"},
		{name: "A strategic patch of the scale wraps the replicas around", path: app + "/scale", contentType: strategic, body: `{"spec":{"replicas":4294967298}}`, says: "spec.replicas"},
		{name: "A strategic patch orders a list that has no merge key", path: app, contentType: strategic, body: `{"spec":{"template":{"spec":{"$setElementOrder/tolerations":[{"key":"a"}],"tolerations":[{"key":"a"}]}}}}`, says: "send the whole list"},
		{name: "A strategic patch retains an object", path: app, contentType: strategic, body: `{"spec":{"strategy":{"$retainKeys":[{}]}}}`, says: "$retainKeys"},
		{name: "A strategic patch has objects as merge keys", path: app, contentType: strategic, body: `{"spec":{"template":{"spec":{"containers":[{"name":{}},{"name":{}}]}}}}`, says: "containers[0].name"},
	}
	for i := range rows {
		rows[i].as, rows[i].method, rows[i].code = "the administrator", http.MethodPatch, invalid
	}
	return rows
}
