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
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func bindUser(t *testing.T, admin harness.RawClient, user, role string) {
	t.Helper()
	must(t, admin, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(`{"metadata":{"generateName":"b-"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":%q}]}`, role, user))
}

// reviewer waits until a user may review the requests of others.
func reviewer(t *testing.T, client harness.RawClient, ready v1alpha1.RequestReviewSpec) {
	t.Helper()
	harness.ComesTrue(t, func(context) string {
		if _, answer := review(t, client, ready); answer.Code != http.StatusCreated {
			return string(answer.Body)
		}
		return ""
	})
}

// timeless returns a status without times, for comparisons.
func timeless(t *testing.T, status v1alpha1.RequestReviewStatus) string {
	t.Helper()
	for i := range status.Stops {
		status.Stops[i].Latency = metav1.Duration{}
		if strings.HasPrefix(status.Stops[i].Reason, "etcd took") {
			status.Stops[i].Reason = ""
		}
	}
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var administrator = &v1alpha1.ReviewedUser{Username: "root", Groups: []string{"system:masters"}}

func TestAReviewIsNoOracleForWhatItsCallerMayNotRead(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	must(t, admin, "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"keys"},"stringData":{"password":"`+secret+`"},"immutable":true}`)
	bindUser(t, admin, "carol", "gatehouse:diagnostics")
	bindUser(t, admin, "dave", "gatehouse:diagnostics")
	bindUser(t, admin, "dave", "admin")
	at := v1alpha1.ReviewedResource{Version: "v1", Resource: "secrets", Namespace: "default", Name: "keys"}
	missing, collection := at, at
	missing.Name, collection.Name = "nothing", ""
	object := func(name, value string) *runtime.RawExtension {
		return &runtime.RawExtension{Raw: []byte(fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"stringData":{"password":%q},"immutable":true}`, name, value))}
	}
	spec := func(verb string, target v1alpha1.ReviewedResource, change func(*v1alpha1.RequestReviewSpec)) v1alpha1.RequestReviewSpec {
		s := v1alpha1.RequestReviewSpec{User: administrator, Verb: verb, Resource: target}
		if change != nil {
			change(&s)
		}
		return s
	}
	patch := func(kind v1alpha1.ReviewPatchType, text string) func(*v1alpha1.RequestReviewSpec) {
		return func(s *v1alpha1.RequestReviewSpec) { s.Patch, s.PatchType, s.FieldManager = text, kind, "m" }
	}
	encoded := func(value string) string { text, _ := json.Marshal([]byte(value)); return string(text) }
	test := func(value string) func(*v1alpha1.RequestReviewSpec) {
		return patch(v1alpha1.ReviewPatchJSON, `[{"op":"test","path":"/data/password","value":`+encoded(value)+`}]`)
	}
	apply := func(value string) func(*v1alpha1.RequestReviewSpec) {
		return patch(v1alpha1.ReviewPatchApply, `{"apiVersion":"v1","kind":"Secret","data":{"password":`+encoded(value)+`}}`)
	}
	body := func(name, value string) func(*v1alpha1.RequestReviewSpec) {
		return func(s *v1alpha1.RequestReviewSpec) { s.Object = object(name, value) }
	}
	clients := map[string]harness.RawClient{}
	for _, user := range []string{"carol", "dave"} {
		clients[user] = harness.NewRawClient(t, harness.IssueClient(t, server, user))
		reviewer(t, clients[user], spec("get", missing, nil))
	}
	for _, row := range []struct {
		name         string
		right, wrong v1alpha1.RequestReviewSpec
		before       v1alpha1.TraceStopName
	}{
		{"the test of a JSON patch", spec("patch", at, test(secret)), spec("patch", at, test("guess")), v1alpha1.StopDecoding},
		{"a conflict of an apply", spec("patch", at, apply(secret)), spec("patch", at, apply("guess")), v1alpha1.StopDecoding},
		{"an update of an immutable object", spec("update", at, body("keys", secret)), spec("update", at, body("keys", "guess")), v1alpha1.StopDecoding},
		{"whether an object exists, by a read", spec("get", at, nil), spec("get", missing, nil), v1alpha1.StopStorage},
		{"whether an object exists, by a delete", spec("delete", at, nil), spec("delete", missing, nil), v1alpha1.StopDecoding},
		{"whether an object exists, by a create", spec("create", collection, body("keys", "x")), spec("create", collection, body("nothing", "x")), v1alpha1.StopStorage},
	} {
		t.Run(row.name, func(t *testing.T) {
			of := func(user string, spec v1alpha1.RequestReviewSpec) v1alpha1.RequestReviewStatus {
				out, answer := review(t, clients[user], spec)
				if answer.Code != http.StatusCreated || strings.Contains(timeless(t, out.Status), secret) {
					t.Fatalf("%s gets %s", user, answer.Body)
				}
				return out.Status
			}
			right, wrong := of("carol", row.right), of("carol", row.wrong)
			if a, b := timeless(t, right), timeless(t, wrong); a != b {
				t.Errorf("the right guess gets\n%s\nand the wrong one\n%s", a, b)
			}
			if right.EndedBefore != row.before || right.Verdict != v1alpha1.VerdictAllowed || !strings.Contains(right.EndedFor, `"carol" may not get`) {
				t.Errorf("the review is %s and ended before %q: %q", right.Verdict, right.EndedBefore, right.EndedFor)
			}
			if a, b := of("dave", row.right), of("dave", row.wrong); a.EndedBefore != "" || b.EndedBefore != "" || a.Code == b.Code {
				t.Errorf("who may read it gets %d and %d, ended before %q", a.Code, b.Code, a.EndedBefore)
			}
		})
	}
}

func TestUsersReviewTheirOwnRequestsAndWithARightThoseOfOthers(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.log")
	server := servertesting.Start(t, func(o *options.Options) { o.Audit.LogOptions.Path, o.Traces.Mode = log, "off" })
	admin := harness.NewRawClient(t, server.Config)
	url, ca := webhook(t)
	must(t, admin, "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", fmt.Sprintf(`{"metadata":{"name":"hooks"},"webhooks":[{"name":"deny.example.com",
		"clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"None","admissionReviewVersions":["v1"],"rules":[{"operations":["*"],"apiGroups":["diagnostics.gatehouse.dev",""],"apiVersions":["*"],"resources":["requestreviews","configmaps"]}]}]}`, url, ca))
	harness.ComesTrue(t, func(context) string {
		if answer := admin.Do(t, http.MethodPost, mapsPath+"?dryRun=All", harness.JSONBody, "", createMap("a", "x")); answer.Code < http.StatusBadRequest {
			return "the webhook is not called"
		}
		return ""
	})
	bob := harness.NewRawClient(t, harness.IssueClient(t, server, "bob"))
	create := v1alpha1.RequestReviewSpec{Verb: "create", Resource: v1alpha1.ReviewedResource{Version: "v1", Resource: "configmaps", Namespace: "default"}, Object: &runtime.RawExtension{Raw: []byte(createMap("a", secret))}}
	own, answer := review(t, bob, create)
	if s := own.Status; answer.Code != http.StatusCreated || s.Code != http.StatusForbidden || s.DecidedBy == nil || s.DecidedBy.Stop != v1alpha1.StopAuthorization || s.User.Username != "bob" || s.Cure != "" {
		t.Errorf("bob's own review is %d %s", answer.Code, answer.Body)
	}
	create.User = &v1alpha1.ReviewedUser{Username: "bob"}
	if _, answer := review(t, bob, create); answer.Code != http.StatusForbidden || !strings.Contains(string(answer.Body), "without spec.user") {
		t.Errorf("with a user bob gets %d %s", answer.Code, answer.Body)
	}
	other, answer := review(t, admin, create)
	if s := other.Status; answer.Code != http.StatusCreated || s.Cure == "" || len(s.User.Groups) != 1 || s.User.Groups[0] != "system:authenticated" {
		t.Errorf("the administrator's review is %d %s", answer.Code, answer.Body)
	}
	create.User = administrator
	if hooked, _ := review(t, admin, create); hooked.Status.DecidedBy == nil || hooked.Status.DecidedBy.By != "hooks/deny.example.com" {
		t.Errorf("the webhook sees no reviewed request: %+v", hooked.Status)
	}
	watch := v1alpha1.RequestReviewSpec{User: administrator, Verb: "watch", Resource: v1alpha1.ReviewedResource{Version: "v1", Resource: "configmaps"}}
	if out, _ := review(t, admin, watch); out.Status.EndedBefore != v1alpha1.StopStorage || out.Status.Verdict != v1alpha1.VerdictAllowed {
		t.Errorf("the review of a watch is %+v", out.Status)
	}
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	reviewed := 0
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, `"username":"root"`) || strings.Contains(line, "gatehouse-review") {
			t.Errorf("the audit log has the reviewed request: %s", line)
		}
		if strings.Contains(line, `"diagnostics.gatehouse.dev/reviewed":"user \"root\": create configmaps in default"`) {
			reviewed++
		}
	}
	if reviewed != 1 {
		t.Errorf("the audit log has the review %d times: %s", reviewed, content)
	}
}

func TestTheWarningsOfFieldValidationAreInAReview(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	for _, row := range []struct {
		validation, reason string
		code               int32
	}{
		{"", `unknown field "date"`, http.StatusBadRequest},
		{"Warn", `ignored: unknown field "date"`, http.StatusCreated},
		{"Ignore", "", http.StatusCreated},
	} {
		t.Run("validation "+row.validation, func(t *testing.T) {
			out, _ := review(t, admin, v1alpha1.RequestReviewSpec{
				Verb: "create", Resource: v1alpha1.ReviewedResource{Version: "v1", Resource: "configmaps", Namespace: "default"}, FieldValidation: row.validation,
				Object: &runtime.RawExtension{Raw: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"date":{"a":"` + secret + `"}}`)},
			})
			reason := "no stop"
			for _, stop := range out.Status.Stops {
				if stop.Stop == v1alpha1.StopDecoding {
					reason = stop.Reason
				}
			}
			if out.Status.Code != row.code || reason != row.reason {
				t.Errorf("the review is %d, and decoding says %q", out.Status.Code, reason)
			}
		})
	}
}
