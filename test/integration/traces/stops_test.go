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
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const (
	tracesPath = "/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces"
	mapsPath   = "/api/v1/namespaces/default/configmaps"
	secret     = "correct-horse-battery"
)

// lead matches the end of a refusal.
var lead = regexp.MustCompile(`why: kubectl gatehouse why ([0-9a-f]{8})\)$`)

// list returns the traces that a client may read.
func list(t *testing.T, client harness.RawClient, query string) []v1alpha1.RequestTrace {
	t.Helper()
	var all v1alpha1.RequestTraceList
	answer := client.Do(t, http.MethodGet, tracesPath+query, "", "", "")
	if answer.Code != http.StatusOK {
		t.Fatalf("listing traces: %s", answer.Body)
	}
	answer.Into(t, &all)
	return all.Items
}

// traceOf returns the trace that a refusal names.
func traceOf(t *testing.T, admin harness.RawClient, answer harness.RawAnswer) v1alpha1.RequestTrace {
	t.Helper()
	if answer.Status == nil {
		t.Fatalf("no status: %d %s", answer.Code, answer.Body)
	}
	found := lead.FindStringSubmatch(answer.Status.Message)
	if found == nil {
		t.Fatalf("the message does not lead on: %q", answer.Status.Message)
	}
	for _, trace := range list(t, admin, "") {
		if strings.HasPrefix(trace.Name, found[1]) && trace.Name == answer.Header.Get("Audit-Id") {
			return trace
		}
	}
	t.Fatalf("no trace begins with %s", found[1])
	return v1alpha1.RequestTrace{}
}

// webhook is a server of a webhook that denies and quotes the object that it got.
func webhook(t *testing.T) (url, caBundle string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Request struct{ UID string } }
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &review); err != nil {
			t.Error(err)
		}
		text, _ := json.Marshal("not " + secret)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":%q,"allowed":false,"status":{"message":%s}}}`, review.Request.UID, text)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL + "/review", base64.StdEncoding.EncodeToString(ca)
}

// must writes an object.
func must(t *testing.T, client harness.RawClient, path, body string) {
	t.Helper()
	if answer := client.Do(t, http.MethodPost, path, harness.JSONBody, "", body); answer.Code != http.StatusCreated {
		t.Fatalf("%s: %s", path, answer.Body)
	}
}

func createMap(name, value string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"data":{"password":%q}}`, name, value)
}

// stopOf returns the entry of the gate that decided.
func stopOf(trace v1alpha1.RequestTrace) v1alpha1.TraceStop {
	for _, stop := range trace.Stops {
		if stop.Stop == trace.DecidedBy.Stop && stop.By == trace.DecidedBy.By {
			return stop
		}
	}
	return v1alpha1.TraceStop{}
}

func TestEachGateThatRefusesIsNamed(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	bob := harness.NewRawClient(t, harness.IssueClient(t, server, "bob"))
	nobody := harness.NewRawClient(t, rest.AnonymousClientConfig(server.Config))
	url, ca := webhook(t)
	must(t, admin, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", fmt.Sprintf(`{"metadata":{"name":"hooks"},"webhooks":[{"name":"deny.example.com",
		"clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"None","admissionReviewVersions":["v1"],"objectSelector":{"matchLabels":{"hook":"yes"}},
		"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]}]}`, url, ca))
	must(t, admin, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", `{"metadata":{"name":"no-bad"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},
		"validations":[{"expression":"object.metadata.name != 'bad'","messageExpression":"'not ' + object.data.password"}]}}`)
	must(t, admin, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", `{"metadata":{"name":"everywhere"},"spec":{"policyName":"no-bad","validationActions":["Deny"]}}`)
	must(t, admin, "/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"few"},"spec":{"hard":{"services":"0","secrets":"0"}}}`)
	must(t, admin, mapsPath, createMap("there", "x"))
	hooked := strings.Replace(createMap("hooked", "x"), `"name"`, `"labels":{"hook":"yes"},"name"`, 1)
	for _, row := range []struct {
		name               string
		client             harness.RawClient
		method, path, body string
		code               int32
		stop               v1alpha1.TraceStopName
		by                 string
	}{
		{"no credentials", nobody, http.MethodGet, mapsPath, "", 401, v1alpha1.StopAuthentication, ""},
		{"no role", bob, http.MethodGet, mapsPath, "", 403, v1alpha1.StopAuthorization, "rbac"},
		{"no namespace", admin, http.MethodPost, "/api/v1/namespaces/nowhere/configmaps", createMap("a", "x"), 404, v1alpha1.StopMutatingAdmission, "NamespaceLifecycle"},
		{"an invalid object", admin, http.MethodPost, mapsPath, createMap("NOT VALID", secret), 422, v1alpha1.StopValidation, ""},
		{"a policy", admin, http.MethodPost, mapsPath, createMap("bad", secret), 422, v1alpha1.StopValidatingAdmission, "no-bad/everywhere"},
		{"a webhook", admin, http.MethodPost, mapsPath, hooked, 400, v1alpha1.StopValidatingAdmission, "hooks/deny.example.com"},
		{"a quota", admin, http.MethodPost, "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"s"},"stringData":{"a":"` + secret + `"}}`, 403, v1alpha1.StopValidatingAdmission, "ResourceQuota"},
		{"a conflict", admin, http.MethodPut, mapsPath + "/there", `{"metadata":{"name":"there","resourceVersion":"1"}}`, 409, v1alpha1.StopStorage, ""},
		{"a body that cannot be read", admin, http.MethodPost, mapsPath, `{"data":` + secret, 400, v1alpha1.StopDecoding, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var answer harness.RawAnswer
			// Webhooks, policies and quotas are in force a moment after they are stored.
			harness.ComesTrue(t, func(ctx context) string {
				answer = row.client.Do(t, row.method, row.path, contentTypeOf(row.body), "", row.body)
				if answer.Code != int(row.code) {
					return fmt.Sprintf("got %d: %s", answer.Code, answer.Body)
				}
				return ""
			})
			trace := traceOf(t, admin, answer)
			if d := trace.DecidedBy; trace.Verdict != v1alpha1.VerdictRefused || trace.Code != row.code || d == nil || d.Stop != row.stop || d.By != row.by {
				t.Errorf("the trace is %s, code %d, by %+v", trace.Verdict, trace.Code, d)
			}
			if stop := stopOf(trace); stop.Verdict != v1alpha1.StopRefused {
				t.Errorf("the gate says %+v of %+v", stop, trace.Stops)
			}
			if text, _ := json.Marshal(trace); strings.Contains(string(text), secret) {
				t.Errorf("the trace has a value of the object: %s", text)
			}
		})
	}
}

func contentTypeOf(body string) string {
	if body == "" {
		return ""
	}
	return harness.JSONBody
}

func TestASuccessHasTheGrantsOfItsRoles(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	bob := harness.NewRawClient(t, harness.IssueClient(t, server, "bob"))
	must(t, admin, "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", `{"metadata":{"name":"bobs"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"bob"}]}`)
	harness.ComesTrue(t, func(context) string {
		if answer := bob.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap("a", secret)); answer.Code != http.StatusCreated {
			return string(answer.Body)
		}
		return ""
	})
	created := list(t, bob, "?fieldSelector=user%3Dbob,verb%3Dcreate,code%3D201,verdict%3DAllowed,resource%3Dconfigmaps,namespace%3Ddefault")
	if len(created) != 1 {
		t.Fatalf("%d traces are selected", len(created))
	}
	trace := created[0]
	var names []string
	for _, stop := range trace.Stops {
		names = append(names, string(stop.Stop)+"/"+stop.By)
		if stop.Stop == v1alpha1.StopAuthorization {
			if g := stop.Grant; g == nil || g.Binding.Name != "bobs" || g.Binding.UID == "" || g.Binding.ResourceVersion == "" || g.Role.Name != "edit" || g.Role.UID == "" || g.Role.ResourceVersion == "" {
				t.Errorf("the grant is %+v", g)
			}
		}
	}
	for _, want := range []string{"Authentication/client-certificate", "Authorization/rbac", "MutatingAdmission/NamespaceLifecycle", "Validation/", "ValidatingAdmission/ResourceQuota", "Storage/"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing of %v", want, names)
		}
	}
	if text, _ := json.Marshal(trace); strings.Contains(string(text), secret) {
		t.Errorf("the trace has a value of the object: %s", text)
	}
}
