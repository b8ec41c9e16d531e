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

package validation

import (
	"fmt"
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
)

// The kinds of wrong, as a client reads them.
const (
	required    = "required "
	invalid     = "invalid "
	unsupported = "unsupported "
	duplicate   = "duplicate "
	forbidden   = "forbidden "
	tooMany     = "too many "
)

// expect compares what is wrong and where, in any order.
func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	words := map[field.ErrorType]string{
		field.ErrorTypeRequired: required, field.ErrorTypeInvalid: invalid, field.ErrorTypeNotSupported: unsupported,
		field.ErrorTypeDuplicate: duplicate, field.ErrorTypeForbidden: forbidden, field.ErrorTypeTooMany: tooMany,
	}
	var got []string
	for _, err := range errs {
		got = append(got, words[err.Type]+err.Field)
		if err.Detail == "" && err.Type != field.ErrorTypeDuplicate {
			t.Errorf("%v says no more than that", err)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("wrong are %q\nwant %q\n%v", got, want, errs)
	}
}

func to[T any](value T) *T { return &value }

func rule() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{"fleet.gatehouse.dev"}, APIVersions: []string{"v1alpha1"}, Resources: []string{"instances"}},
	}
}

func mutatingWebhooks() *admissionregistrationv1.MutatingWebhookConfiguration {
	config := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "injector"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:                    "inject.example.com",
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: to("https://injector.example.com/inject")},
			Rules:                   []admissionregistrationv1.RuleWithOperations{rule()},
			SideEffects:             to(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: "not-mine", Expression: "request.userInfo.username != 'injector'"}},
		}},
	}
	admissionregistration.SetDefaults_MutatingWebhookConfiguration(config)
	return config
}

func validatingWebhooks() *admissionregistrationv1.ValidatingWebhookConfiguration {
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "checker"}}
	for _, hook := range mutatingWebhooks().Webhooks {
		config.Webhooks = append(config.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name: hook.Name, ClientConfig: hook.ClientConfig, Rules: hook.Rules, SideEffects: hook.SideEffects,
			AdmissionReviewVersions: hook.AdmissionReviewVersions, MatchConditions: hook.MatchConditions,
		})
	}
	admissionregistration.SetDefaults_ValidatingWebhookConfiguration(config)
	return config
}

func matches() *admissionregistrationv1.MatchResources {
	return &admissionregistrationv1.MatchResources{
		ResourceRules:        []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: rule()}},
		ExcludeResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{ResourceNames: []string{"spared"}, RuleWithOperations: rule()}},
	}
}

func params() *admissionregistrationv1.ParamKind {
	return &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
}

func validatingPolicy() *admissionregistrationv1.ValidatingAdmissionPolicy {
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "registries"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			ParamKind:        params(),
			MatchConstraints: matches(),
			MatchConditions:  []admissionregistrationv1.MatchCondition{{Name: "people", Expression: "!request.userInfo.username.startsWith('system:')"}},
			Variables:        []admissionregistrationv1.Variable{{Name: "containers", Expression: "object.spec.containers"}},
			Validations: []admissionregistrationv1.Validation{{
				Expression:        "variables.containers.all(c, c.image.startsWith(params.data.registry))",
				Message:           "use our registry",
				MessageExpression: "'use ' + string(params.data.registry)",
				Reason:            to(metav1.StatusReasonForbidden),
			}},
			AuditAnnotations: []admissionregistrationv1.AuditAnnotation{{Key: "images", ValueExpression: "string(variables.containers.size())"}},
		},
	}
	admissionregistration.SetDefaults_ValidatingAdmissionPolicy(policy)
	return policy
}

func mutatingPolicy() *admissionregistrationv1.MutatingAdmissionPolicy {
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "labels"},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			ParamKind:          params(),
			MatchConstraints:   matches(),
			MatchConditions:    []admissionregistrationv1.MatchCondition{{Name: "people", Expression: "!request.userInfo.username.startsWith('system:')"}},
			Variables:          []admissionregistrationv1.Variable{{Name: "team", Expression: "string(params.data.team)"}},
			ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: "Object{metadata: Object.metadata{labels: {'team': variables.team}}}"},
			}, {
				PatchType: admissionregistrationv1.PatchTypeJSONPatch,
				JSONPatch: &admissionregistrationv1.JSONPatch{Expression: "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: variables.team}]"},
			}},
		},
	}
	admissionregistration.SetDefaults_MutatingAdmissionPolicy(policy)
	return policy
}

func paramRef() *admissionregistrationv1.ParamRef {
	return &admissionregistrationv1.ParamRef{Name: "settings", Namespace: "default", ParameterNotFoundAction: to(admissionregistrationv1.DenyAction)}
}

func validatingBinding() *admissionregistrationv1.ValidatingAdmissionPolicyBinding {
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "registries"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "registries", ParamRef: paramRef(), MatchResources: matches(),
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny, admissionregistrationv1.Audit},
		},
	}
	admissionregistration.SetDefaults_ValidatingAdmissionPolicyBinding(binding)
	return binding
}

func mutatingBinding() *admissionregistrationv1.MutatingAdmissionPolicyBinding {
	binding := &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "labels"},
		Spec:       admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "labels", ParamRef: paramRef(), MatchResources: matches()},
	}
	admissionregistration.SetDefaults_MutatingAdmissionPolicyBinding(binding)
	return binding
}

// repeated makes n of something.
func repeated[T any](n int, one func(i int) T) []T {
	var all []T
	for i := range n {
		all = append(all, one(i))
	}
	return all
}

func numbered(i int) string { return fmt.Sprintf("n%d", i) }
