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

package traces

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// mark is in every secret that the test plants.
const mark = "Plant7Z"

// plant returns a unique secret.
func plant(kind string, number int) string { return fmt.Sprintf("%s%s%06d", mark, kind, number) }

// marks are what mark looks like in texts: as it is, and encoded in base64 at each position of three.
func marks() []string {
	all := []string{mark}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + mark + "xx"))
		begin := []int{0, 2, 3}[shift]
		all = append(all, encoded[begin:begin+len(mark)*4/3-2])
	}
	return all
}

// found returns the neighbourhood of the first secret in a text.
func found(text string, secrets ...string) string {
	for _, secret := range append(marks(), secrets...) {
		if at := strings.Index(text, secret); at >= 0 {
			return text[max(0, at-300):min(len(text), at+len(secret)+60)]
		}
	}
	return ""
}

// webhookReview is the part of an AdmissionReview that the webhooks read.
type webhookReview struct {
	Request struct {
		UID    string
		Object struct {
			Metadata struct {
				Name        string
				Annotations map[string]string
			}
		}
	}
}

// indiscreet serves webhooks that quote what they get: of tokens, of authorization and of admission.
func indiscreet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/tokens":
		var review authenticationv1.TokenReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		number, valid := strings.CutPrefix(review.Spec.Token, mark+"valid")
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: valid, User: authenticationv1.UserInfo{Username: "bearer", Extra: map[string]authenticationv1.ExtraValue{"example.com/x": {plant("extra", 1)}}}}
		if !valid {
			review.Status = authenticationv1.TokenReviewStatus{Error: "no such token " + review.Spec.Token + " " + plant("why", 0)}
		} else if strings.HasSuffix(number, "7") {
			http.Error(w, "broken "+plant("body", 0), http.StatusInternalServerError)
			return
		}
		review.Spec.Token = ""
		_ = json.NewEncoder(w).Encode(&review)
	case "/access":
		var review authorizationv1.SubjectAccessReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		a := review.Spec.ResourceAttributes
		review.Status = authorizationv1.SubjectAccessReviewStatus{
			Denied: a != nil && a.Resource == "events", Allowed: a != nil && a.Resource == "leases", Reason: "because of " + plant("reason", 0), EvaluationError: plant("evaluation", 0),
		}
		_ = json.NewEncoder(w).Encode(&review)
	default:
		admit(w, r)
	}
}

// admit denies, fails and patches, by the number in the object's name.
func admit(w http.ResponseWriter, r *http.Request) {
	var got webhookReview
	_ = json.NewDecoder(r.Body).Decode(&got)
	name := got.Request.Object.Metadata.Name
	number, _ := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	response := map[string]any{"uid": got.Request.UID, "allowed": true, "warnings": []string{"mind " + plant("warning", number)}}
	patch := func(path string) {
		text, _ := json.Marshal([]map[string]any{{"op": "add", "path": path, "value": plant("patch", number)}})
		response["patch"], response["patchType"] = text, "JSONPatch"
	}
	response["auditAnnotations"] = map[string]string{"said": plant("audit", number)}
	switch number % 8 {
	case 0:
		response["allowed"], response["status"] = false, map[string]any{"message": "not with " + plant("message", number) + " and " + got.Request.Object.Metadata.Annotations["example.com/secret"]}
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "broken by "+plant("failure", number))
		return
	case 2:
		fmt.Fprint(w, `{"kind": "`+plant("kind", number)+`", "response": `+plant("garbage", number))
		return
	case 3:
		if r.URL.Path == "/mutate" {
			response["patch"], response["patchType"] = []byte(`[{"op":"test","path":"/metadata/name","value":"`+plant("patch", number)+`"}]`), "JSONPatch"
		}
	case 4:
		if r.URL.Path == "/mutate" {
			patch("/metadata/annotations/patched")
		}
	case 5:
		if r.URL.Path == "/mutate" {
			patch("/metadata/generateName") // invalid
		}
	case 6:
		http.Redirect(w, r, "https://127.0.0.1:1/x?token="+plant("redirect", number), http.StatusFound)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

// webhookFlags starts the webhooks and returns the flags of a server that calls them, and the address with its authority.
func webhookFlags(t *testing.T) (flags []string, url, authority string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(indiscreet))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		check(t, os.WriteFile(file, []byte(content), 0o600))
		return file
	}
	at := func(path string) string {
		return strings.Replace(kit.ServiceKubeconfig(server), server.URL, server.URL+path, 1)
	}
	access := write("access.kubeconfig", at("/access"))
	authority = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return []string{
		"-v=4", "--request-traces-kept=16384",
		"--authentication-token-webhook-config-file=" + write("tokens.kubeconfig", at("/tokens")),
		"--authorization-config=" + write("authorization.yaml", fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: reviewer
  webhook:
    timeout: 10s
    authorizedTTL: 1s
    unauthorizedTTL: 1s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    matchConditions:
    - expression: "!request.user.startsWith('system:')"
    failurePolicy: NoOpinion
    connectionInfo:
      type: KubeConfigFile
      kubeConfigFile: %q
- type: RBAC
  name: rbac
`, access)),
	}, server.URL, authority
}

// indiscreetAdmission stores webhooks and a policy that quote objects with the label hook, and the role of carol.
func indiscreetAdmission(t *testing.T, admin harness.RawClient, url, authority string) {
	t.Helper()
	const registration = "/apis/admissionregistration.k8s.io/v1/"
	for _, kind := range []string{"mutate", "validate"} {
		resource := map[string]string{"mutate": "mutatingwebhookconfigurations", "validate": "validatingwebhookconfigurations"}[kind]
		must(t, admin, registration+resource, fmt.Sprintf(`{"metadata":{"name":%q},"webhooks":[{"name":"quotes.example.com","clientConfig":{"url":"%s/%s","caBundle":%q},"sideEffects":"None","admissionReviewVersions":["v1"],
			"objectSelector":{"matchLabels":{"hook":%q}},"rules":[{"operations":["*"],"apiGroups":["*"],"apiVersions":["*"],"resources":["configmaps","secrets","instances"]}]}]}`, kind, url, kind, authority, kind))
	}
	must(t, admin, registration+"validatingadmissionpolicies", `{"metadata":{"name":"quotes"},"spec":{"matchConstraints":{"objectSelector":{"matchLabels":{"hook":"policy"}},"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},
		"validations":[{"expression":"object.metadata.annotations['example.com/secret'] == ''","messageExpression":"'not ' + object.metadata.annotations['example.com/secret']"}],
		"auditAnnotations":[{"key":"secret","valueExpression":"string(object.metadata.annotations['example.com/secret'])"}]}}`)
	must(t, admin, registration+"validatingadmissionpolicybindings", `{"metadata":{"name":"quotes"},"spec":{"policyName":"quotes","validationActions":["Deny","Audit"]}}`)
	const bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	for user, role := range map[string]string{"carol": "gatehouse:diagnostics", "bob": "edit"} {
		must(t, admin, bindings, fmt.Sprintf(`{"metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":%q}]}`, user, role, user))
	}
	must(t, admin, "/api/v1/namespaces/default/limitranges", `{"metadata":{"name":"most"},"spec":{"limits":[{"type":"Container","max":{"cpu":"1"}}]}}`)
	for _, kind := range []string{"mutate", "validate", "policy"} {
		number := 0
		harness.ComesTrue(t, func(context) string {
			number += 8
			answer := admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", hooked("configmaps", kind, fmt.Sprint("probe-", kind), number))
			if answer.Code < http.StatusBadRequest {
				return string(answer.Body)
			}
			return ""
		})
	}
}

// hooked returns an object with secrets that webhooks or a policy see.
func hooked(resource, hook, prefix string, number int) string {
	name := fmt.Sprintf("%s-%d", prefix, number)
	meta := fmt.Sprintf(`"metadata":{"name":%q,"labels":{"hook":%q},"annotations":{"example.com/secret":%q}}`, name, hook, plant("annotation", number))
	switch resource {
	case "secrets":
		return fmt.Sprintf(`{%s,"stringData":{"password":%q},"data":{"key":%q}}`, meta, plant("string", number), base64.StdEncoding.EncodeToString([]byte(plant("data", number))))
	case "instances":
		policy, cpu := "Always", "1"
		switch number % 4 {
		case 0:
			policy = plant("policy", number) // invalid
		case 1:
			cpu = "2"
		}
		return fmt.Sprintf(`{%s,"spec":{"restartPolicy":%q,"containers":[{"name":"c","image":"example.com/a:1","resources":{"limits":{"cpu":%q}},"args":["--password=%s"],"env":[{"name":"PASSWORD","value":%q}]}]}}`, meta, policy, cpu, plant("argument", number), plant("env", number))
	}
	return fmt.Sprintf(`{%s,"data":{"password":%q}}`, meta, plant("data", number))
}
