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
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// newLazy returns the plugin of validating webhooks as in the chain.
func newLazy(t *testing.T, objects ...runtime.Object) *lazyValidation {
	t.Helper()
	client := fake.NewClientset(append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})...)
	factory := informers.NewSharedInformerFactory(client, 0)
	plugins := admission.NewPlugins()
	Register(plugins)
	initializers := admission.PluginInitializers{
		initializer.New(client, nil, factory, nil, utilfeature.DefaultFeatureGate, nil, t.Context().Done(), nil),
	}
	plugin, err := plugins.InitPlugin(validatingwebhook.PluginName, nil, append(initializers, &lazyInitializer{informers: factory, all: initializers}))
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	return plugin.(*lazyValidation)
}

func TestAPluginThatHasNothingToDoIsNotBuilt(t *testing.T) {
	l := newLazy(t)
	l.build = func() (admission.Interface, error) {
		t.Error("it was built")
		return nil, nil
	}
	if err := l.Validate(t.Context(), attributes(admission.Create, "default"), nil); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestAPluginWithAConfigurationIsBuiltAndDecides(t *testing.T) {
	l := newLazy(t, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "hooks"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:          "down.example.com",
			ClientConfig:  admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")},
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), MatchPolicy: ptr.To(admissionregistrationv1.Exact),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), TimeoutSeconds: ptr.To[int32](1),
			AdmissionReviewVersions: []string{"v1"}, NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
			}},
		}},
	})
	scheme, group := runtime.NewScheme(), schema.GroupVersion{Group: "g", Version: "v1"}
	scheme.AddKnownTypeWithName(group.WithKind("K"), &metav1.PartialObjectMetadata{})
	objects := admission.NewObjectInterfacesFromScheme(scheme)
	if err := l.Validate(t.Context(), attributes(admission.Create, "default"), objects); err == nil || !strings.Contains(err.Error(), `"down.example.com"`) {
		t.Errorf("got %v", err)
	}
	if err := l.Validate(t.Context(), attributes(admission.Update, "default"), objects); err != nil {
		t.Errorf("another operation is refused: %v", err)
	}
}

func TestAnInvalidConfigurationEndsTheStart(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: "
	for _, tc := range []struct{ name, config, message string }{
		{"no configuration", head + "WebhookAdmissionConfiguration", ""},
		{"something else", "kind: Pod", "configuration of MutatingAdmissionWebhook: "},
		{"a directory of manifests", head + "WebhookAdmissionConfiguration\nstaticManifestsDir: " + t.TempDir(), "staticManifestsDir is not supported: create the objects instead"},
		{"a kubeconfig that is not there", head + "WebhookAdmissionConfiguration\nkubeConfigFile: /nowhere/kubeconfig", "/nowhere/kubeconfig"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			factory := registerLazily(mutatingwebhook.PluginName, mutatingwebhook.Register, checkWebhooks, mutating, admission.Create)
			plugins := admission.NewPlugins()
			factory(plugins)
			_, err := plugins.InitPlugin(mutatingwebhook.PluginName, strings.NewReader(tc.config), admission.PluginInitializers{})
			// Without initializers the plugin is incomplete, which is another error.
			if incomplete := err != nil && strings.Contains(err.Error(), "needs informers of its triggers"); tc.message == "" && !incomplete || tc.message != "" && (err == nil || !strings.Contains(err.Error(), tc.message)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAReviewNamesWebhooksWithSideEffectsAndDoesNotCallThem(t *testing.T) {
	hook := func(name string, effects *admissionregistrationv1.SideEffectClass, operation admissionregistrationv1.OperationType) admissionregistrationv1.ValidatingWebhook {
		return admissionregistrationv1.ValidatingWebhook{
			Name: name, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")},
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), MatchPolicy: ptr.To(admissionregistrationv1.Exact), SideEffects: effects, TimeoutSeconds: ptr.To[int32](1),
			AdmissionReviewVersions: []string{"v1"}, NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{operation}, Rule: admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
			}},
		}
	}
	some, none, create := ptr.To(admissionregistrationv1.SideEffectClassSome), ptr.To(admissionregistrationv1.SideEffectClassNone), admissionregistrationv1.Create
	scheme, group := runtime.NewScheme(), schema.GroupVersion{Group: "g", Version: "v1"}
	scheme.AddKnownTypeWithName(group.WithKind("K"), &metav1.PartialObjectMetadata{})
	objects := admission.NewObjectInterfacesFromScheme(scheme)
	for _, tc := range []struct {
		name    string
		hooks   []admissionregistrationv1.ValidatingWebhook
		skipped []string
		err     string
	}{
		{"side effects", []admissionregistrationv1.ValidatingWebhook{hook("some.example.com", some, create)}, []string{"hooks/some.example.com"}, ""},
		{"side effects that are not declared", []admissionregistrationv1.ValidatingWebhook{hook("old.example.com", nil, create)}, []string{"hooks/old.example.com"}, ""},
		{"side effects on another operation", []admissionregistrationv1.ValidatingWebhook{hook("some.example.com", some, admissionregistrationv1.Delete)}, nil, ""},
		{"a webhook without beside one with", []admissionregistrationv1.ValidatingWebhook{hook("some.example.com", some, create), hook("none.example.com", none, create)}, []string{"hooks/some.example.com"}, `failed calling webhook "none.example.com"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLazy(t, &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "hooks"}, Webhooks: tc.hooks})
			var err error
			trace, _ := diagnostics.New(diagnostics.Config{Options: diagnostics.NewOptions()}).Review(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				diagnostics.From(r.Context()).Enter(diagnostics.ValidatingAdmission)
				err = l.Validate(r.Context(), attributes(admission.Create, "default"), objects)
			}), httptest.NewRequest(http.MethodPost, "/", nil), diagnostics.Review{User: &user.DefaultInfo{Name: "bob"}})
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("got %v", err)
			}
			var skipped []string
			for _, stop := range trace.Stops {
				if string(stop.Verdict) == "Skipped" {
					skipped = append(skipped, stop.By)
				}
			}
			if !slices.Equal(skipped, tc.skipped) {
				t.Errorf("skipped are %v of %+v", skipped, trace.Stops)
			}
		})
	}
}
