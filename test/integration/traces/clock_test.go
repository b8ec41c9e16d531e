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
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func TestATimeoutNamesTheWebhookThatHadTheClock(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	ended := make(chan struct{})
	slow := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	t.Cleanup(func() { close(ended); slow.Close() })
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: slow.Certificate().Raw}))
	must(t, admin, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", fmt.Sprintf(`{"metadata":{"name":"hooks"},"webhooks":[{"name":"slow.example.com",
		"clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"None","admissionReviewVersions":["v1"],"timeoutSeconds":30,
		"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]}]}`, slow.URL+"/wait", ca))
	var answer harness.RawAnswer
	number := 0
	// The webhook is in force a moment after it is stored. The library ends the stream of a request whose time ends
	// while its answer is being written.
	harness.ComesTrue(t, func(ctx context) string {
		number++
		var err error
		if answer, err = admin.Try(ctx, http.MethodPost, mapsPath+"?timeout=1s", harness.JSONBody, "", createMap(fmt.Sprint("slow-", number), "x")); err != nil {
			return err.Error()
		}
		if answer.Code != http.StatusGatewayTimeout {
			return fmt.Sprintf("got %d: %s", answer.Code, answer.Body)
		}
		return ""
	})
	trace := traceOf(t, admin, answer)
	if d := trace.DecidedBy; !trace.TimedOut || trace.Verdict != v1alpha1.VerdictRefused || d.Stop != v1alpha1.StopMutatingAdmission || d.By != "hooks/slow.example.com" {
		t.Errorf("timed out is %v, %s by %+v", trace.TimedOut, trace.Verdict, d)
	}
}

func TestAnImpersonatedRequestBelongsToBothUsers(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	bob := harness.NewRawClient(t, harness.IssueClient(t, server, "bob"))
	as := func(config *rest.Config) harness.RawClient {
		config = rest.CopyConfig(config)
		config.Impersonate = rest.ImpersonationConfig{UserName: "bob"}
		return harness.NewRawClient(t, config)
	}
	answer := as(server.Config).Do(t, http.MethodGet, mapsPath, "", "", "")
	if trace := traceOf(t, admin, answer); trace.User.Username != "bob" || trace.User.ImpersonatedBy == "" || trace.DecidedBy.Stop != v1alpha1.StopAuthorization {
		t.Errorf("the administrator reads %+v by %+v", trace.User, trace.DecidedBy)
	}
	again := as(server.Config).Do(t, http.MethodGet, mapsPath, "", "", "")
	for _, refusal := range []harness.RawAnswer{answer, again} {
		if trace := traceOf(t, admin, refusal); trace.Stops[1].Stop != v1alpha1.StopImpersonation || trace.Stops[1].Verdict != v1alpha1.StopPassed {
			t.Errorf("the impersonation is %+v", trace.Stops[1])
		}
	}
	if trace := traceOf(t, bob, answer); trace.User.CredentialID != "" {
		t.Errorf("bob reads the credential of another user: %+v", trace.User)
	}
	if trace := traceOf(t, bob, answer); trace.User.ImpersonatedBy != "" {
		t.Errorf("bob reads who acted as bob: %+v", trace.User)
	}
	alice := harness.IssueClient(t, server, "alice")
	refused := as(alice).Do(t, http.MethodGet, mapsPath, "", "", "")
	if trace := traceOf(t, harness.NewRawClient(t, alice), refused); trace.User.Username != "alice" || trace.DecidedBy.Stop != v1alpha1.StopImpersonation {
		t.Errorf("alice reads %+v by %+v", trace.User, trace.DecidedBy)
	}
}
