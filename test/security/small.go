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
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// smallSpace is the namespace of Small.
const smallSpace = "attack-small"

// Small plays attacks of one or two requests, on a standalone server with RBAC.
func Small(t *testing.T, env Env) {
	t.Helper()
	prepareSmall(t, env)
	for _, row := range []struct {
		name, size string
		play       func(*testing.T, Env)
	}{
		{"nobody is anonymous by a certificate", "6 requests", anonymousByCertificate},
		{"a body without a media type is not JSON", "7 requests", func(t *testing.T, env Env) { UntypedBodies(t, env.Admin, smallMaps()) }},
		{"a patch that fails does not show the Secret", "9 requests", quotingPatches},
		{"owners are named only with the rights that they give", "6 requests", func(t *testing.T, env Env) { StrangeOwners(t, env, smallMaps()) }},
		{"what owns itself can be deleted", "6 objects", ownOwners},
	} {
		t.Run(row.name, func(t *testing.T) {
			env.Measured(t, row.name, row.size, func() string {
				row.play(t, env)
				return "as wanted"
			})
		})
	}
}

// prepareSmall creates the namespace, the Secret of quotingRows and its callers.
func prepareSmall(t *testing.T, env Env) {
	t.Helper()
	admin := newClient(t, env.Admin)
	admin.must(t, http.MethodPost, core+"/namespaces", "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, smallSpace))
	admin.must(t, http.MethodPost, core+"/namespaces/"+smallSpace+"/secrets", "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"quoted"},"data":{"password":%q}}`, hidden))
	inSpace := rbac + "/namespaces/" + smallSpace
	bind := func(user, kind, role string) {
		admin.apply(t, inSpace+"/rolebindings/"+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":%q,"name":%q},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, user, kind, role, user))
	}
	admin.apply(t, inSpace+"/roles/attack-patcher", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"attack-patcher"},"rules":[{"apiGroups":[""],"resources":["secrets","configmaps"],"verbs":["patch"]}]}`)
	bind("attack-patcher", "Role", "attack-patcher")
	bind("attack-smith", "ClusterRole", "edit")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	newClient(t, env.As("attack-smith")).awaitCode(ctx, t, attack{path: core + "/namespaces/" + smallSpace + "/configmaps"}, http.StatusOK)
}

// smallMaps are config maps, which a standalone server stores.
func smallMaps() Objects {
	return Objects{Path: core + "/namespaces/" + smallSpace + "/configmaps", APIVersion: "v1", Kind: "ConfigMap"}
}

// hidden is the content of the Secret: hunter2hunter2.
const hidden = "aHVudGVyMmh1bnRlcjI="

func anonymousByCertificate(t *testing.T, env Env) {
	for _, c := range []client{newClient(t, env.As("system:anonymous", "system:masters")), newClient(t, env.As("attack-x", "system:unauthenticated"))} {
		for _, path := range []string{core + "/namespaces", "/readyz", "/apis/authentication.k8s.io/v1/selfsubjectreviews"} {
			if code, body := c.send(t, attack{path: path}); code != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", path, code, body)
			}
		}
	}
}

func quotingPatches(t *testing.T, env Env) {
	patcher := newClient(t, env.As("attack-patcher"))
	for _, row := range quotingRows() {
		t.Run(row.name, func(t *testing.T) {
			code, body := patcher.send(t, row)
			if code < 400 {
				t.Errorf("%d %s", code, body)
			}
			if strings.Contains(body, hidden) || strings.Contains(body, "hunter2") {
				t.Errorf("the answer shows the Secret: %s", body)
			}
		})
	}
}

// quotingRows returns patches of the Secret "quoted" that fail.
func quotingRows() []attack {
	rows := []attack{
		{name: "a number where bytes belong", contentType: "application/merge-patch+json", body: `{"data":{"a":5}}`},
		{name: "an unknown field", path: "?fieldValidation=Strict", contentType: "application/merge-patch+json", body: `{"nothing":1}`},
		{name: "a list where a map belongs", contentType: "application/merge-patch+json", body: `{"metadata":{"labels":[]}}`},
		{name: "the same by a JSON patch", contentType: "application/json-patch+json", body: `[{"op":"replace","path":"/type","value":{}}]`},
		{name: "a JSON patch that tests", contentType: "application/json-patch+json", body: `[{"op":"test","path":"/data/password","value":"x"}]`},
		{name: "the same by a strategic merge patch", contentType: "application/strategic-merge-patch+json", body: `{"data":{"a":5}}`},
		{name: "an apply", path: "?fieldManager=x", contentType: "application/apply-patch+yaml", body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"quoted"},"data":{"a":5}}`},
		{name: "a change of what must not change", contentType: "application/merge-patch+json", body: `{"type":"other"}`},
	}
	for i := range rows {
		rows[i].as, rows[i].method, rows[i].path = "a patcher", http.MethodPatch, core+"/namespaces/"+smallSpace+"/secrets/quoted"+rows[i].path
	}
	return rows
}

func ownOwners(t *testing.T, env Env) {
	admin := newClient(t, env.Admin)
	maps := core + "/namespaces/" + smallSpace + "/configmaps"
	uids := map[string]string{}
	for _, name := range []string{"self", "one", "two", "a", "b", "c"} {
		uids[name] = field(t, admin.must(t, http.MethodPost, maps, "", fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, name)), "metadata", "uid")
	}
	for name, owner := range map[string]string{"self": "self", "one": "two", "two": "one", "a": "b", "b": "c", "c": "a"} {
		admin.must(t, http.MethodPatch, maps+"/"+name, "", fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":%q,"uid":%q,"blockOwnerDeletion":true}]}}`, owner, uids[owner]))
	}
	// All deletes are sent before the first wait, so that each object is deleted by its own request.
	for _, name := range []string{"self", "one", "two", "a"} {
		admin.must(t, http.MethodDelete, maps+"/"+name+"?propagationPolicy=Foreground", "", "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, name := range []string{"self", "one", "two", "a", "b", "c"} {
		admin.awaitCode(ctx, t, attack{path: maps + "/" + name}, http.StatusNotFound)
	}
}

// field returns a string of a JSON object.
func field(t *testing.T, object []byte, path ...string) string {
	t.Helper()
	var content map[string]any
	if err := json.Unmarshal(object, &content); err != nil {
		t.Fatal(err)
	}
	text, found, err := unstructured.NestedString(content, path...)
	if err != nil || !found {
		t.Fatalf("%s has no %v: %v", object, path, err)
	}
	return text
}
