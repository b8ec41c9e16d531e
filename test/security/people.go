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
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	core = "/api/v1"
	rbac = "/apis/rbac.authorization.k8s.io/v1"
	// ours is the namespace in which callers have rights; in theirs they have none.
	ours, theirs = "attack-ours", "attack-theirs"
)

// team returns the users of the attacks on roles; roles has the rights of each.
func team() map[string]person {
	return map[string]person{
		"a stranger":              {"attack-stranger", nil},
		"an editor":               {"attack-editor", nil},
		"a viewer":                {"attack-viewer", nil},
		"a namespace's admin":     {"attack-admin", nil},
		"a writer of roles":       {"attack-writer", nil},
		"a reader of one secret":  {"attack-reader", nil},
		"an impersonator":         {"attack-impersonator", nil},
		"somebody in many groups": {"attack-many", manyGroups()},
	}
}

// manyGroups returns as many groups as a certificate can contain.
func manyGroups() []string {
	groups := []string{}
	for i := range 1000 {
		groups = append(groups, fmt.Sprintf("group-%d:system:masters", i))
	}
	return groups
}

// roles returns objects by the path that they are applied to.
func roles() [][2]string {
	object := func(kind, name, rest string) string {
		return fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":%q,"metadata":{"name":%q},%s}`, kind, name, rest)
	}
	bind := func(kind, roleKind, role, user string) string {
		return object(kind, user+"-"+role, fmt.Sprintf(`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":%q,"name":%q},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]`, roleKind, role, user))
	}
	inOurs := rbac + "/namespaces/" + ours
	return [][2]string{
		{inOurs + "/rolebindings/attack-editor-edit", bind("RoleBinding", "ClusterRole", "edit", "attack-editor")},
		{inOurs + "/rolebindings/attack-ordinary-edit", bind("RoleBinding", "ClusterRole", "edit", OrdinaryUser)},
		{inOurs + "/rolebindings/attack-viewer-view", bind("RoleBinding", "ClusterRole", "view", "attack-viewer")},
		{inOurs + "/rolebindings/attack-admin-admin", bind("RoleBinding", "ClusterRole", "admin", "attack-admin")},
		{rbac + "/clusterrolebindings/attack-powerful-cluster-admin", bind("ClusterRoleBinding", "ClusterRole", "cluster-admin", powerfulUser)},
		{rbac + "/clusterroles/attack-rbac", object("ClusterRole", "attack-rbac", `"rules":[{"apiGroups":["rbac.authorization.k8s.io"],"resources":["*"],"verbs":["get","list","watch","create","update","patch","delete"]}]`)},
		{rbac + "/clusterrolebindings/attack-writer-attack-rbac", bind("ClusterRoleBinding", "ClusterRole", "attack-rbac", "attack-writer")},
		{inOurs + "/roles/attack-one-secret", object("Role", "attack-one-secret", `"rules":[{"apiGroups":[""],"resources":["secrets"],"resourceNames":["one"],"verbs":["get"]}]`)},
		{inOurs + "/rolebindings/attack-reader-attack-one-secret", bind("RoleBinding", "Role", "attack-one-secret", "attack-reader")},
		{rbac + "/clusterroles/attack-impersonate", object("ClusterRole", "attack-impersonate", `"rules":[{"apiGroups":[""],"resources":["users"],"resourceNames":["attack-viewer"],"verbs":["impersonate"]}]`)},
		{rbac + "/clusterrolebindings/attack-impersonator-attack-impersonate", bind("ClusterRoleBinding", "ClusterRole", "attack-impersonate", "attack-impersonator")},
		{rbac + "/clusterroles/attack-aggregate", object("ClusterRole", "attack-aggregate", `"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"attack":"aggregate"}}]}`)},
	}
}

// People plays attacks of users on a standalone server with RBAC.
func People(t *testing.T, env Env) {
	t.Helper()
	prepareTeam(t, env)
	watched := []string{hosts, fleet + "/instances", core + "/namespaces", core + "/secrets", core + "/configmaps", core + "/serviceaccounts",
		rbac + "/roles", rbac + "/rolebindings", rbac + "/clusterroles", rbac + "/clusterrolebindings"}
	awaitRootCA(t, newClient(t, env.Admin))
	play(t, env, team(), teamRows(env), watched)
}

// awaitRootCA waits until a controller has published the root certificates in every namespace.
func awaitRootCA(t *testing.T, admin client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for key := range admin.everything(t, []string{core + "/namespaces"}) {
		name := key[strings.LastIndex(key, "/")+1:]
		admin.awaitCode(ctx, t, attack{path: core + "/namespaces/" + name + "/configmaps/kube-root-ca.crt"}, http.StatusOK)
	}
}

func teamRows(env Env) []attack {
	return slices.Concat(pathTricks(), sideDoors(), escalations(), impersonations(), requestReviews(), credentials(env))
}

// prepareTeam creates the objects of the rows, and waits until the team has its rights.
func prepareTeam(t *testing.T, env Env) {
	t.Helper()
	admin := newClient(t, env.Admin)
	for _, ns := range []string{ours, theirs} {
		admin.must(t, http.MethodPost, core+"/namespaces", "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, ns))
		for _, name := range []string{"one", "two"} {
			admin.must(t, http.MethodPost, core+"/namespaces/"+ns+"/secrets", "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"data":{"a":"Yg=="}}`, name))
		}
		admin.must(t, http.MethodPost, fleet+"/namespaces/"+ns+"/instances", "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"web"},"spec":{"containers":[{"name":"a","image":"a:1"}]}}`)
	}
	admin.must(t, http.MethodPost, hosts, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-host"}}`)
	for _, role := range roles() {
		admin.apply(t, role[0], role[1])
	}
	// Allowed requests first, so that the refusals below do not come from missing rights.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for who, path := range map[string]string{
		"an editor":              core + "/namespaces/" + ours + "/secrets/one",
		"a viewer":               fleet + "/namespaces/" + ours + "/instances/web",
		"a namespace's admin":    rbac + "/namespaces/" + ours + "/roles",
		"a writer of roles":      rbac + "/clusterroles",
		"a reader of one secret": core + "/namespaces/" + ours + "/secrets/one",
	} {
		p := team()[who]
		newClient(t, env.As(p.user, p.groups...)).awaitCode(ctx, t, attack{path: path}, http.StatusOK)
	}
	newClient(t, env.As("attack-impersonator")).awaitCode(ctx, t, attack{path: fleet + "/namespaces/" + ours + "/instances/web", headers: map[string][]string{"Impersonate-User": {"attack-viewer"}}}, http.StatusOK)
}

func pathTricks() []attack {
	const forbidden = http.StatusForbidden
	secrets := core + "/namespaces/" + theirs + "/secrets"
	rows := []attack{
		{name: "A name goes up and down again", path: core + "/namespaces/" + ours + "/../" + theirs + "/secrets/one", code: forbidden},
		{name: "A name goes up in percent signs", path: core + "/namespaces/" + ours + "/%2e%2e/" + theirs + "/secrets/one", code: forbidden},
		{name: "A name hides a slash", path: core + "/namespaces/" + ours + "%2F..%2F" + theirs + "/secrets/one", code: forbidden},
		{name: "A path ends in a slash", path: secrets + "/", code: forbidden},
		{name: "A path begins with two slashes", path: "/" + secrets + "/one", code: forbidden},
		{name: "A path has two slashes within", path: core + "/namespaces//" + theirs + "/secrets/one", code: forbidden},
		{name: "A path is written in capitals", path: "/API/V1/namespaces/" + theirs + "/secrets", code: forbidden},
		{name: "A path names a version that is not served", path: "/api/v2/namespaces/" + theirs + "/secrets", code: forbidden},
		{name: "A path contains proxy", path: core + "/proxy/namespaces/" + theirs + "/secrets/one", code: forbidden},
		{name: "A path contains watch", path: core + "/watch/namespaces/" + theirs + "/secrets", code: forbidden},
		{name: "A path contains watch, for all namespaces", path: core + "/watch/secrets", code: forbidden},
		{name: "A health path continues to a resource", path: "/healthz/../api/v1/secrets", code: forbidden},
		{name: "A health path continues in percent signs", path: "/healthz/%2e%2e/api/v1/secrets", code: forbidden},
		{name: "A path ends in a semicolon", path: secrets + ";/healthz", code: forbidden},
		{name: "A path ends in nothing", path: secrets + "/one%00", code: forbidden},
		{name: "A namespace is a star", path: core + "/namespaces/*/secrets", code: forbidden},
		{name: "A resource is a star", path: core + "/namespaces/" + theirs + "/*", code: forbidden},
		{name: "A namespace as a parameter", path: core + "/secrets?namespace=" + ours, code: forbidden},
		{name: "A method in a header", method: http.MethodPost, path: core + "/namespaces/" + ours + "/secrets/one", headers: map[string][]string{"X-HTTP-Method-Override": {"DELETE"}}, body: `{}`, code: http.StatusMethodNotAllowed},
		{name: "A body names another namespace", method: http.MethodPost, path: core + "/namespaces/" + ours + "/configmaps", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"` + theirs + `"}}`, code: http.StatusBadRequest, says: "namespace"},
		{name: "A body is of another kind", method: http.MethodPost, path: core + "/namespaces/" + ours + "/configmaps", body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`, code: http.StatusBadRequest},
	}
	for i := range rows {
		rows[i].as = "an editor"
	}
	return rows
}

func sideDoors() []attack {
	const forbidden = http.StatusForbidden
	secrets, ourSecrets := core+"/namespaces/"+theirs+"/secrets", core+"/namespaces/"+ours+"/secrets"
	instances := fleet + "/namespaces/" + ours + "/instances"
	return []attack{
		{name: "A stranger lists namespaces", as: "a stranger", path: core + "/namespaces", code: forbidden, says: `User \"attack-stranger\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope`},
		{name: "A stranger reads metrics", as: "a stranger", path: "/metrics", code: forbidden},
		{name: "A member of many groups with the suffix of the administrators lists secrets", as: "somebody in many groups", path: core + "/secrets", code: forbidden},
		{name: "An editor lists secrets elsewhere", as: "an editor", path: secrets, code: forbidden},
		{name: "An editor lists secrets everywhere", as: "an editor", path: core + "/secrets", code: forbidden},
		{name: "An editor chooses a namespace by a field", as: "an editor", path: core + "/secrets?fieldSelector=metadata.namespace%3D" + ours, code: forbidden},
		{name: "An editor watches secrets everywhere", as: "an editor", path: core + "/secrets?watch=1&fieldSelector=metadata.namespace%3D" + ours, code: forbidden},
		{name: "A viewer gets a secret", as: "a viewer", path: ourSecrets + "/one", code: forbidden},
		{name: "A viewer lists secrets", as: "a viewer", path: ourSecrets, code: forbidden},
		{name: "A viewer lists secrets as metadata only", as: "a viewer", path: ourSecrets, headers: map[string][]string{"Accept": {"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}}, code: forbidden},
		{name: "A viewer lists secrets as a table", as: "a viewer", path: ourSecrets, headers: map[string][]string{"Accept": {"application/json;as=Table;g=meta.k8s.io;v=v1"}}, code: forbidden},
		{name: "A viewer deletes instances", as: "a viewer", method: http.MethodDelete, path: instances, code: forbidden, says: "deletecollection"},
		{name: "A viewer changes an instance in a dry run", as: "a viewer", method: http.MethodPatch, path: instances + "/web?dryRun=All", body: `{"metadata":{"labels":{"a":"b"}}}`, code: forbidden},
		{name: "A viewer creates by apply", as: "a viewer", method: http.MethodPatch, path: instances + "/new?fieldManager=x", contentType: "application/apply-patch+yaml", body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"new"},"spec":{"containers":[{"name":"a","image":"a:1"}]}}`, code: forbidden},
		{name: "A reader of one secret gets another", as: "a reader of one secret", path: ourSecrets + "/two", code: forbidden},
		{name: "A reader of one secret lists it by name", as: "a reader of one secret", path: ourSecrets + "?fieldSelector=metadata.name%3Done", code: forbidden},
		{name: "A reader of one secret watches it", as: "a reader of one secret", path: ourSecrets + "?watch=1&fieldSelector=metadata.name%3Done", code: forbidden},
		{name: "A reader of one secret lists all", as: "a reader of one secret", path: ourSecrets, code: forbidden},
		{name: "An editor writes the status of an instance", as: "an editor", method: http.MethodPatch, path: instances + "/web/status", body: `{"status":{"phase":"Running"}}`, code: forbidden},
		{name: "An editor binds an instance", as: "an editor", method: http.MethodPost, path: instances + "/web/binding", body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","target":{"kind":"Host","name":"attack-host"}}`, code: forbidden},
		{name: "A namespace's admin requests the token of an instance", as: "a namespace's admin", method: http.MethodPost, path: instances + "/web/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, code: forbidden},
		{name: "An editor creates a host", as: "an editor", method: http.MethodPost, path: hosts, body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"evil"}}`, code: forbidden},
		{name: "A namespace's admin finalizes the namespace", as: "a namespace's admin", method: http.MethodPut, path: core + "/namespaces/" + ours + "/finalize", body: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + ours + `"}}`, code: forbidden},
		{name: "A namespace's admin deletes another namespace", as: "a namespace's admin", method: http.MethodDelete, path: core + "/namespaces/" + theirs, code: forbidden},
		{name: "A namespace's admin raises the quota", as: "a namespace's admin", method: http.MethodPost, path: core + "/namespaces/" + ours + "/resourcequotas", body: `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"q"},"spec":{"hard":{"count/instances.fleet.gatehouse.dev":"1k"}}}`, code: forbidden},
		{name: "An editor requests a token in another namespace", as: "an editor", method: http.MethodPost, path: core + "/namespaces/" + theirs + "/serviceaccounts/default/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, code: forbidden},
		{name: "A stranger reviews the access of others", as: "a stranger", method: http.MethodPost, path: "/apis/authorization.k8s.io/v1/subjectaccessreviews", body: `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"x","nonResourceAttributes":{"path":"/","verb":"get"}}}`, code: forbidden},
		{name: "A stranger reviews a token", as: "a stranger", method: http.MethodPost, path: "/apis/authentication.k8s.io/v1/tokenreviews", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}`, code: forbidden},
	}
}

func escalations() []attack {
	const forbidden = http.StatusForbidden
	inOurs := rbac + "/namespaces/" + ours
	role := func(kind, name, rest string) string {
		return fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":%q,"metadata":{"name":%q},%s}`, kind, name, rest)
	}
	const hostsRule = `"rules":[{"apiGroups":["fleet.gatehouse.dev"],"resources":["hosts"],"verbs":["*"]}]`
	const everything = `"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]`
	toAdmin := func(user string) string {
		return fmt.Sprintf(`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]`, user)
	}
	const apply = "application/apply-patch+yaml"
	const a, w = "a namespace's admin", "a writer of roles"
	return []attack{
		{name: "An editor creates a role", as: "an editor", method: http.MethodPost, path: inOurs + "/roles", body: role("Role", "evil", hostsRule), code: forbidden},
		{name: "A namespace's admin creates a role beyond their own", as: a, method: http.MethodPost, path: inOurs + "/roles", body: role("Role", "evil", hostsRule), code: forbidden, says: "attempting to grant RBAC permissions not currently held"},
		{name: "A namespace's admin creates a role for everything", as: a, method: http.MethodPost, path: inOurs + "/roles", body: role("Role", "evil", everything), code: forbidden},
		{name: "A namespace's admin creates such a role by apply", as: a, method: http.MethodPatch, path: inOurs + "/roles/evil?fieldManager=x", contentType: apply, body: role("Role", "evil", everything), code: forbidden},
		{name: "A namespace's admin creates such a role in a dry run", as: a, method: http.MethodPost, path: inOurs + "/roles?dryRun=All", body: role("Role", "evil", everything), code: forbidden},
		{name: "A namespace's admin adds rules by a merge patch", as: a, method: http.MethodPatch, path: inOurs + "/roles/attack-one-secret", body: `{` + everything + `}`, code: forbidden},
		{name: "A namespace's admin adds a rule by a JSON patch", as: a, method: http.MethodPatch, path: inOurs + "/roles/attack-one-secret", contentType: "application/json-patch+json", body: `[{"op":"add","path":"/rules/-","value":{"apiGroups":["fleet.gatehouse.dev"],"resources":["instances/binding"],"verbs":["create"]}}]`, code: forbidden},
		{name: "A namespace's admin widens a rule by a strategic merge patch", as: a, method: http.MethodPatch, path: inOurs + "/roles/attack-one-secret", contentType: "application/strategic-merge-patch+json", body: `{` + hostsRule + `}`, code: forbidden},
		{name: "A namespace's admin binds themselves to the cluster's administrators", as: a, method: http.MethodPost, path: inOurs + "/rolebindings", body: role("RoleBinding", "evil", toAdmin("attack-admin")), code: forbidden},
		{name: "A namespace's admin binds by apply", as: a, method: http.MethodPatch, path: inOurs + "/rolebindings/evil?fieldManager=x", contentType: apply, body: role("RoleBinding", "evil", toAdmin("attack-admin")), code: forbidden},
		{name: "A namespace's admin exchanges the role of a binding", as: a, method: http.MethodPatch, path: inOurs + "/rolebindings/attack-admin-admin", body: `{"roleRef":{"name":"cluster-admin"}}`, code: forbidden},
		{name: "A namespace's admin exchanges the role of a binding by a JSON patch", as: a, method: http.MethodPatch, path: inOurs + "/rolebindings/attack-viewer-view", contentType: "application/json-patch+json", body: `[{"op":"replace","path":"/roleRef/name","value":"cluster-admin"}]`, code: forbidden},
		{name: "A namespace's admin exchanges the role of a binding for a lesser one", as: a, method: http.MethodPatch, path: inOurs + "/rolebindings/attack-admin-admin", body: `{"roleRef":{"name":"view"}}`, code: http.StatusUnprocessableEntity, says: "cannot change roleRef"},
		{name: "A writer of roles labels a role for another to gather", as: w, method: http.MethodPatch, path: rbac + "/clusterroles/cluster-admin", body: `{"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}}}`, code: forbidden},
		{name: "A namespace's admin binds in another namespace", as: a, method: http.MethodPost, path: rbac + "/namespaces/" + theirs + "/rolebindings", body: role("RoleBinding", "evil", toAdmin("attack-admin")), code: forbidden},
		{name: "A namespace's admin creates a cluster role", as: a, method: http.MethodPost, path: rbac + "/clusterroles", body: role("ClusterRole", "evil", everything), code: forbidden},
		{name: "A namespace's admin binds in the cluster", as: a, method: http.MethodPost, path: rbac + "/clusterrolebindings", body: role("ClusterRoleBinding", "evil", toAdmin("attack-admin")), code: forbidden},
		{name: "A writer of roles grants everything", as: w, method: http.MethodPost, path: rbac + "/clusterroles", body: role("ClusterRole", "evil", everything), code: forbidden},
		{name: "A writer of roles grants a path", as: w, method: http.MethodPost, path: rbac + "/clusterroles", body: role("ClusterRole", "evil", `"rules":[{"nonResourceURLs":["*"],"verbs":["get"]}]`), code: forbidden},
		{name: "A writer of roles grants the right to escalate", as: w, method: http.MethodPost, path: rbac + "/clusterroles", body: role("ClusterRole", "evil", `"rules":[{"apiGroups":["rbac.authorization.k8s.io"],"resources":["clusterroles"],"verbs":["escalate","bind"]}]`), code: forbidden},
		{name: "A writer of roles adds to their own role", as: w, method: http.MethodPatch, path: rbac + "/clusterroles/attack-rbac", body: `{` + everything + `}`, code: forbidden},
		{name: "A writer of roles adds to a bootstrap role", as: w, method: http.MethodPatch, path: rbac + "/clusterroles/system:basic-user", body: `{` + everything + `}`, code: forbidden},
		{name: "A writer of roles binds themselves to the administrators", as: w, method: http.MethodPost, path: rbac + "/clusterrolebindings", body: role("ClusterRoleBinding", "evil", toAdmin("attack-writer")), code: forbidden},
		{name: "A writer of roles adds themselves to the administrators", as: w, method: http.MethodPatch, path: rbac + "/clusterrolebindings/cluster-admin", body: `{"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"attack-writer"}]}`, code: forbidden},
		{name: "A writer of roles binds to a role that does not exist yet", as: w, method: http.MethodPost, path: rbac + "/clusterrolebindings", body: role("ClusterRoleBinding", "evil", `"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"to-come"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"attack-writer"}]`), code: http.StatusNotFound},
		{name: "A writer of roles creates a role that gathers all others", as: w, method: http.MethodPost, path: rbac + "/clusterroles", body: role("ClusterRole", "evil", `"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"x":"y"}}]}`), code: forbidden, says: "aggregationRule"},
		{name: "A writer of roles has a role gather more", as: w, method: http.MethodPatch, path: rbac + "/clusterroles/attack-rbac", body: `{"aggregationRule":{"clusterRoleSelectors":[{}]}}`, code: forbidden},
		{name: "A writer of roles has rules gathered that they do not hold", as: w, method: http.MethodPost, path: rbac + "/clusterroles", body: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"evil","labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}},` + everything + `}`, code: forbidden},
	}
}

func impersonations() []attack {
	const forbidden = http.StatusForbidden
	path := core + "/secrets"
	as := func(name, value string, more ...string) map[string][]string {
		headers := map[string][]string{name: {value}}
		for i := 0; i+1 < len(more); i += 2 {
			headers[more[i]] = append(headers[more[i]], more[i+1])
		}
		return headers
	}
	rows := []attack{
		{name: "An impersonator impersonates another user than permitted", headers: as("Impersonate-User", "attack-admin"), code: forbidden, says: "impersonate"},
		{name: "An impersonator impersonates a permitted user without rights", headers: as("Impersonate-User", "attack-viewer"), code: forbidden, says: "attack-viewer"},
		{name: "An impersonator adds a group", headers: as("Impersonate-User", "attack-viewer", "Impersonate-Group", "system:masters"), code: forbidden},
		{name: "An impersonator adds many groups", headers: as("Impersonate-User", "attack-viewer", "Impersonate-Group", "a", "Impersonate-Group", "b", "Impersonate-Group", "system:masters"), code: forbidden},
		{name: "An impersonator adds a UID", headers: as("Impersonate-User", "attack-viewer", "Impersonate-Uid", "1"), code: forbidden},
		{name: "An impersonator adds extra attributes", headers: as("Impersonate-User", "attack-viewer", "Impersonate-Extra-Scopes", "all"), code: forbidden},
		{name: "An impersonator acts as a service account", headers: as("Impersonate-User", "system:serviceaccount:kube-system:default"), code: forbidden},
		{name: "An impersonator acts as a host", headers: as("Impersonate-User", "system:host:attack-host", "Impersonate-Group", "system:hosts"), code: forbidden},
		{name: "An impersonator acts as a controller", headers: as("Impersonate-User", "system:controller:namespace-controller"), code: forbidden},
		{name: "An impersonator names a group and no user", headers: as("Impersonate-Group", "system:masters"), code: http.StatusBadRequest, says: "without impersonating a user"},
		{name: "An impersonator names two users", headers: as("Impersonate-User", "attack-viewer", "Impersonate-User", "admin"), code: forbidden},
	}
	for i := range rows {
		rows[i].as = "an impersonator"
		rows[i].path = path
	}
	return append(rows,
		attack{name: "An editor acts as the administrator", as: "an editor", path: path, headers: as("Impersonate-User", "gatehouse-admin", "Impersonate-Group", "system:masters"), code: forbidden},
		attack{name: "An anonymous caller acts as the administrator", path: path, headers: as("Impersonate-User", "gatehouse-admin"), code: http.StatusUnauthorized},
	)
}

// credentials returns rows of callers without valid credentials.
func credentials(env Env) []attack {
	path := core + "/secrets"
	rows := []attack{
		{name: "An anonymous caller lists secrets", path: path},
		{name: "An anonymous caller discovers", path: "/apis"},
		{name: "An anonymous caller reads one health check", path: "/readyz/etcd"},
		{name: "An anonymous caller forges the front proxy's headers", path: path, headers: map[string][]string{"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}}},
		{name: "An anonymous caller sends an empty token", path: path, headers: map[string][]string{"Authorization": {"Bearer "}}},
		{name: "An anonymous caller sends a password", path: path, headers: map[string][]string{"Authorization": {"Basic YWRtaW46YWRtaW4="}}},
		{name: "An anonymous caller sends a token in the URL", path: path + "?access_token=admin"},
	}
	for name := range env.Tokens {
		rows = append(rows, attack{name: "A caller shows " + name, as: name, path: path})
	}
	for i := range rows {
		rows[i].code, rows[i].says = http.StatusUnauthorized, "Unauthorized"
	}
	return append(rows,
		attack{name: "A stranger forges the front proxy's headers", as: "a stranger", path: path, headers: map[string][]string{"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}}, code: http.StatusForbidden, says: "attack-stranger"},
		attack{name: "A stranger lists a thousand groups that they are not in", as: "a stranger", path: path, headers: map[string][]string{"X-Remote-Group": manyGroups()}, code: http.StatusForbidden, says: "attack-stranger"},
	)
}
