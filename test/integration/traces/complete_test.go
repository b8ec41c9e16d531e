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
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const registrationPath = "/apis/admissionregistration.k8s.io/v1/"

// traceBy returns the trace of a response.
func traceBy(t *testing.T, admin harness.RawClient, answer harness.RawAnswer) v1alpha1.RequestTrace {
	t.Helper()
	var trace v1alpha1.RequestTrace
	got := admin.Do(t, http.MethodGet, tracesPath+"/"+answer.Header.Get("Audit-Id"), "", "", "")
	if got.Code != http.StatusOK {
		t.Fatalf("%s", got.Body)
	}
	got.Into(t, &trace)
	if text, _ := json.Marshal(trace); strings.Contains(string(text), secret) {
		t.Errorf("the trace has a value of the object: %s", text)
	}
	return trace
}

// entry returns the entry of a part; the zero value if there is none.
func entry(trace v1alpha1.RequestTrace, by string) v1alpha1.TraceStop {
	for _, stop := range trace.Stops {
		if stop.By == by {
			return stop
		}
	}
	return v1alpha1.TraceStop{}
}

func TestATraceHasWhatIsLeftOfQuotas(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	must(t, admin, "/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"few"},"spec":{"hard":{"count/configmaps":"4","count/leases.coordination.k8s.io":"9"}}}`)
	must(t, admin, "/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"many"},"spec":{"hard":{"configmaps":"100"}}}`)
	must(t, admin, "/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"unrelated"},"spec":{"hard":{"secrets":"100"}}}`)
	// A quota is in force when its controller has written its status, which counts the one of each namespace.
	harness.ComesTrue(t, func(context) string {
		for name, used := range map[string]string{"few/count~1configmaps": "1", "many/configmaps": "1", "unrelated/secrets": "0"} {
			name, resource, _ := strings.Cut(name, "/")
			var quota struct {
				Status struct{ Used map[string]string }
			}
			admin.Do(t, http.MethodGet, "/api/v1/namespaces/default/resourcequotas/"+name, "", "", "").Into(t, &quota)
			if got := quota.Status.Used[strings.ReplaceAll(resource, "~1", "/")]; got != used {
				return fmt.Sprintf("%s of %s is %q", resource, name, got)
			}
		}
		return ""
	})
	var refused harness.RawAnswer
	for i := range 20 {
		refused = admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap(fmt.Sprint("map-", i), secret))
		if refused.Code != http.StatusCreated {
			break
		}
		quotas := entry(traceBy(t, admin, refused), "ResourceQuota").Quotas
		if len(quotas) != 2 {
			t.Fatalf("%s: the quotas are %+v", refused.Body, quotas)
		}
		for j, want := range []string{"few count/configmaps 4", "many configmaps 100"} {
			q := quotas[j]
			if got := fmt.Sprintf("%s %s %s", q.Quota.Name, q.Resources[0].Name, q.Resources[0].Hard); got != want || q.Refused || q.Quota.UID == "" || q.Quota.ResourceVersion == "" || q.Resources[0].Requested != "1" || q.Resources[0].Left == q.Resources[0].Hard {
				t.Errorf("the quota is %+v", q)
			}
		}
	}
	trace := traceOf(t, admin, refused)
	stop := stopOf(trace)
	if trace.Code != http.StatusForbidden || stop.By != "ResourceQuota" || len(stop.Quotas) != 2 || !stop.Quotas[0].Refused || stop.Quotas[1].Refused || stop.Quotas[0].Resources[0].Left != "0" {
		t.Errorf("code %d: %+v", trace.Code, stop)
	}
}

func TestWhatWasNotCalledHasTheCause(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	url, ca := webhook(t)
	hook := func(name, more string) string {
		return fmt.Sprintf(`{"name":%q,"clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"None","admissionReviewVersions":["v1"],%s}`, name, url+"/"+name, ca, more)
	}
	const rules = `"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]`
	for _, kind := range []string{"mutating", "validating"} {
		must(t, admin, registrationPath+kind+"webhookconfigurations", fmt.Sprintf(`{"metadata":{"name":%q},"webhooks":[%s]}`, kind, strings.Join([]string{
			hook("rules.example.com", strings.Replace(rules, "CREATE", "DELETE", 1)),
			hook("namespace.example.com", rules+`,"namespaceSelector":{"matchLabels":{"a":"b"}}`),
			hook("object.example.com", rules+`,"objectSelector":{"matchLabels":{"a":"b"}}`),
			hook("conditions.example.com", rules+`,"matchConditions":[{"name":"not-mine","expression":"object.metadata.name == 'never'"}]`),
		}, ",")))
	}
	must(t, admin, registrationPath+"validatingadmissionpolicies", `{"metadata":{"name":"unbound"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},"validations":[{"expression":"true"}]}}`)
	must(t, admin, registrationPath+"validatingadmissionpolicies", `{"metadata":{"name":"bound"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},"validations":[{"expression":"true"}]}}`)
	must(t, admin, registrationPath+"validatingadmissionpolicybindings", `{"metadata":{"name":"here"},"spec":{"policyName":"bound","validationActions":["Deny"]}}`)
	must(t, admin, registrationPath+"validatingadmissionpolicybindings", `{"metadata":{"name":"elsewhere"},"spec":{"policyName":"bound","validationActions":["Deny"],"matchResources":{"namespaceSelector":{"matchLabels":{"a":"b"}}}}}`)
	var trace v1alpha1.RequestTrace
	number := 0
	harness.ComesTrue(t, func(context) string {
		number++
		answer := admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap(fmt.Sprint("map-", number), secret))
		if answer.Code != http.StatusCreated {
			t.Fatalf("%s", answer.Body)
		}
		trace = traceBy(t, admin, answer)
		for _, row := range []struct {
			by, reason string
			verdict    v1alpha1.StopVerdict
		}{
			{"mutating/rules.example.com", "no rule matches: operations", v1alpha1.StopNotCalled},
			{"mutating/namespace.example.com", "namespaceSelector does not match the labels of the namespace", v1alpha1.StopNotCalled},
			{"mutating/object.example.com", "objectSelector does not match the labels of the object", v1alpha1.StopNotCalled},
			{"mutating/conditions.example.com", "matchConditions: not-mine is false", v1alpha1.StopNotCalled},
			{"validating/conditions.example.com", "matchConditions: not-mine is false", v1alpha1.StopNotCalled},
			{"unbound", "no binding names the policy", v1alpha1.StopNotCalled},
			{"bound/elsewhere", "namespaceSelector does not match the labels of the namespace", v1alpha1.StopNotCalled},
			{"bound/here", "", v1alpha1.StopPassed},
		} {
			if got := entry(trace, row.by); got.Verdict != row.verdict || got.Reason != row.reason || len(got.Objects) == 0 || got.Objects[0].ResourceVersion == "" {
				return fmt.Sprintf("%s: %+v", row.by, got)
			}
		}
		return ""
	})
	// The configurations themselves are exempt.
	answer := admin.Do(t, http.MethodPost, registrationPath+"validatingwebhookconfigurations", harness.JSONBody, "", `{"metadata":{"name":"empty"}}`)
	if got := entry(traceBy(t, admin, answer), "validating/rules.example.com"); got.Verdict != v1alpha1.StopNotCalled || !strings.Contains(got.Reason, "so that a broken one can be repaired") {
		t.Errorf("for a configuration: %+v", got)
	}
}

func TestAConflictNamesTheOtherWriter(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	alice := harness.NewRawClient(t, harness.IssueClient(t, server, "alice", "system:masters"))
	// Times of writes are to the second: with one manager, its last write is known.
	must(t, admin, mapsPath+"?fieldManager=editor", createMap("there", secret))
	var old struct {
		Metadata struct{ ResourceVersion string }
	}
	admin.Do(t, http.MethodGet, mapsPath+"/there", "", "", "").Into(t, &old)
	if answer := alice.Do(t, http.MethodPatch, mapsPath+"/there?fieldManager=editor", "application/merge-patch+json", "", `{"data":{"color":"blue"}}`); answer.Code != http.StatusOK {
		t.Fatalf("%s", answer.Body)
	}
	for _, row := range []struct {
		name, method, path, contentType, body string
	}{
		{"of a stale version", http.MethodPut, "/there", harness.JSONBody, fmt.Sprintf(`{"metadata":{"name":"there","resourceVersion":%q}}`, old.Metadata.ResourceVersion)},
		{"of server-side apply", http.MethodPatch, "/there?fieldManager=applier", "application/apply-patch+yaml", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"there"},"data":{"color":"red"}}`},
		{"of a deletion", http.MethodDelete, "/there", harness.JSONBody, fmt.Sprintf(`{"preconditions":{"resourceVersion":%q}}`, old.Metadata.ResourceVersion)},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := admin.Do(t, row.method, mapsPath+row.path, row.contentType, "", row.body)
			if answer.Code != http.StatusConflict {
				t.Fatalf("%d: %s", answer.Code, answer.Body)
			}
			stop := stopOf(traceOf(t, admin, answer))
			if len(stop.OtherWrites) != 1 {
				t.Fatalf("the stop is %+v", stop)
			}
			if w := stop.OtherWrites[0]; w.Manager != "editor" || w.Username != "alice" || w.Time == nil || w.Operation != "Update" {
				t.Errorf("the write is %+v", w)
			}
			if want := `last written by manager "editor" of user "alice" at `; !strings.Contains(answer.Status.Message, want) {
				t.Errorf("the message is %q", answer.Status.Message)
			}
		})
	}
}

func TestATraceHasTheTimeOfEtcdAndTheCredential(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	answer := admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap("a", secret))
	trace := traceBy(t, admin, answer)
	last := trace.Stops[len(trace.Stops)-1]
	if last.Stop != v1alpha1.StopStorage || last.EtcdLatency == nil || last.EtcdLatency.Duration <= 0 || last.EtcdLatency.Duration > trace.Latency.Duration {
		t.Errorf("the last stop is %+v of %s", last, trace.Latency.Duration)
	}
	if !strings.HasPrefix(trace.User.CredentialID, "X509SHA256=") {
		t.Errorf("the user is %+v", trace.User)
	}
}
