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
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// worldLabel is on the namespaces of the world: no policy and no webhook is about others.
const worldLabel = "world"

// build stores the world, and returns when all of it is in force.
func (w *world) build(t *testing.T, server *servertesting.Server) *kubernetes.Clientset {
	t.Helper()
	client := harness.BuiltinClient(t, server)
	fleet := harness.NewFleetClient(t, server.Config)
	for i := range worldHosts {
		fleet.CreateHost(t, fmt.Sprint("host-", i))
	}
	for _, name := range w.namespaces {
		_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{worldLabel: "yes"}}}, metav1.CreateOptions{})
		check(t, err)
	}
	for _, name := range w.namespaces[:2] {
		harness.CreateAccount(t, server, name, "robot")
	}
	w.connect(t, server, client)
	w.storeRoles(t, client)
	w.storeLimits(t, client)
	w.storePolicies(t, client)
	w.storeHooks(t, client)
	w.inForce(t, client)
	w.readRoles(t, client)
	return client
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connect gives each caller its client.
func (w *world) connect(t *testing.T, server *servertesting.Server, client kubernetes.Interface) {
	t.Helper()
	known := map[string]*rest.Config{"gatehouse-admin": server.Config, "stranger": harness.WithToken(server, "not-a-token")}
	for _, c := range w.callers {
		config := known[c.name]
		switch {
		case config != nil:
		case c.by == "service-account":
			token, err := client.CoreV1().ServiceAccounts(strings.Split(c.name, ":")[2]).CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			check(t, err)
			config = harness.WithToken(server, token.Status.Token)
		default:
			config = harness.IssueClient(t, server, c.name, c.groups[:len(c.groups)-1]...)
		}
		known[c.name] = config
		if c.as != nil {
			config = rest.CopyConfig(config)
			config.Impersonate = rest.ImpersonationConfig{UserName: c.as.name}
			if c.is("system:masters") {
				config.Impersonate.Groups = c.as.groups[:len(c.as.groups)-1]
			}
		}
		c.client = harness.NewRawClient(t, config)
	}
}

func (w *world) storeRoles(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	api, create := client.RbacV1(), metav1.CreateOptions{}
	for i := range w.cluster {
		_, err := api.ClusterRoles().Create(t.Context(), &w.cluster[i], create)
		check(t, err)
	}
	for i := range w.roles {
		_, err := api.Roles(w.roles[i].Namespace).Create(t.Context(), &w.roles[i], create)
		check(t, err)
	}
	for i := range w.everywhere {
		_, err := api.ClusterRoleBindings().Create(t.Context(), &w.everywhere[i], create)
		check(t, err)
	}
	for i := range w.bindings {
		_, err := api.RoleBindings(w.bindings[i].Namespace).Create(t.Context(), &w.bindings[i], create)
		check(t, err)
	}
}

// readRoles reads all roles and bindings, also those of the server itself.
func (w *world) readRoles(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	api, list := client.RbacV1(), metav1.ListOptions{}
	roles, err := api.Roles("").List(t.Context(), list)
	check(t, err)
	cluster, err := api.ClusterRoles().List(t.Context(), list)
	check(t, err)
	bindings, err := api.RoleBindings("").List(t.Context(), list)
	check(t, err)
	everywhere, err := api.ClusterRoleBindings().List(t.Context(), list)
	check(t, err)
	w.roles, w.cluster, w.bindings, w.everywhere = roles.Items, cluster.Items, bindings.Items, everywhere.Items
}

func (w *world) storeLimits(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	for _, q := range w.quotas {
		_, err := client.CoreV1().ResourceQuotas(q.namespace).Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: q.name}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceName(q.what): *resource.NewQuantity(int64(q.hard), resource.DecimalSI)}},
		}, metav1.CreateOptions{})
		check(t, err)
	}
	for _, l := range w.limits {
		cpu := func(amount int) corev1.ResourceList {
			return corev1.ResourceList{corev1.ResourceCPU: *resource.NewMilliQuantity(int64(amount), resource.DecimalSI)}
		}
		_, err := client.CoreV1().LimitRanges(l.namespace).Create(t.Context(), &corev1.LimitRange{
			ObjectMeta: metav1.ObjectMeta{Name: l.name}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Min: cpu(l.least), Max: cpu(l.most)}}},
		}, metav1.CreateOptions{})
		check(t, err)
	}
}

// rules and selectors of the API.
func (m *rule) rules() []admissionregistrationv1.RuleWithOperations {
	r := admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{APIGroups: []string{"", fleetv1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: m.resources}}
	for _, o := range m.operations {
		r.Operations = append(r.Operations, admissionregistrationv1.OperationType(o))
	}
	return []admissionregistrationv1.RuleWithOperations{r}
}

func (m *rule) labels() *metav1.LabelSelector {
	key, value, wanted := strings.Cut(m.label, "=")
	if !wanted {
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func inNamespaces(names []string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{worldLabel: "yes"}}
	if names != nil {
		s.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: names}}
	}
	return s
}

func (m *rule) conditions() []admissionregistrationv1.MatchCondition {
	if m.exempt == "" {
		return nil
	}
	return []admissionregistrationv1.MatchCondition{{Name: "not-exempt", Expression: fmt.Sprintf("request.userInfo.username != '%s'", m.exempt)}}
}

func failurePolicy(ignore bool) *admissionregistrationv1.FailurePolicyType {
	if ignore {
		return ptr.To(admissionregistrationv1.Ignore)
	}
	return ptr.To(admissionregistrationv1.Fail)
}

var expressions = map[string]string{
	"bad name":     "request.operation == 'DELETE' || !object.metadata.name.startsWith('bad')",
	"red":          "request.operation == 'DELETE' || !has(object.metadata.labels) || !('tier' in object.metadata.labels) || object.metadata.labels['tier'] != 'red'",
	"one user":     "request.userInfo.username != 'user-3'",
	"no deletions": "request.operation != 'DELETE'",
	"broken":       "request.userInfo.extra['absent'][0] == 'x'",
}

func (w *world) storePolicies(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	api := client.AdmissionregistrationV1()
	for i := range w.policies {
		p := &w.policies[i]
		match := &admissionregistrationv1.MatchResources{ObjectSelector: p.labels(), NamespaceSelector: inNamespaces(p.namespaces)}
		for _, r := range p.rules() {
			match.ResourceRules = append(match.ResourceRules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: r})
		}
		_, err := api.ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: p.name}, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: failurePolicy(p.ignore), MatchConstraints: match, MatchConditions: p.conditions(),
				Validations: []admissionregistrationv1.Validation{{Expression: expressions[p.kind], Message: "policy 'other' with binding 'another' denied"}},
			},
		}, metav1.CreateOptions{})
		check(t, err)
		_, err = api.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: p.binding}, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: p.name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.ValidationAction(p.action)},
				MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: inNamespaces(p.bindingInNamespaces)},
			},
		}, metav1.CreateOptions{})
		check(t, err)
	}
}

func (w *world) storeHooks(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(w.review))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	api := client.AdmissionregistrationV1()
	for i := range w.hooks {
		h := &w.hooks[i]
		url := server.URL + h.path()
		if h.behaviour == "dead" {
			url = "https://127.0.0.1:1" + h.path()
		}
		at := admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: authority}
		meta, none, versions := metav1.ObjectMeta{Name: h.configuration}, ptr.To(admissionregistrationv1.SideEffectClassNone), []string{"v1"}
		var err error
		if h.mutating {
			_, err = api.MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: h.name, ClientConfig: at, Rules: h.rules(), FailurePolicy: failurePolicy(h.ignore), NamespaceSelector: inNamespaces(h.namespaces), ObjectSelector: h.labels(),
				MatchConditions: h.conditions(), SideEffects: none, AdmissionReviewVersions: versions,
			}}}, metav1.CreateOptions{})
		} else {
			_, err = api.ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: h.name, ClientConfig: at, Rules: h.rules(), FailurePolicy: failurePolicy(h.ignore), NamespaceSelector: inNamespaces(h.namespaces), ObjectSelector: h.labels(),
				MatchConditions: h.conditions(), SideEffects: none, AdmissionReviewVersions: versions,
			}}}, metav1.CreateOptions{})
		}
		check(t, err)
	}
}

// review serves all webhooks.
func (w *world) review(out http.ResponseWriter, r *http.Request) {
	var h *hook
	for i := range w.hooks {
		if w.hooks[i].path() == r.URL.Path {
			h = &w.hooks[i]
		}
	}
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || h == nil {
		http.Error(out, "no review", http.StatusBadRequest)
		return
	}
	response := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	switch h.behaviour {
	case "deny":
		response.Allowed, response.Result = false, &metav1.Status{Message: `admission webhook "other.example.com" denied the request`}
	case "fail":
		http.Error(out, "broken", http.StatusInternalServerError)
		return
	case "redirect":
		http.Redirect(out, r, "/elsewhere", http.StatusFound)
		return
	case "text":
		_, _ = fmt.Fprint(out, "hello")
		return
	case "patch", "invalid patch", "broken patch":
		response.Patch, response.PatchType = stamp(h.behaviour, review.Request.Object.Raw), ptr.To(admissionv1.PatchTypeJSONPatch)
	}
	review.Request, review.Response = nil, response
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(&review)
}

func stamp(behaviour string, object []byte) []byte {
	value := map[string]string{"patch": "yes", "invalid patch": "-not valid-"}[behaviour]
	if behaviour == "broken patch" {
		return []byte(`[{"op":"remove","path":"/metadata/absent"}]`)
	}
	var o struct{ Metadata metav1.ObjectMeta }
	_ = json.Unmarshal(object, &o)
	if len(object) == 0 || string(object) == "null" {
		return []byte(`[]`) // a deletion
	}
	if o.Metadata.Labels == nil {
		return fmt.Appendf(nil, `[{"op":"add","path":"/metadata/labels","value":{"stamped":%q}}]`, value)
	}
	return fmt.Appendf(nil, `[{"op":"add","path":"/metadata/labels/stamped","value":%q}]`, value)
}
