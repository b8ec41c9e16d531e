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

package policies

import (
	"context"
	"maps"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

// policyOf returns a policy about config maps, and its binding.
func policyOf(name string, spec admissionregistrationv1.ValidatingAdmissionPolicySpec, actions ...admissionregistrationv1.ValidationAction) []runtime.Object {
	spec.MatchConstraints = &admissionregistrationv1.MatchResources{
		MatchPolicy: ptr.To(admissionregistrationv1.Exact), NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"case": name}},
		ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{"CREATE"}, Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
		}}},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: actions},
	}
	if spec.ParamKind != nil {
		binding.Spec.ParamRef = &admissionregistrationv1.ParamRef{Name: "limits", Namespace: "shop", ParameterNotFoundAction: ptr.To(admissionregistrationv1.DenyAction)}
	}
	return []runtime.Object{&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, binding}
}

// annotated keeps what a plugin reports to the audit log.
type annotated struct {
	admission.Attributes
	all map[string]string
}

func (a annotated) AddAnnotation(key, value string) error {
	a.all[key] = value
	return nil
}

// TestPoliciesAreDecidedAboutAsByTheLibrary compares this package's composition with the library's.
func TestPoliciesAreDecidedAboutAsByTheLibrary(t *testing.T) {
	type spec = admissionregistrationv1.ValidatingAdmissionPolicySpec
	validations := func(all ...admissionregistrationv1.Validation) []admissionregistrationv1.Validation { return all }
	deny := []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	cases := map[string][]runtime.Object{
		"passes":     policyOf("passes", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "true"})}, deny...),
		"message":    policyOf("message", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "true"}, admissionregistrationv1.Validation{Expression: "false", Message: "not so", Reason: ptr.To(metav1.StatusReasonForbidden)})}, deny...),
		"expression": policyOf("expression", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "object.data.a == 'x'", MessageExpression: "'a is ' + object.data.a"})}, deny...),
		"variables": policyOf("variables", spec{
			Variables:       []admissionregistrationv1.Variable{{Name: "a", Expression: "object.data.a"}, {Name: "b", Expression: "variables.a + 'b'"}},
			MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "it", Expression: "variables.a == '1'"}},
			Validations:     validations(admissionregistrationv1.Validation{Expression: "variables.b != '1b'", MessageExpression: "variables.b"}),
		}, deny...),
		"authorizer": policyOf("authorizer", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "!authorizer.path('/x').check('get').allowed()", Message: "allowed"})}, deny...),
		"skipped":    policyOf("skipped", spec{MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "no", Expression: "false"}}, Validations: validations(admissionregistrationv1.Validation{Expression: "false"})}, deny...),
		"fails":      policyOf("fails", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "object.data.none == ''"})}, deny...),
		"ignores":    policyOf("ignores", spec{FailurePolicy: ptr.To(admissionregistrationv1.Ignore), Validations: validations(admissionregistrationv1.Validation{Expression: "object.data.none == ''"})}, deny...),
		"broken":     policyOf("broken", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "nothing +"})}, deny...),
		"audited":    policyOf("audited", spec{Validations: validations(admissionregistrationv1.Validation{Expression: "false", Message: "noted"}), AuditAnnotations: []admissionregistrationv1.AuditAnnotation{{Key: "a", ValueExpression: "object.data.a"}}}, admissionregistrationv1.Audit),
		"parameters": policyOf("parameters", spec{ParamKind: &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}, Validations: validations(admissionregistrationv1.Validation{Expression: "object.data.a < params.data.most", MessageExpression: "'most ' + params.data.most"})}, deny...),
	}
	objects := []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "limits", Namespace: "shop"}, Data: map[string]string{"most": "1"}},
	}
	for _, all := range cases {
		objects = append(objects, all...)
	}
	ours, library := start(t, RegisterValidating, objects), start(t, validating.Register, objects)
	for name := range cases {
		t.Run(name, func(t *testing.T) {
			decide := func(plugin admission.ValidationInterface, ctx context.Context) (string, map[string]string) {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "shop", Labels: map[string]string{"case": name}}, Data: map[string]string{"a": "1"}}
				a := annotated{admission.NewAttributesRecord(object, nil, corev1.SchemeGroupVersion.WithKind("ConfigMap"), "shop", "a", corev1.SchemeGroupVersion.WithResource("configmaps"), "",
					admission.Create, &metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "bob"}), map[string]string{}}
				err := plugin.Validate(ctx, a, admission.NewObjectInterfacesFromScheme(schemeOf()))
				if err == nil {
					return "", a.all
				}
				return err.Error(), a.all
			}
			want, wanted := decide(library, t.Context())
			ctx, outcomes := WithOutcomes(t.Context())
			got, noted := decide(ours, ctx)
			if got != want || !maps.Equal(noted, wanted) {
				t.Errorf("decided %q %v, the library %q %v", got, noted, want, wanted)
			}
			if outcome, known := outcomes.Of(name + "/" + name); !known || outcome.Evaluated == (name == "skipped") || (outcome.Condition == "no") != (name == "skipped") {
				t.Errorf("the outcome is %+v, %t", outcome, known)
			}
		})
	}
}

func schemeOf() *runtime.Scheme {
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	return scheme
}

// start returns a plugin that has compiled the objects.
func start(t *testing.T, register func(*admission.Plugins), objects []runtime.Object) admission.ValidationInterface {
	t.Helper()
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	allow := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionAllow, "", nil
	})
	plugins := admission.NewPlugins()
	register(plugins)
	plugin, err := plugins.InitPlugin(validating.PluginName, nil, initializer.New(client, dynamicfake.NewSimpleDynamicClient(schemeOf()), factory, allow, utilfeature.DefaultFeatureGate, nil, t.Context().Done(), mapper))
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	ready, ok := plugin.(interface{ WaitForReady() bool })
	for begun := time.Now(); ok && !ready.WaitForReady(); {
		if time.Since(begun) > time.Minute {
			t.Fatal("the plugin does not get ready")
		}
	}
	return plugin.(admission.ValidationInterface)
}
