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

package admission

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// traced is a write and the suffix of the line that its trace must contain.
type traced struct {
	name   string
	do     func(ctx context.Context) error
	leaves string
	// deletes is set for writes that have no content to change.
	deletes bool
}

// writes are writes to existing objects.
type writes struct {
	app *v1alpha1.App
}

// seedWrites creates a host, an instance that runs on it and two that do not run, and an app with
// two revisions.
func seedWrites(t *testing.T, server *servertesting.Server) writes {
	t.Helper()
	harness.CreateAccount(t, server, "default", "web")
	client := harness.NewFleetClient(t, server.Config)
	fleet := client.FleetV1alpha1()
	client.CreateHost(t, "edge-1")
	for _, name := range []string{"bound", "free", "third"} {
		i := asking(name, "10m", "100")
		i.Labels = map[string]string{"seed": name}
		if err := client.Create(t, i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fleet.Instances("default").Bind(t.Context(), "bound", bindingTo("bound"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var w writes
	var err error
	if w.app, err = fleet.Apps("default").Create(t.Context(), tracedApp("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, revision := range []int{1, 2} {
		if _, err := fleet.Releases("default").Create(t.Context(), w.release(revision), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func bindingTo(instance string) *v1alpha1.Binding {
	return &v1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: instance}, Target: v1alpha1.BindingTarget{Kind: "Host", Name: "edge-1"}}
}

func tracedApp(name string) *v1alpha1.App {
	labels := map[string]string{"app": name}
	return &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AppSpec{
			Replicas: ptr.To[int32](0), Paused: true, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1alpha1.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: harness.SmallInstance("").Spec},
		},
	}
}

// release returns a revision of the app; each has a different image.
func (w writes) release(revision int) *v1alpha1.Release {
	template := w.app.Spec.Template.DeepCopy()
	template.Labels[v1alpha1.TemplateHashLabel] = fmt.Sprint(revision)
	template.Spec.Containers[0].Image = fmt.Sprintf("registry.example/app:%d", revision)
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d", w.app.Name, revision), Labels: template.Labels, Annotations: map[string]string{v1alpha1.RevisionAnnotation: fmt.Sprint(revision)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.app, v1alpha1.SchemeGroupVersion.WithKind("App"))},
		},
		Spec: v1alpha1.ReleaseSpec{Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: *template},
	}
}

// all returns writes of every kind. Each changes something if they run in order.
func (w writes) all(client harness.FleetClient) []traced {
	fleet := client.FleetV1alpha1()
	instances, apps := fleet.Instances("default"), fleet.Apps("default")
	patch := func(name string, kind types.PatchType, body string, subresources ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			options := metav1.PatchOptions{}
			if kind == types.ApplyYAMLPatchType {
				options.FieldManager = "tests"
			}
			_, err := instances.Patch(ctx, name, kind, []byte(body), options, subresources...)
			return err
		}
	}
	const applied = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":%q,"labels":{"applied":"true"}},"spec":{"containers":[{"name":"main","image":"registry.example/app:1","resources":{"requests":{"cpu":"10m","memory":"100"}}}]}}`
	const instance, quota = "PUT /registry/fleet.gatehouse.dev/instances/default/", "PUT /registry/resourcequotas/default/roomy"
	all := []traced{
		{name: "create", leaves: instance + "new", do: func(ctx context.Context) error {
			_, err := instances.Create(ctx, asking("new", "10m", "100"), metav1.CreateOptions{})
			return err
		}},
		{name: "create that is charged", leaves: quota, do: func(ctx context.Context) error {
			_, err := instances.Create(ctx, asking("charged", "10m", "100"), metav1.CreateOptions{})
			return err
		}},
		{name: "apply of what is not there", leaves: instance + "applied", do: patch("applied", types.ApplyYAMLPatchType, fmt.Sprintf(applied, "applied"))},
		{name: "apply of what is there", leaves: instance + "free", do: patch("free", types.ApplyYAMLPatchType, fmt.Sprintf(applied, "free"))},
		{name: "patch", leaves: instance + "free", do: patch("free", types.MergePatchType, `{"metadata":{"labels":{"patched":"true"}}}`)},
		{name: "patch of the status", leaves: instance + "bound", do: patch("bound", types.MergePatchType, `{"status":{"message":"seen"}}`, "status")},
		{name: "update", leaves: instance + "free", do: func(ctx context.Context) error {
			i, err := instances.Get(ctx, "free", metav1.GetOptions{})
			if err != nil {
				return err
			}
			i.Annotations = map[string]string{"updated": "true"}
			_, err = instances.Update(ctx, i, metav1.UpdateOptions{})
			return err
		}},
		{name: "binding", leaves: instance + "free", do: func(ctx context.Context) error {
			_, err := instances.Bind(ctx, "free", bindingTo("free"), metav1.CreateOptions{})
			return err
		}},
		{name: "create of an app", leaves: "PUT /registry/fleet.gatehouse.dev/apps/default/other", do: func(ctx context.Context) error {
			_, err := apps.Create(ctx, tracedApp("other"), metav1.CreateOptions{})
			return err
		}},
		{name: "create of a release", leaves: "PUT /registry/fleet.gatehouse.dev/releases/default/web-3", do: func(ctx context.Context) error {
			_, err := fleet.Releases("default").Create(ctx, w.release(3), metav1.CreateOptions{})
			return err
		}},
		{name: "scale", leaves: "PUT /registry/fleet.gatehouse.dev/apps/default/web", do: func(ctx context.Context) error {
			scale, err := apps.GetScale(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err
			}
			scale.Spec.Replicas = 7
			_, err = apps.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{})
			return err
		}},
		{name: "rollback", leaves: "PUT /registry/fleet.gatehouse.dev/apps/default/web", do: func(ctx context.Context) error {
			_, err := apps.Rollback(ctx, "web", &v1alpha1.AppRollback{ToRevision: 2}, metav1.CreateOptions{})
			return err
		}},
		{name: "create of a host", leaves: "PUT /registry/fleet.gatehouse.dev/hosts/edge-2", do: func(ctx context.Context) error {
			_, err := fleet.Hosts().Create(ctx, &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-2"}}, metav1.CreateOptions{})
			return err
		}},
	}
	return append(all, []traced{
		{name: "delete of what runs", deletes: true, leaves: instance + "bound", do: func(ctx context.Context) error {
			return instances.Delete(ctx, "bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](30)})
		}},
		{name: "delete at once", deletes: true, leaves: "DELETE /registry/fleet.gatehouse.dev/instances/default/bound", do: func(ctx context.Context) error {
			return instances.Delete(ctx, "bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		}},
		{name: "delete in the foreground", deletes: true, leaves: "PUT /registry/fleet.gatehouse.dev/apps/default/web", do: func(ctx context.Context) error {
			return apps.Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)})
		}},
		{name: "delete of a collection", deletes: true, leaves: "DELETE /registry/fleet.gatehouse.dev/instances/default/third", do: func(ctx context.Context) error {
			return instances.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, metav1.ListOptions{LabelSelector: "seed"})
		}},
		{name: "delete of a host", deletes: true, leaves: "DELETE /registry/fleet.gatehouse.dev/hosts/edge-1", do: func(ctx context.Context) error {
			return fleet.Hosts().Delete(ctx, "edge-1", metav1.DeleteOptions{})
		}},
	}...)
}

// refuser refuses every write of one user to the fleet group.
type refuser struct {
	name   string
	config *rest.Config
	code   int32
	says   string
	// deletes is set if it also refuses deletions.
	deletes bool
}

// registerRefusers registers webhooks and policies, each for a separate user, and waits
// until all of them refuse.
func registerRefusers(t *testing.T, server *servertesting.Server) []refuser {
	t.Helper()
	client := harness.BuiltinClient(t, server).AdmissionregistrationV1()
	hook := denyingWebhook(t)
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	down := admissionregistrationv1.WebhookClientConfig{URL: ptr.To(gone.URL), CABundle: hook.CABundle}
	gone.Close()
	operations := []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll}
	rules := []admissionregistrationv1.RuleWithOperations{{Operations: operations, Rule: admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: []string{"*/*"}}}}
	match := &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rules[0]}}}
	changes := match.DeepCopy()
	changes.ResourceRules[0].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update}
	of := func(users ...string) []admissionregistrationv1.MatchCondition {
		return []admissionregistrationv1.MatchCondition{{Name: "user", Expression: fmt.Sprintf("request.userInfo.username in ['%s']", strings.Join(users, "', '"))}}
	}
	none, named := ptr.To(admissionregistrationv1.SideEffectClassNone), func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	made := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	made(client.MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: named("refuses"), Webhooks: []admissionregistrationv1.MutatingWebhook{
		{Name: "changes.example.com", ClientConfig: hook, Rules: rules, MatchConditions: of("changed"), SideEffects: none, AdmissionReviewVersions: []string{"v1"}},
	}}, metav1.CreateOptions{}))
	made(client.ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: named("refuses"), Webhooks: []admissionregistrationv1.ValidatingWebhook{
		{Name: "denies.example.com", ClientConfig: hook, Rules: rules, MatchConditions: of("denied"), SideEffects: none, AdmissionReviewVersions: []string{"v1"}},
		{Name: "down.example.com", ClientConfig: down, Rules: rules, MatchConditions: of("forlorn"), SideEffects: none, AdmissionReviewVersions: []string{"v1"}},
	}}, metav1.CreateOptions{}))
	made(client.ValidatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: named("refuses"), Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: match, MatchConditions: of("policed", "rolling"), Validations: []admissionregistrationv1.Validation{
			// A rollback is two admission requests, and this user is refused only the second.
			{Expression: "request.userInfo.username == 'rolling' && (request.resource.resource != 'apps' || request.?subResource.orValue('') != '')", Message: "not by policy"},
		},
	}}, metav1.CreateOptions{}))
	made(client.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: named("refuses"), Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: "refuses", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}}, metav1.CreateOptions{}))
	made(client.MutatingAdmissionPolicies().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: named("fails"), Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: changes, MatchConditions: of("mutated"), ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
		Mutations: []admissionregistrationv1.Mutation{{PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{Expression: `[JSONPatch{op: "remove", path: "/metadata/nowhere"}]`}}},
	}}, metav1.CreateOptions{}))
	made(client.MutatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: named("fails"), Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "fails"}}, metav1.CreateOptions{}))

	refusers := []refuser{
		{"a mutating webhook", as(server.Config, "changed"), http.StatusForbidden, `webhook "changes.example.com" denied the request`, true},
		{"a mutating policy that fails", as(server.Config, "mutated"), http.StatusForbidden, "admission plugin MutatingAdmissionPolicy", false},
		{"a validating policy", as(server.Config, "policed"), http.StatusUnprocessableEntity, "not by policy", true},
		{"a validating webhook", as(server.Config, "denied"), http.StatusForbidden, `webhook "denies.example.com" denied the request`, true},
		{"a webhook that is down", as(server.Config, "forlorn"), http.StatusInternalServerError, `failed calling webhook "down.example.com"`, true},
	}
	for _, r := range refusers {
		fleet := harness.NewFleetClient(t, r.config).FleetV1alpha1()
		harness.ComesTrue(t, func(ctx context.Context) string {
			_, err := fleet.Instances("default").Create(ctx, asking("probe", "10m", "100"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil || !strings.Contains(err.Error(), r.says) {
				return fmt.Sprintf("%s does not refuse: %v", r.name, err)
			}
			return ""
		})
	}
	return refusers
}

// denyingWebhook denies everything.
func denyingWebhook(t *testing.T) admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "no", Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden}}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return admissionregistrationv1.WebhookClientConfig{URL: ptr.To(server.URL), CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
}
