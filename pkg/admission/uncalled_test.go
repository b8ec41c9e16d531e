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
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	recorder "github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// observed returns the entries that an observer adds to the record of a request. before adds what the plugin
// recorded.
func observed(t testing.TB, b *observer, a admission.Attributes, before func(*recorder.Record)) map[string]diagnostics.TraceStop {
	t.Helper()
	r := recorder.New(recorder.Config{Options: recorder.Options{Mode: recorder.All, Kept: 16}})
	r.Wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		record := recorder.From(req.Context())
		record.Enter(recorder.MutatingAdmission)
		if before != nil {
			before(record)
		}
		b.observe(req.Context(), record, nil, a, admission.NewObjectInterfacesFromScheme(schemeOfTests()))
		w.WriteHeader(http.StatusOK)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	found := map[string]diagnostics.TraceStop{}
	r.List(func(trace *diagnostics.RequestTrace) {
		for _, stop := range trace.Stops {
			found[stop.By] = stop
		}
	})
	return found
}

func schemeOfTests() *runtime.Scheme {
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	return scheme
}

// observerOf returns an observer of webhooks, whose informers have the namespaces shop and other.
func observerOf(t testing.TB, webhooks ...admissionregistrationv1.MutatingWebhook) *observer {
	t.Helper()
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	all := newRegistrations(factory, []string{mutatingwebhook.PluginName})
	add := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	add(factory.Core().V1().Namespaces().Informer().GetStore().Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "a"}}}))
	add(factory.Admissionregistration().V1().MutatingWebhookConfigurations().Informer().GetStore().Add(&admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "c", UID: "u", ResourceVersion: "7"}, Webhooks: webhooks,
	}))
	return newObservers(factory, all)[mutatingwebhook.PluginName]
}

func rule(operation admissionregistrationv1.OperationType, resource string, change ...func(*admissionregistrationv1.RuleWithOperations)) []admissionregistrationv1.RuleWithOperations {
	r := admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{operation}, Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
	}
	for _, f := range change {
		f(&r)
	}
	return []admissionregistrationv1.RuleWithOperations{r}
}

func createOf(labels map[string]string) admission.Attributes {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "shop", Labels: labels}}
	return admission.NewAttributesRecord(object, nil, schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "shop", "settings", corev1.SchemeGroupVersion.WithResource("configmaps"), "",
		admission.Create, &metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "bob"})
}

// webhookIf returns a webhook with matchConditions, by names and expressions.
func webhookIf(failure *admissionregistrationv1.FailurePolicyType, conditions ...string) admissionregistrationv1.MutatingWebhook {
	w := admissionregistrationv1.MutatingWebhook{Rules: rule("CREATE", "configmaps"), FailurePolicy: failure}
	for i := 0; i < len(conditions); i += 2 {
		w.MatchConditions = append(w.MatchConditions, admissionregistrationv1.MatchCondition{Name: conditions[i], Expression: conditions[i+1]})
	}
	return w
}

func TestWhyAWebhookWasNotCalled(t *testing.T) {
	matching := rule("CREATE", "configmaps")
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "b"}}
	called := func(names ...string) func(*recorder.Record) {
		return func(r *recorder.Record) {
			for _, name := range names {
				r.Called(name, nil, time.Millisecond)
			}
		}
	}
	for _, row := range []struct {
		name    string
		webhook admissionregistrationv1.MutatingWebhook
		before  func(*recorder.Record)
		again   bool
		verdict diagnostics.StopVerdict
		reason  string
	}{
		{"another operation", admissionregistrationv1.MutatingWebhook{Rules: rule("DELETE", "configmaps")}, nil, false, diagnostics.StopNotCalled, "no rule matches: operations"},
		{"another group and resource, of the nearest rule", admissionregistrationv1.MutatingWebhook{Rules: append(rule("DELETE", "pods", func(r *admissionregistrationv1.RuleWithOperations) { r.APIGroups = []string{"apps"} }),
			rule("*", "secrets", func(r *admissionregistrationv1.RuleWithOperations) { r.APIVersions = []string{"v2"} })...)}, nil, false, diagnostics.StopNotCalled, "no rule matches: apiVersions, resources"},
		{"a rule for subresources", admissionregistrationv1.MutatingWebhook{Rules: rule("CREATE", "configmaps/status")}, nil, false, diagnostics.StopNotCalled, "no rule matches: resources"},
		{"another scope", admissionregistrationv1.MutatingWebhook{Rules: rule("CREATE", "*", func(r *admissionregistrationv1.RuleWithOperations) {
			r.Scope = ptr.To(admissionregistrationv1.ClusterScope)
		})}, nil, false, diagnostics.StopNotCalled, "no rule matches: scope"},
		{"no rules", admissionregistrationv1.MutatingWebhook{}, nil, false, diagnostics.StopNotCalled, "it has no rules"},
		{"labels of the namespace", admissionregistrationv1.MutatingWebhook{Rules: matching, NamespaceSelector: selector}, nil, false, diagnostics.StopNotCalled, misfitNamespace},
		{"labels of the object", admissionregistrationv1.MutatingWebhook{Rules: matching, ObjectSelector: selector}, nil, false, diagnostics.StopNotCalled, misfitObject},
		{"conditions", admissionregistrationv1.MutatingWebhook{Rules: matching, MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "a"}, {Name: "b"}}}, nil, false, diagnostics.StopNotCalled, "matchConditions: not all are true of a, b"},
		{"a single condition", webhookIf(nil, "a", ""), nil, false, diagnostics.StopNotCalled, "matchConditions: a is false"},
		{"a single condition that may fail", webhookIf(ptr.To(admissionregistrationv1.Ignore), "a", ""), nil, false, diagnostics.StopNotCalled, "matchConditions: a is false, or failed"},
		{"the second condition", webhookIf(nil, "a", "true", "b", "object.metadata.name == 'other'", "c", "false"), nil, false, diagnostics.StopNotCalled, "matchConditions: b is false"},
		{"a condition that fails, besides a true one", webhookIf(ptr.To(admissionregistrationv1.Ignore), "a", "object.data.x == 'y'", "b", "true"), nil, false, diagnostics.StopNotCalled, "matchConditions: a is false, or failed"},
		{"a condition that asks an authorizer, besides a true one", webhookIf(nil, "a", "authorizer.path('/x').check('get').allowed()", "b", "true"), nil, false, diagnostics.StopNotCalled, "matchConditions: a is false, or failed"},
		{"conditions, after a webhook changed the object", webhookIf(nil, "a", "true", "b", "false"), func(r *recorder.Record) {
			r.Annotated("mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"a.example.com","mutated":true}`)
		}, false, diagnostics.StopNotCalled, reasonChanged},
		{"it is new", admissionregistrationv1.MutatingWebhook{Rules: matching}, nil, false, diagnostics.StopNotCalled, reasonTooNew},
		{"an earlier webhook refused", admissionregistrationv1.MutatingWebhook{Rules: matching}, func(r *recorder.Record) {
			r.Called("c/a.example.com", nil, time.Millisecond)
			r.RefusedBy(recorder.MutatingAdmission, "MutatingAdmissionWebhook", "a.example.com", "")
		}, false, diagnostics.StopNotCalled, reasonEnded},
		{"a later webhook made it match", admissionregistrationv1.MutatingWebhook{Rules: matching}, func(r *recorder.Record) {
			r.Annotated("mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"a.example.com","mutated":true}`)
		}, true, diagnostics.StopNotCalled, reasonChanged},
		{"it was called", admissionregistrationv1.MutatingWebhook{Rules: matching}, called("c/w.example.com"), false, diagnostics.StopPassed, ""},
		{"it was called by its address", admissionregistrationv1.MutatingWebhook{Rules: matching, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://w/x")}}, called("https://w/x"), false, "", ""},
		{"it was called once", admissionregistrationv1.MutatingWebhook{Rules: matching}, func(r *recorder.Record) {
			r.Called("c/w.example.com", nil, time.Millisecond)
			r.Annotated("mutation.webhook.admission.k8s.io/round_0_index_0", `{"configuration":"c","webhook":"a.example.com","mutated":true}`)
		}, true, diagnostics.StopPassed, reasonOnce},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.webhook.Name = "w.example.com"
			a := createOf(map[string]string{"team": "a"})
			if row.again {
				a.GetReinvocationContext().SetIsReinvoke()
			}
			first := admissionregistrationv1.MutatingWebhook{Name: "a.example.com", Rules: matching}
			got := observed(t, observerOf(t, first, row.webhook), a, row.before)["c/w.example.com"]
			if got.Verdict != row.verdict || got.Reason != row.reason {
				t.Errorf("the entry is %+v", got)
			}
			if row.verdict == diagnostics.StopNotCalled && (len(got.Objects) != 1 || got.Objects[0].ResourceVersion != "7") {
				t.Errorf("the objects are %+v", got.Objects)
			}
		})
	}
}

func TestRegistrationsFollowTheirObjects(t *testing.T) {
	b := observerOf(t, admissionregistrationv1.MutatingWebhook{Name: "w.example.com"})
	before := b.registrations.current()
	if b.registrations.current() != before {
		t.Error("unchanged objects are compiled again")
	}
	store := b.registrations.stores[0]
	if err := store.Update(&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "c"}}); err != nil {
		t.Fatal(err)
	}
	if after := b.registrations.current(); after == before || len(after.all) != 0 {
		t.Errorf("after a change there are %+v", after)
	}
	for _, object := range store.List() {
		if err := store.Delete(object); err != nil {
			t.Fatal(err)
		}
	}
	if after := b.registrations.current(); after != nil {
		t.Errorf("without objects there are %+v", after)
	}
}

// BenchmarkUncalled measures what a write costs more with webhooks that do not match it.
func BenchmarkUncalled(b *testing.B) {
	for _, number := range []int{0, 1, 20} {
		b.Run(fmt.Sprint(number), func(b *testing.B) {
			var webhooks []admissionregistrationv1.MutatingWebhook
			for i := range number {
				webhooks = append(webhooks, admissionregistrationv1.MutatingWebhook{Name: fmt.Sprintf("w%d.example.com", i), Rules: rule("CREATE", "pods")})
			}
			observer := observerOf(b, webhooks...)
			if number == 0 {
				store := observer.registrations.stores[0]
				for _, object := range store.List() {
					if err := store.Delete(object); err != nil {
						b.Fatal(err)
					}
				}
			}
			a, o := createOf(nil), admission.NewObjectInterfacesFromScheme(schemeOfTests())
			r := recorder.New(recorder.Config{Options: recorder.Options{Mode: recorder.All, Kept: 16}})
			b.ReportAllocs()
			r.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				record := recorder.From(req.Context())
				for b.Loop() {
					observer.observe(req.Context(), record, nil, a, o)
				}
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
		})
	}
}
