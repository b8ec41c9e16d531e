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

package structured

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// hook is a webhook with a fixed answer.
type hook struct {
	kubeconfig string
	requests   atomic.Int32
	redirected atomic.Bool
	server     *httptest.Server
}

// newHook serves access reviews: it denies the user denied, allows the user allowed, allows large with a response of
// 2 MiB, redirects reviews of elsewhere, and has no opinion on others.
func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.requests.Add(1)
		if r.URL.Path == "/second" {
			h.redirected.Store(true)
		}
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Status = authorizationv1.SubjectAccessReviewStatus{
			Allowed: review.Spec.User == "allowed", Denied: review.Spec.User == "denied", Reason: "the hook's reason",
		}
		switch review.Spec.User {
		case "large":
			review.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: strings.Repeat("x", 2<<20)}
		case "elsewhere":
			http.Redirect(w, r, "/second", http.StatusTemporaryRedirect)
			return
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(h.server.Close)
	h.kubeconfig = write(t, kit.ServiceKubeconfig(h.server))
	return h
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const header = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"

const rolesEntry = "- {type: RBAC, name: rbac}\n"

// entry returns the entry of a webhook; more is put at its end.
func entry(name, kubeconfig, failurePolicy, more string) string {
	return fmt.Sprintf("- type: Webhook\n  name: %s\n  webhook:\n    timeout: 1s\n    authorizedTTL: 1m\n    unauthorizedTTL: 1m\n"+
		"    subjectAccessReviewVersion: v1\n    matchConditionSubjectAccessReviewVersion: v1\n    failurePolicy: %s\n"+
		"    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %q}\n%s", name, failurePolicy, kubeconfig, more)
}

// roles allows a user named operator and has no opinion on others.
type roles struct{}

func (roles) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser().GetName() == "operator" {
		return authorizer.DecisionAllow, "by a role", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (r roles) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(r.Authorize(ctx, a))
}

func (roles) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", nil
}

func (roles) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: []string{"get"}}}, nil, false, nil
}

func config(file string) Config {
	return Config{
		File: file, Roles: roles{}, ServerID: "test",
		Fixed: []union.NamedAuthorizer{{AuthorizerName: "hosts", Authorizer: authorizerfactory.NewPrivilegedGroups("first")}},
	}
}

func newChain(t *testing.T, text string) *Chain {
	t.Helper()
	chain, err := New(config(write(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func decide(t *testing.T, a authorizer.Authorizer, name string, groups ...string) authorizer.Decision {
	t.Helper()
	decision, _, _ := a.Authorize(t.Context(), authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: name, Groups: groups}, Verb: "get", APIVersion: "v1", Resource: "secrets", ResourceRequest: true,
	})
	return decision
}

func TestAnInvalidFileIsRefusedWithItsFieldAndTheCure(t *testing.T) {
	kubeconfig := newHook(t).kubeconfig
	for _, test := range []struct{ name, text, want string }{
		{"an empty file", " \n", "the file is empty: write an AuthorizationConfiguration"},
		{"a file of another kind", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n", "AuthorizationConfiguration"},
		{"an unknown field", header + "- {type: RBAC, name: rbac, color: red}\n", `unknown field "authorizers[0].color"`},
		{"no authorizers", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n", "authorizers: Required value"},
		{"no roles", header + entry("opa", kubeconfig, "Deny", ""), "authorizers: Required value: an authorizer of type RBAC"},
		{"roles twice", header + rolesEntry + "- {type: RBAC, name: again}\n", "authorizers[1].type: Duplicate value"},
		{"roles with another name", header + "- {type: RBAC, name: roles}\n", "authorizers[0].name: Invalid value: \"roles\": the name of the type RBAC must be rbac"},
		{"the type of nodes, which are hosts here", header + "- {type: Node, name: node}\n", `authorizers[0].type: Unsupported value: "Node"`},
		{"a name that the server uses", header + rolesEntry + entry("hosts", kubeconfig, "Deny", ""), "authorizers[1].name: Invalid value: \"hosts\": the server has an authorizer of this name"},
		{"a name twice", header + rolesEntry + entry("opa", kubeconfig, "Deny", "") + entry("opa", kubeconfig, "Deny", ""), "authorizers[2].name: Duplicate value"},
		{"a failure policy that allows", header + rolesEntry + entry("opa", kubeconfig, "Allow", ""), "failurePolicy: Unsupported value: \"Allow\""},
		{"a kubeconfig that does not exist", header + rolesEntry + entry("opa", "/does/not/exist", "Deny", ""), "connectionInfo.kubeConfigFile: Invalid value"},
		{"a webhook in the cluster of the server", header + rolesEntry + strings.Replace(entry("opa", kubeconfig, "Deny", ""), "type: KubeConfigFile, kubeConfigFile", "type: InClusterConfig, kubeConfigFile", 1), "use KubeConfigFile"},
		{"an expression that does not compile", header + rolesEntry + entry("opa", kubeconfig, "Deny", "    matchConditions: [{expression: \"request.nothing\"}]\n"), "matchConditions[0].expression"},
		{"a kubeconfig that verifies no certificate", header + rolesEntry + entry("opa", write(t, "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a}], clusters: [{name: a, cluster: {server: \"https://127.0.0.1:1\", insecure-skip-tls-verify: true}}]}"), "Deny", ""),
			"authorizers[1].webhook: connectionInfo.kubeConfigFile: insecure-skip-tls-verify is not supported"},
		{"a very large file", header + rolesEntry + "#" + strings.Repeat("x", maxFileSize), "at most 1048576 bytes are allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := New(config(write(t, test.text))); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := New(config("/does/not/exist")); err == nil {
		t.Error("a file that does not exist is accepted")
	}
	if _, err := New(Config{File: write(t, header+rolesEntry)}); err == nil {
		t.Error("a chain without roles is accepted")
	}
}

func TestTheOrderOfTheFileIsTheOrderOfDecisions(t *testing.T) {
	h := newHook(t)
	first := header + entry("opa", h.kubeconfig, "Deny", "") + rolesEntry
	last := header + rolesEntry + entry("opa", h.kubeconfig, "Deny", "")
	for _, test := range []struct {
		name, text, user string
		groups           []string
		want             authorizer.Decision
		asked            bool
	}{
		{"a fixed authorizer decides before the file", first, "denied", []string{"first"}, authorizer.DecisionAllow, false},
		{"a webhook before the roles denies", first, "denied", nil, authorizer.DecisionDeny, true},
		{"a webhook allows", first, "allowed", nil, authorizer.DecisionAllow, true},
		{"roles decide if the webhook has no opinion", first, "operator", nil, authorizer.DecisionAllow, true},
		{"no opinion at all", first, "guest", nil, authorizer.DecisionNoOpinion, true},
		{"roles before the webhook", last, "operator", nil, authorizer.DecisionAllow, false},
		{"a webhook after the roles", last, "allowed", nil, authorizer.DecisionAllow, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			chain, before := newChain(t, test.text), h.requests.Load()
			if got := decide(t, chain, test.user, test.groups...); got != test.want {
				t.Errorf("decided %v, want %v", got, test.want)
			}
			if asked := h.requests.Load() > before; asked != test.asked {
				t.Errorf("the webhook was asked: %v, want %v", asked, test.asked)
			}
		})
	}
}

func TestAWebhookThatDoesNotRespondDecidesByItsFailurePolicy(t *testing.T) {
	h := newHook(t)
	h.server.Close()
	if got := decide(t, newChain(t, header+entry("opa", h.kubeconfig, "Deny", "")+rolesEntry), "operator"); got != authorizer.DecisionDeny {
		t.Errorf("with Deny: decided %v", got)
	}
	if got := decide(t, newChain(t, header+entry("opa", h.kubeconfig, "NoOpinion", "")+rolesEntry), "operator"); got != authorizer.DecisionAllow {
		t.Errorf("with NoOpinion: decided %v", got)
	}
}

func TestAResponseThatIsNotReadDecidesByTheFailurePolicy(t *testing.T) {
	h := newHook(t)
	chain := newChain(t, header+entry("opa", h.kubeconfig, "Deny", "")+rolesEntry)
	for _, name := range []string{"large", "elsewhere"} {
		if got := decide(t, chain, name); got != authorizer.DecisionDeny {
			t.Errorf("%s: decided %v", name, got)
		}
	}
	if h.redirected.Load() {
		t.Error("a review was sent to the address of the redirect")
	}
}

func TestConditionsAndTheCacheSaveRequests(t *testing.T) {
	h := newHook(t)
	chain := newChain(t, header+entry("opa", h.kubeconfig, "Deny", "    matchConditions: [{expression: \"request.user != 'denied'\"}]\n")+rolesEntry)
	if got := decide(t, chain, "denied"); got != authorizer.DecisionNoOpinion || h.requests.Load() != 0 {
		t.Errorf("a request outside the condition: decided %v after %d requests", got, h.requests.Load())
	}
	for range 3 {
		if got := decide(t, chain, "allowed"); got != authorizer.DecisionAllow {
			t.Errorf("decided %v", got)
		}
	}
	if got := h.requests.Load(); got != 1 {
		t.Errorf("%d requests for three equal decisions", got)
	}
	uncached := newChain(t, header+entry("opa", h.kubeconfig, "Deny", "    cacheAuthorizedRequests: false\n")+rolesEntry)
	for range 2 {
		decide(t, uncached, "allowed")
	}
	if got := h.requests.Load(); got != 3 {
		t.Errorf("%d requests, of which two are without a cache", got)
	}
}

func TestTheRulesOfAUserAreIncompleteWithAWebhook(t *testing.T) {
	guest := &user.DefaultInfo{Name: "guest"}
	rules, _, incomplete, err := newChain(t, header+rolesEntry).RulesFor(t.Context(), guest, "default")
	if err != nil || incomplete || len(rules) != 1 {
		t.Errorf("roles only: %d rules, incomplete %v, %v", len(rules), incomplete, err)
	}
	rules, _, incomplete, _ = newChain(t, header+rolesEntry+entry("opa", newHook(t).kubeconfig, "Deny", "")).RulesFor(t.Context(), guest, "default")
	if !incomplete || len(rules) != 1 {
		t.Errorf("with a webhook: %d rules, incomplete %v", len(rules), incomplete)
	}
}

func TestAChangeOfTheFileIsFollowedAndAnInvalidOneIsNot(t *testing.T) {
	h := newHook(t)
	file := write(t, header+rolesEntry)
	chain, err := New(config(file))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		chain.Run(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	replace := func(text string) {
		t.Helper()
		next := file + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	reaches := func(name string, want authorizer.Decision) {
		t.Helper()
		kit.Eventually(t, fmt.Sprintf("%s gets the decision %v", name, want), func(context.Context) bool { return decide(t, chain, name) == want })
	}
	reaches("allowed", authorizer.DecisionNoOpinion)
	replace(header + entry("opa", h.kubeconfig, "Deny", "") + rolesEntry)
	reaches("allowed", authorizer.DecisionAllow)

	failed := failures(t)
	replace(header + "- {type: AlwaysAllow, name: a}\n")
	kit.Eventually(t, "the file has been read", func(context.Context) bool { return failures(t) > failed })
	for name, want := range map[string]authorizer.Decision{"allowed": authorizer.DecisionAllow, "denied": authorizer.DecisionDeny, "guest": authorizer.DecisionNoOpinion} {
		if got := decide(t, chain, name); got != want {
			t.Errorf("after an invalid change: %s gets %v, want %v", name, got, want)
		}
	}
	replace(header + rolesEntry)
	reaches("allowed", authorizer.DecisionNoOpinion)
}

// failures returns how many contents of the file were refused in this process.
func failures(t *testing.T) float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != "apiserver_authorization_config_controller_automatic_reloads_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "status" && label.GetValue() == "failure" {
					sum += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}
