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
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Costly is a server on which costs of attacks are measured.
type Costly struct {
	Env
	// Builtins is true if the server stores Kubernetes' own kinds and has the role edit.
	Builtins bool
	// Namespace must exist, and the editor must have the role edit in it.
	Namespace string
	// Revoke revokes a host, and Program is the path of the program. Besiege omits the attacks that need
	// them if they are unset.
	Revoke  func(host string)
	Program string
	// Log returns the log of the process; nil if the test cannot read it.
	Log func() string
}

// callers returns the editor and the stranger of Bodies.
func callers() map[string]person {
	return map[string]person{"a stranger": {"attack-stranger", nil}, "an editor": {"attack-costly-editor", nil}}
}

// GrantEdit creates the namespace and grants the editor the role edit in it, on a standalone server.
func GrantEdit(t *testing.T, env Costly) {
	t.Helper()
	admin := newClient(t, env.Admin)
	admin.must(t, http.MethodPost, core+"/namespaces", "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, env.Namespace))
	admin.must(t, http.MethodPost, rbac+"/namespaces/"+env.Namespace+"/rolebindings", "", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"costly"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"attack-costly-editor"},{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"attack-costly-editors"}]}`)
	CreateTarget(t, env)
}

// CreateTarget creates the instance that is the target of patches.
func CreateTarget(t *testing.T, env Costly) {
	t.Helper()
	newClient(t, env.Admin).must(t, http.MethodPost, fleet+"/namespaces/"+env.Namespace+"/instances", "", strings.Replace(instanceWith("", "", ""), `"generateName":"a-"`, `"name":"target"`, 1))
}

// Bodies sends requests each of which once took gigabytes of memory or minutes of processor
// time. It fails the test if a response is not the expected client error, or if a request
// costs more than MaxPeak and MaxCPU.
func Bodies(t *testing.T, env Costly) {
	t.Helper()
	clients := map[string]client{"": newClient(t, rest.AnonymousClientConfig(env.Admin))}
	for name, p := range callers() {
		clients[name] = newClient(t, env.As(p.user, p.groups...))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	clients["an editor"].awaitCode(ctx, t, attack{path: fleet + "/namespaces/" + env.Namespace + "/instances"}, http.StatusOK)
	env.Costs = &Costs{}
	defer env.Costs.Log(t)
	for _, row := range bodyRows(env) {
		name := row.name
		if row.as == "an editor" && strings.HasPrefix(name, "A YAML") {
			name += ", as an instance"
		}
		t.Run(name, func(t *testing.T) {
			var code int
			var body string
			env.Measured(t, name, oneRequest, func() string {
				code, body = clients[row.as].send(t, row)
				return strconv.Itoa(code)
			})
			if code != row.code {
				t.Errorf("answered with code %d, not %d: %.500s", code, row.code, body)
			}
			if !strings.Contains(body, row.says) {
				t.Errorf("answered %.500q, which does not contain %q", body, row.says)
			}
			if len(body) > longestAnswer {
				t.Errorf("the answer has %d bytes, more than %d", len(body), longestAnswer)
			}
		})
	}
	if env.Log != nil {
		t.Run("400 kB in a token header are not written to the log", func(t *testing.T) { longTokens(t, env) })
	}
}

func bodyRows(env Costly) []attack {
	rows := objectBodies(env.Namespace)
	if env.Builtins {
		rows = slices.Concat(yamlBodies("a stranger", selfReviews, "apiVersion: authorization.k8s.io/v1\nkind: SelfSubjectAccessReview\n"), reviews(), builtinBodies(env.Namespace), rows)
	}
	return append(rows, yamlBodies("an editor", fleet+"/namespaces/"+env.Namespace+"/instances", "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Instance\n")...)
}

// longestAnswer is the maximum size in bytes of a response to a refused request: the server truncates
// lists of errors.
const longestAnswer = 512 << 10

// longTokens sends requests that need no credentials.
func longTokens(t *testing.T, env Costly) {
	t.Helper()
	before := len(env.Log())
	c := newClient(t, rest.AnonymousClientConfig(env.Admin))
	env.measuredUnits(t, "Tokens of 400 kB", "20 requests", 4, func() string {
		for i := range 20 {
			encode := base64.RawURLEncoding.EncodeToString
			token := encode(fmt.Appendf(nil, `{"alg":"%d%s"}`, i, strings.Repeat("x", 400<<10))) + "." + encode([]byte(`{"iss":"https://gatehouse"}`)) + "." + encode([]byte("x"))
			code, body := c.send(t, attack{path: "/api", headers: map[string][]string{"Authorization": {"Bearer " + token}}})
			if code != http.StatusUnauthorized {
				t.Errorf("answered with code %d, not 401: %.500s", code, body)
			}
		}
		return "401"
	})
	if grown := len(env.Log()) - before; grown > 64<<10 {
		t.Errorf("20 requests without credentials wrote %d bytes to the log", grown)
	}
}

// builtinBodies returns rows about Kubernetes' own kinds.
func builtinBodies(ns string) []attack {
	const invalid = http.StatusUnprocessableEntity
	post := func(name, path, body string, code int, says string) attack {
		return attack{name: name, as: "an editor", method: http.MethodPost, path: path, body: body, code: code, says: says}
	}
	configMaps := core + "/namespaces/" + ns + "/configmaps"
	configMap := func(metadata, data string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"a-"` + metadata + `},"data":{` + data + `}}`
	}
	tokens := core + "/namespaces/" + ns + "/serviceaccounts/default/token"
	token := func(audiences string) string {
		return `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":[` + audiences + `]}}`
	}
	return []attack{
		post("A config map has 100,000 labels", configMaps, configMap(`,"labels":{`+numbered(100000, `"k%d":"v"`)+`}`, ""), http.StatusBadRequest, "values"),
		post("A config map has 19,000 labels", configMaps, configMap(`,"labels":{`+numbered(19000, `"k%d":"v"`)+`}`, ""), invalid, "metadata.labels: Too many"),
		post("A config map has 5,000 invalid labels", configMaps, configMap(`,"labels":{`+numbered(5000, `"a b%d":"c d"`)+`}`, ""), invalid, "metadata.labels: Too many"),
		post("A config map has 19,000 annotations", configMaps, configMap(`,"annotations":{`+numbered(19000, `"k%d":"v"`)+`}`, ""), invalid, "metadata.annotations: Too many"),
		post("A config map has 3,000 owners", configMaps, configMap(`,"ownerReferences":[`+numbered(3000, `{"apiVersion":"v1","kind":"ConfigMap","name":"a%d","uid":"u"}`)+`]`, ""), http.StatusBadRequest, "metadata.ownerReferences"),
		post("A config map has 900 owners", configMaps, configMap(`,"ownerReferences":[`+numbered(900, `{"apiVersion":"v1","kind":"ConfigMap","name":"a%d","uid":"u"}`)+`]`, ""), invalid, "metadata.ownerReferences: Too many"),
		post("A config map has 19,000 finalizers", configMaps, configMap(`,"finalizers":[`+numbered(19000, `"example.com/a%d"`)+`]`, ""), invalid, "metadata.finalizers: Too many"),
		post("A config map has 10,000 invalid keys", configMaps, configMap("", numbered(10000, `"a b%d":"c"`)), invalid, "and 9900 more"),
		post("A config map has one key of 1 MB", configMaps, configMap("", `"`+strings.Repeat("a b", 1<<18)+`":"c"`), invalid, "data["),
		post("A token request has 400 kB of audiences", tokens, token(numbered(4000, `"https://`+strings.Repeat("a", 90)+`%d"`)), invalid, "spec.audiences: Too many"),
		post("A token request has one audience of 400 kB", tokens, token(`"`+strings.Repeat("a", 400<<10)+`"`), invalid, "spec.audiences[0]: Too long"),
	}
}

// objectBodies returns rows about the fleet's kinds.
func objectBodies(ns string) []attack {
	const invalid = http.StatusUnprocessableEntity
	post := func(name, resource, body string, code int, says string) attack {
		return attack{name: name, as: "an editor", method: http.MethodPost, path: fleet + "/namespaces/" + ns + "/" + resource, body: body, code: code, says: says}
	}
	app := func(metadata, container string) string {
		return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"generateName":"a-"},"spec":{"replicas":600,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}` + metadata + `},"spec":{"containers":[{"name":"a","image":"a:1"` + container + `}]}}}}`
	}
	env := `,"env":[` + numbered(40, `{"name":"a%d","value":"`+strings.Repeat("x", 30<<10)+`"}`) + `]`
	resources := func(count int) string {
		names := numbered(count, `"example.com/r%d":"1"`)
		return `,"resources":{"limits":{` + names + `},"requests":{` + names + `}}`
	}
	rows := []attack{
		post("An app of 600 replicas has a template of 1.2 MB", "apps", app("", env), invalid, "spec.template: Too long"),
		post("A template has 19,000 labels", "apps", app(`,"labels":{"a":"b",`+numbered(19000, `"k%d":"v"`)+`}`, ""), invalid, "spec.template.metadata.labels: Too many"),
		post("An instance has 100,000 labels", "instances", instanceWith(`,"labels":{`+numbered(100000, `"k%d":"v"`)+`}`, "", ""), http.StatusBadRequest, "values"),
		post("An instance has 19,000 labels", "instances", instanceWith(`,"labels":{`+numbered(19000, `"k%d":"v"`)+`}`, "", ""), invalid, "metadata.labels: Too many"),
		post("An instance has 5,000 invalid labels", "instances", instanceWith(`,"labels":{`+numbered(5000, `"a b%d":"c d"`)+`}`, "", ""), invalid, "metadata.labels: Too many"),
		post("An instance asks for 40,000 resources", "instances", instanceWith("", "", resources(40000)), http.StatusBadRequest, "values"),
		post("An instance asks for 9,000 resources", "instances", instanceWith("", "", resources(9000)), invalid, "spec.containers[0].resources.requests: Too many"),
		post("A host selector has 10,000 labels", "instances", instanceWith("", `"hostSelector":{`+numbered(10000, `"k%d":"v"`)+`},`, ""), invalid, "spec.hostSelector: Too many"),
		post("An instance has a million empty containers", "instances", instanceWith("", `"containers":[`+repeated(1000000, "{}")+`],`, ""), http.StatusBadRequest, "values"),
		post("An instance is nested 9,000 deep in a field that is not known", "instances", strings.Repeat(`{"a":`, 9000)+"1"+strings.Repeat("}", 9000), http.StatusBadRequest, "nested"),
		post("An instance has 19,000 fields that are not known", "instances", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance",`+numbered(19000, `"a%d":1`)+`}`, invalid, "spec.containers"),
	}
	strict := post("A YAML body has the same key 9,000 times, and is checked strictly", "instances?fieldValidation=Strict", "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Instance\n"+strings.Repeat("a: b\n", 9000), http.StatusBadRequest, "")
	strict.contentType = "application/yaml"
	rows = append(rows, strict,
		post("A JSON body has the same key 19,000 times, and is checked strictly", "instances?fieldValidation=Strict", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance",`+repeated(19000, `"a":1`)+`}`, http.StatusBadRequest, "unknown field"),
		post("A number has 500,000 digits", "instances", instanceWith("", `"terminationGracePeriodSeconds":`+strings.Repeat("9", 500000)+`,`, ""), http.StatusBadRequest, ""),
		post("An amount has 500,000 digits", "instances", instanceWith("", "", `,"resources":{"limits":{"cpu":"`+strings.Repeat("9", 500000)+`"}}`), http.StatusBadRequest, "digits"),
		post("An amount is tiny", "instances", instanceWith("", "", `,"resources":{"limits":{"cpu":"1e-99999999"}}`), http.StatusBadRequest, "exponent"),
		attack{name: "A list has a label selector of 300 kB", as: "an editor", path: fleet + "/namespaces/" + ns + "/instances?labelSelector=" + numbered(30000, "a%d"), code: http.StatusOK},
	)
	// 0a 00 is an empty container: two bytes in the body, 300 in memory.
	spec := append([]byte{0x12}, appendVarint(nil, 2*1000000)...)
	raw := append(spec, bytes.Repeat([]byte{0x0a, 0x00}, 1000000)...)
	protobuf := post("A protobuf body is a million empty containers", "instances", protobufOf("fleet.gatehouse.dev/v1alpha1", "Instance", raw), http.StatusBadRequest, "values")
	protobuf.contentType = "application/vnd.kubernetes.protobuf"
	return append(append(rows, protobuf), patches(ns)...)
}

// patches returns patches of an instance that need not exist.
func patches(ns string) []attack {
	row := func(name, contentType, body string, code int, says string) attack {
		path := fleet + "/namespaces/" + ns + "/instances/target"
		if strings.Contains(contentType, "apply") {
			path = fleet + "/namespaces/" + ns + "/instances/applied?fieldManager=attack"
		}
		return attack{name: name, as: "an editor", method: http.MethodPatch, path: path, contentType: contentType, body: body, code: code, says: says}
	}
	const (
		jsonPatch, mergePatch, apply = "application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"
		invalid                      = http.StatusUnprocessableEntity
	)
	head := `"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"`
	large := `{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", 200<<10) + `"}}`
	return []attack{
		row("A JSON patch copies a large value again and again", jsonPatch, "["+large+","+numbered(900, `{"op":"copy","from":"/metadata/annotations","path":"/metadata/labels/a%d"}`)+"]", http.StatusUnprocessableEntity, ""),
		row("A JSON patch tests a large value again and again", jsonPatch, "["+large+","+repeated(900, `{"op":"test","path":"/metadata/annotations","value":{"a":"`+strings.Repeat("x", 200)+`"}}`)+"]", invalid, ""),
		row("A JSON patch has 5,000 operations", jsonPatch, "["+repeated(5000, `{"op":"test","path":"/metadata/name","value":"target"}`)+"]", http.StatusRequestEntityTooLarge, "a list of more than 1000"),
		row("A JSON patch has a million operations", jsonPatch, "["+repeated(1000000, `{}`)+"]", http.StatusRequestEntityTooLarge, "a list of more than 1000"),
		row("A JSON patch adds 3,000 owners", jsonPatch, `[{"op":"add","path":"/metadata/ownerReferences","value":[`+numbered(3000, `{"apiVersion":"v1","kind":"ConfigMap","name":"a%d","uid":"u"}`)+`]}]`, http.StatusRequestEntityTooLarge, "a list of more than 1000"),
		row("A merge patch adds 1,500 owners", mergePatch, `{"metadata":{"ownerReferences":[`+numbered(1500, `{"apiVersion":"v1","kind":"ConfigMap","name":"a%d","uid":"u"}`)+`]}}`, invalid, "metadata.ownerReferences"),
		row("A strategic merge patch adds 9,000 variables", "application/strategic-merge-patch+json", `{"spec":{"containers":[{"name":"a","env":[`+numbered(9000, `{"name":"a%d"}`)+`]}]}}`, http.StatusRequestEntityTooLarge, "a list of more than 1000"),
		row("A merge patch adds 19,000 labels", mergePatch, `{"metadata":{"labels":{`+numbered(19000, `"k%d":"v"`)+`}}}`, invalid, "metadata.labels: Too many"),
		row("A merge patch has a tiny amount behind an escape", mergePatch, `{"spec":{"containers":[{"name":"a","image":"a:1","resources":{"limits":{"cpu":"\u0031e-99999999"}}}]}}`, http.StatusBadRequest, "exponent"),
		row("A merge patch is nested deeply", mergePatch, strings.Repeat(`{"a":`, 9000)+"1"+strings.Repeat("}", 9000), http.StatusBadRequest, "nested"),
		row("An apply adds 19,000 labels", apply, `{`+head+`,"labels":{`+numbered(19000, `"k%d":"v"`)+`}},"spec":{"containers":[{"name":"a","image":"a:1"}]}}`, invalid, "metadata.labels: Too many"),
		row("An apply names one long string 15,000 times", apply, aliases("apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Instance\n", 50<<10, 15000), http.StatusBadRequest, "aliases"),
		row("An apply is a million values", apply, "{"+head+`},"spec":{"containers":[`+repeated(1000000, "{}")+"]}}", http.StatusBadRequest, "values"),
	}
}
