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
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/webhook"
)

// staticSuffix ends the names of configurations that a server reads from files. Objects in the API
// cannot have such names, which would be ambiguous.
const staticSuffix = ".static.k8s.io"

// Timeout of a webhook in seconds; a write waits for as long.
const minTimeoutSeconds, maxTimeoutSeconds = 1, 30

// validateMeta checks the metadata of a new object; on update the library does.
func validateMeta(meta *metav1.ObjectMeta) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(meta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if strings.HasSuffix(meta.Name, staticSuffix) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), meta.Name, "names that end in "+staticSuffix+" are for configurations in files of the server"))
	}
	return errs
}

// ValidateValidatingWebhookConfiguration checks a configuration; old is nil for a new one.
func (v *Validator) ValidateValidatingWebhookConfiguration(config, old *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	if old == nil {
		return append(validateMeta(&config.ObjectMeta), v.validateWebhooks(validating(config.Webhooks), lenience{})...)
	}
	hooks, oldHooks := validating(config.Webhooks), validating(old.Webhooks)
	return v.validateWebhooks(hooks, lenienceOf(hooks, oldHooks))
}

// ValidateMutatingWebhookConfiguration checks a configuration; old is nil for a new one.
func (v *Validator) ValidateMutatingWebhookConfiguration(config, old *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	if old == nil {
		return append(validateMeta(&config.ObjectMeta), v.validateWebhooks(config.Webhooks, lenience{})...)
	}
	return v.validateWebhooks(config.Webhooks, lenienceOf(config.Webhooks, old.Webhooks))
}

// validating converts validating webhooks to mutating ones, which have one more field, so that the
// rest of this file handles both.
func validating(hooks []admissionregistrationv1.ValidatingWebhook) []admissionregistrationv1.MutatingWebhook {
	out := make([]admissionregistrationv1.MutatingWebhook, 0, len(hooks))
	for _, hook := range hooks {
		out = append(out, admissionregistrationv1.MutatingWebhook{
			Name: hook.Name, ClientConfig: hook.ClientConfig, Rules: hook.Rules,
			FailurePolicy: hook.FailurePolicy, MatchPolicy: hook.MatchPolicy,
			NamespaceSelector: hook.NamespaceSelector, ObjectSelector: hook.ObjectSelector,
			SideEffects: hook.SideEffects, TimeoutSeconds: hook.TimeoutSeconds,
			AdmissionReviewVersions: hook.AdmissionReviewVersions, MatchConditions: hook.MatchConditions,
		})
	}
	return out
}

func (v *Validator) validateWebhooks(hooks []admissionregistrationv1.MutatingWebhook, lenience lenience) field.ErrorList {
	var errs field.ErrorList
	expressions := v.expressions(lenience.stored, false, false)
	names := sets.New[string]()
	for i := range hooks {
		hook, at := &hooks[i], field.NewPath("webhooks").Index(i)
		errs = append(errs, validateWebhook(hook, lenience, at)...)
		if !lenience.matchConditions {
			errs = append(errs, validateMatchConditions(hook.MatchConditions, expressions, at.Child("matchConditions"))...)
		}
		if hook.Name != "" && names.Has(hook.Name) && !lenience.repeatedNames {
			errs = append(errs, field.Duplicate(at.Child("name"), hook.Name))
		}
		names.Insert(hook.Name)
	}
	return errs
}

func validateWebhook(hook *admissionregistrationv1.MutatingWebhook, lenience lenience, at *field.Path) field.ErrorList {
	errs := withCure(utilvalidation.IsFullyQualifiedName(at.Child("name"), hook.Name), "a webhook has a name of at least three parts, such as inject.example.com")
	for i := range hook.Rules {
		errs = append(errs, validateRule(&hook.Rules[i], at.Child("rules").Index(i))...)
	}
	if hook.FailurePolicy != nil {
		errs = append(errs, validateFailurePolicy(*hook.FailurePolicy, at.Child("failurePolicy"))...)
	}
	if hook.MatchPolicy != nil {
		errs = append(errs, validateMatchPolicy(*hook.MatchPolicy, at.Child("matchPolicy"))...)
	}
	if hook.ReinvocationPolicy != nil {
		errs = append(errs, validateReinvocationPolicy(*hook.ReinvocationPolicy, at.Child("reinvocationPolicy"))...)
	}
	if seconds := hook.TimeoutSeconds; seconds != nil && (*seconds < minTimeoutSeconds || *seconds > maxTimeoutSeconds) {
		errs = append(errs, field.Invalid(at.Child("timeoutSeconds"), *seconds, "must be from 1 to 30: the request waits for the webhook"))
	}
	selectors := metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: lenience.anyLabelValue}
	if hook.NamespaceSelector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(hook.NamespaceSelector, selectors, at.Child("namespaceSelector"))...)
	}
	if hook.ObjectSelector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(hook.ObjectSelector, selectors, at.Child("objectSelector"))...)
	}
	errs = append(errs, validateSideEffects(hook.SideEffects, lenience.anySideEffects, at.Child("sideEffects"))...)
	errs = append(errs, validateReviewVersions(hook.AdmissionReviewVersions, lenience.anyReviewVersion, at.Child("admissionReviewVersions"))...)
	return append(errs, validateClientConfig(&hook.ClientConfig, at.Child("clientConfig"))...)
}

// validateSideEffects requires that a dry run has no side effects.
func validateSideEffects(effects *admissionregistrationv1.SideEffectClass, lenient bool, at *field.Path) field.ErrorList {
	if effects == nil {
		return field.ErrorList{field.Required(at, "must be None, or NoneOnDryRun for a webhook that evaluates dryRun")}
	}
	allowed := harmless()
	if lenient {
		allowed = append(allowed, admissionregistrationv1.SideEffectClassUnknown, admissionregistrationv1.SideEffectClassSome)
	}
	return oneOf(*effects, at, allowed...)
}

func harmless() []admissionregistrationv1.SideEffectClass {
	return []admissionregistrationv1.SideEffectClass{admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.SideEffectClassNoneOnDryRun}
}

// spoken reports whether admission supports a version of AdmissionReview.
func spoken(version string) bool { return version == "v1" || version == "v1beta1" }

func validateReviewVersions(versions []string, lenient bool, at *field.Path) field.ErrorList {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(at, "name the versions of AdmissionReview that the webhook understands: v1, v1beta1 or both")}
	}
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, version := range versions {
		if seen.Has(version) {
			errs = append(errs, field.Invalid(at.Index(i), version, "is there already"))
			continue
		}
		seen.Insert(version)
		for _, message := range utilvalidation.IsDNS1035Label(version) {
			errs = append(errs, field.Invalid(at.Index(i), version, message))
		}
	}
	if !lenient && !slices.ContainsFunc(versions, spoken) {
		errs = append(errs, field.Invalid(at, versions, "v1 or v1beta1 must be among them: this server sends no other"))
	}
	return errs
}

func validateClientConfig(config *admissionregistrationv1.WebhookClientConfig, at *field.Path) field.ErrorList {
	switch {
	case (config.URL == nil) == (config.Service == nil):
		return field.ErrorList{field.Required(at, "exactly one of url or service is required")}
	case config.URL != nil:
		return webhook.ValidateWebhookURL(at.Child("url"), *config.URL, true)
	}
	service := config.Service
	var port int32
	if service.Port != nil {
		port = *service.Port
	}
	return withCure(webhook.ValidateWebhookService(at.Child("service"), service.Namespace, service.Name, service.Path, port), "a service is called by namespace and name")
}

// withCure adds a message to errors of the library that have none.
func withCure(errs field.ErrorList, cure string) field.ErrorList {
	for _, err := range errs {
		if err.Detail == "" {
			err.Detail = cure
		}
	}
	return errs
}
