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
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
)

// lenience is what an update may leave as it is, although a new object could not have it: an older
// server accepted it, and a change of something else must not require its correction. The zero value
// allows nothing.
type lenience struct {
	anySideEffects, anyReviewVersion, repeatedNames, anyLabelValue bool
	// matchConditions are the same as before, in all that they depend on.
	matchConditions bool
	stored          stored
}

// lenienceOf returns what an update of webhooks may leave as it is.
func lenienceOf(hooks, old []admissionregistrationv1.MutatingWebhook) lenience {
	l := lenience{
		stored: stored{},
		matchConditions: slices.EqualFunc(hooks, old, func(a, b admissionregistrationv1.MutatingWebhook) bool {
			return apiequality.Semantic.DeepEqual(a.MatchConditions, b.MatchConditions)
		}),
	}
	names := sets.New[string]()
	for _, hook := range old {
		l.anySideEffects = l.anySideEffects || hook.SideEffects == nil || !slices.Contains(harmless(), *hook.SideEffects)
		l.anyReviewVersion = l.anyReviewVersion || len(hook.AdmissionReviewVersions) > 0 && !slices.ContainsFunc(hook.AdmissionReviewVersions, spoken)
		l.repeatedNames = l.repeatedNames || names.Has(hook.Name)
		l.anyLabelValue = l.anyLabelValue || wrong(hook.NamespaceSelector) || wrong(hook.ObjectSelector)
		names.Insert(hook.Name)
		l.addConditions(hook.MatchConditions)
	}
	return l
}

func wrong(selector *metav1.LabelSelector) bool {
	return selector != nil && len(metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, nil)) > 0
}

func (l *lenience) addConditions(conditions []admissionregistrationv1.MatchCondition) {
	for _, condition := range conditions {
		l.stored.add(roleMatchCondition, condition.Expression)
	}
}

func (l *lenience) addVariables(variables []admissionregistrationv1.Variable) {
	for _, variable := range variables {
		l.stored.add(roleVariable, variable.Expression)
	}
}

// sameConditions reports whether match conditions are unchanged, with paramKind: whether they may use
// params depends on it.
func sameConditions(conditions, old []admissionregistrationv1.MatchCondition, params, oldParams *admissionregistrationv1.ParamKind) bool {
	return apiequality.Semantic.DeepEqual(conditions, old) && apiequality.Semantic.DeepEqual(params, oldParams)
}

func lenienceOfValidating(policy, old *admissionregistrationv1.ValidatingAdmissionPolicy) lenience {
	if old == nil {
		return lenience{}
	}
	l := lenience{
		stored:          stored{},
		matchConditions: sameConditions(policy.Spec.MatchConditions, old.Spec.MatchConditions, policy.Spec.ParamKind, old.Spec.ParamKind),
	}
	l.addConditions(old.Spec.MatchConditions)
	l.addVariables(old.Spec.Variables)
	for _, validation := range old.Spec.Validations {
		l.stored.add(roleValidation, validation.Expression)
		l.stored.add(roleMessage, validation.MessageExpression)
	}
	for _, annotation := range old.Spec.AuditAnnotations {
		l.stored.add(roleAuditAnnotation, annotation.ValueExpression)
	}
	return l
}

func lenienceOfMutating(policy, old *admissionregistrationv1.MutatingAdmissionPolicy) lenience {
	if old == nil {
		return lenience{}
	}
	l := lenience{
		stored:          stored{},
		matchConditions: sameConditions(policy.Spec.MatchConditions, old.Spec.MatchConditions, policy.Spec.ParamKind, old.Spec.ParamKind),
	}
	l.addConditions(old.Spec.MatchConditions)
	l.addVariables(old.Spec.Variables)
	for _, mutation := range old.Spec.Mutations {
		if mutation.ApplyConfiguration != nil {
			l.stored.add(roleApplyConfiguration, mutation.ApplyConfiguration.Expression)
		}
		if mutation.JSONPatch != nil {
			l.stored.add(roleJSONPatch, mutation.JSONPatch.Expression)
		}
	}
	return l
}
