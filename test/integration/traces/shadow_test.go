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
	"strings"
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// shadowServer is a server of webhooks that change and deny everything, by their path, and fails if a request is
// not a dry run. The path /hang does not respond.
func shadowServer(t *testing.T) (url, caBundle string) {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID    string
				DryRun bool
			}
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &review); err != nil {
			t.Error(err)
		}
		if !review.Request.DryRun {
			t.Errorf("%s is asked for more than a dry run", r.URL.Path)
		}
		patch := base64.StdEncoding.EncodeToString([]byte(`[{"op":"add","path":"/data/injected","value":"` + secret + `"}]`))
		response := map[string]any{"uid": review.Request.UID, "allowed": false, "status": map[string]any{"message": secret}}
		switch r.URL.Path {
		case "/hang":
			<-ended
			return
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
			return
		case "/patch":
			response = map[string]any{"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": patch, "warnings": []string{secret}}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(func() { close(ended); server.Close() })
	return server.URL, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// registerShadows registers webhooks and a policy that are in shadow, and against all config maps.
func registerShadows(t *testing.T, admin harness.RawClient) {
	t.Helper()
	url, ca := shadowServer(t)
	hook := func(path string) string {
		return fmt.Sprintf(`{"name":"%s.example.com","clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"NoneOnDryRun","admissionReviewVersions":["v1"],"timeoutSeconds":2,"failurePolicy":"Fail",
			"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]}`, path, url+"/"+path, ca)
	}
	meta := func(name string) string {
		return fmt.Sprintf(`"metadata":{"name":%q,"annotations":{%q:"true"}}`, name, fleetv1alpha1.ShadowAnnotation)
	}
	must(t, admin, registrationPath+"mutatingwebhookconfigurations", fmt.Sprintf(`{%s,"webhooks":[%s]}`, meta("m"), strings.Join([]string{hook("deny"), hook("broken"), hook("patch")}, ",")))
	must(t, admin, registrationPath+"validatingwebhookconfigurations", fmt.Sprintf(`{%s,"webhooks":[%s]}`, meta("v"), strings.Join([]string{hook("deny"), hook("hang")}, ",")))
	must(t, admin, registrationPath+"validatingadmissionpolicies", `{"metadata":{"name":"never"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},
		"validations":[{"expression":"false","messageExpression":"'not ' + object.data.password"}]}}`)
	must(t, admin, registrationPath+"validatingadmissionpolicybindings", fmt.Sprintf(`{%s,"spec":{"policyName":"never","validationActions":["Deny"]}}`, meta("b")))
}

func TestWhatIsInShadowIsAskedAndDecidesNothing(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	registerShadows(t, admin)
	var answer harness.RawAnswer
	number := 0
	harness.ComesTrue(t, func(context) string {
		number++
		answer = admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap(fmt.Sprint("map-", number), "x"))
		if answer.Code != http.StatusCreated {
			t.Fatalf("%s", answer.Body)
		}
		if strings.Contains(string(answer.Body), "injected") || len(answer.Header.Values("Warning")) > 0 {
			t.Fatalf("%s %v", answer.Body, answer.Header)
		}
		// They are in force, and answer, a moment later.
		if entry(traceBy(t, admin, answer), "never/b").Verdict != v1alpha1.StopWouldRefuse {
			return "the policy is not in force"
		}
		return ""
	})
	harness.ComesTrue(t, func(context) string {
		trace := traceBy(t, admin, answer)
		if trace.Verdict != v1alpha1.VerdictAllowed || trace.DecidedBy != nil {
			t.Fatalf("the trace is %s by %+v", trace.Verdict, trace.DecidedBy)
		}
		for by, want := range map[string]v1alpha1.StopVerdict{
			"m/deny.example.com": v1alpha1.StopWouldRefuse, "m/broken.example.com": v1alpha1.StopIgnored, "m/patch.example.com": v1alpha1.StopPassed,
			"v/deny.example.com": v1alpha1.StopWouldRefuse, "v/hang.example.com": v1alpha1.StopIgnored, "never/b": v1alpha1.StopWouldRefuse,
		} {
			if got := entry(trace, by); got.Verdict != want || !got.Shadow || len(got.Objects) == 0 {
				return fmt.Sprintf("%s: %+v", by, got)
			}
		}
		if got := entry(trace, "m/patch.example.com"); !got.Changed || len(got.ChangedPaths) != 1 || got.ChangedPaths[0] != "/data/injected" {
			return fmt.Sprintf("%+v", got)
		}
		return ""
	})
	metrics := string(admin.Do(t, http.MethodGet, "/metrics", "", "", "").Body)
	for _, want := range []string{
		`gatehouse_admission_shadow_total{name="m/deny.example.com",type="webhook",verdict="refused"}`, `gatehouse_admission_shadow_total{name="m/patch.example.com",type="webhook",verdict="allowed"}`,
		`gatehouse_admission_shadow_total{name="v/hang.example.com",type="webhook",verdict="failed"}`, `gatehouse_admission_shadow_total{name="never/b",type="policy",verdict="refused"}`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics is without %s", want)
		}
	}
	// Without the annotation, they decide.
	if answer := admin.Do(t, http.MethodPatch, registrationPath+"validatingadmissionpolicybindings/b", "application/merge-patch+json", "", fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, fleetv1alpha1.ShadowAnnotation)); answer.Code != http.StatusOK {
		t.Fatalf("%s", answer.Body)
	}
	harness.ComesTrue(t, func(context) string {
		number++
		if answer := admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap(fmt.Sprint("map-", number), "x")); answer.Code != http.StatusUnprocessableEntity {
			return fmt.Sprintf("got %d", answer.Code)
		}
		return ""
	})
}
