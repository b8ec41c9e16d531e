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

// Package validation validates objects of flowcontrol.apiserver.k8s.io. Code, reason and field of each
// error are those of a kube-apiserver; the messages are our own.
//
// Stage 4 of the request path (see ARCHITECTURE.md). The strategies in pkg/registry/flowcontrol call one
// function for each write.
package validation

import (
	"fmt"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	corevalidation "github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
)

// supportedVerbs are the verbs of a rule, besides the wildcard.
var supportedVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"}

func validateMeta(meta *metav1.ObjectMeta) field.ErrorList {
	return append(apivalidation.ValidateObjectMeta(meta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata")), corevalidation.ValidateFinalizers(meta)...)
}

// ValidateFlowSchema checks a FlowSchema, in a create and in an update. A mandatory one has a fixed spec.
func ValidateFlowSchema(schema *flowcontrolv1.FlowSchema) field.ErrorList {
	errs := validateMeta(&schema.ObjectMeta)
	path, spec := field.NewPath("spec"), &schema.Spec
	errs = append(errs, validatePrecedence(schema, path.Child("matchingPrecedence"))...)
	if method := spec.DistinguisherMethod; method != nil {
		methods := []flowcontrolv1.FlowDistinguisherMethodType{flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType}
		if !slices.Contains(methods, method.Type) {
			errs = append(errs, field.NotSupported(path.Child("distinguisherMethod", "type"), method.Type, methods))
		}
	}
	errs = append(errs, validateLevelName(spec.PriorityLevelConfiguration.Name, path.Child("priorityLevelConfiguration", "name"))...)
	for i := range spec.Rules {
		errs = append(errs, validateRule(&spec.Rules[i], path.Child("rules").Index(i))...)
	}
	for _, mandatory := range bootstrap.MandatoryFlowSchemas {
		if mandatory.Name == schema.Name && !apiequality.Semantic.DeepEqual(*spec, mandatory.Spec) {
			errs = append(errs, field.Invalid(path, schema.Name, "the spec of this mandatory FlowSchema is fixed: create another one with its own name"))
		}
	}
	return append(errs, ValidateFlowSchemaStatus(schema)...)
}

// ValidateFlowSchemaStatus checks a status.
func ValidateFlowSchemaStatus(schema *flowcontrolv1.FlowSchema) field.ErrorList {
	var types []string
	for _, condition := range schema.Status.Conditions {
		types = append(types, string(condition.Type))
	}
	return validateConditions(types)
}

// validateConditions checks the types of the conditions of a status.
func validateConditions(types []string) field.ErrorList {
	var errs field.ErrorList
	for i, kind := range types {
		path := field.NewPath("status", "conditions").Index(i).Child("type")
		if slices.Contains(types[:i], kind) {
			errs = append(errs, field.Duplicate(path, kind))
		}
		if kind == "" {
			errs = append(errs, field.Required(path, "name the condition"))
		}
	}
	return errs
}

func validatePrecedence(schema *flowcontrolv1.FlowSchema, path *field.Path) field.ErrorList {
	precedence := schema.Spec.MatchingPrecedence
	switch {
	case precedence <= 0:
		return field.ErrorList{field.Invalid(path, precedence, "must be at least 1")}
	case precedence > flowcontrolv1.FlowSchemaMaxMatchingPrecedence:
		return field.ErrorList{field.Invalid(path, precedence, fmt.Sprintf("must be at most %d", flowcontrolv1.FlowSchemaMaxMatchingPrecedence))}
	case precedence == 1 && schema.Name != bootstrap.MandatoryFlowSchemaExempt.Name:
		return field.ErrorList{field.Invalid(path, precedence, "must be at least 2: 1 belongs to the mandatory FlowSchema exempt")}
	}
	return nil
}

func validateLevelName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "name a PriorityLevelConfiguration")}
	}
	return invalid(path, name, apivalidation.NameIsDNSSubdomain(name, false))
}

// invalid returns an error for each message.
func invalid(path *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}

func validateRule(rule *flowcontrolv1.PolicyRulesWithSubjects, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Subjects) == 0 {
		errs = append(errs, field.Required(path.Child("subjects"), "name at least one subject"))
	}
	for i := range rule.Subjects {
		errs = append(errs, validateSubject(&rule.Subjects[i], path.Child("subjects").Index(i))...)
	}
	if len(rule.ResourceRules) == 0 && len(rule.NonResourceRules) == 0 {
		errs = append(errs, field.Required(path, "set resourceRules, nonResourceRules or both"))
	}
	for i := range rule.ResourceRules {
		errs = append(errs, validateResourceRule(&rule.ResourceRules[i], path.Child("resourceRules").Index(i))...)
	}
	for i, other := range rule.NonResourceRules {
		at := path.Child("nonResourceRules").Index(i)
		errs = append(errs, validateVerbs(other.Verbs, at.Child("verbs"))...)
		errs = append(errs, validateURLs(other.NonResourceURLs, at.Child("nonResourceURLs"))...)
	}
	return errs
}

func validateSubject(subject *flowcontrolv1.Subject, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	kinds := []flowcontrolv1.SubjectKind{flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindServiceAccount, flowcontrolv1.SubjectKindUser}
	if !slices.Contains(kinds, subject.Kind) {
		return field.ErrorList{field.NotSupported(path.Child("kind"), subject.Kind, kinds)}
	}
	for _, member := range []struct {
		kind flowcontrolv1.SubjectKind
		name string
		set  bool
	}{
		{flowcontrolv1.SubjectKindGroup, "group", subject.Group != nil},
		{flowcontrolv1.SubjectKindServiceAccount, "serviceAccount", subject.ServiceAccount != nil},
		{flowcontrolv1.SubjectKindUser, "user", subject.User != nil},
	} {
		at := path.Child(member.name)
		switch {
		case member.kind != subject.Kind && member.set:
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("must not be set for a subject of kind %s", subject.Kind)))
		case member.kind == subject.Kind && !member.set:
			errs = append(errs, field.Required(at, fmt.Sprintf("set it for a subject of kind %s", subject.Kind)))
		case member.kind == subject.Kind:
			errs = append(errs, validateMember(subject, at)...)
		}
	}
	return errs
}

// validateMember checks the field that belongs to the kind of the subject, which is set.
func validateMember(subject *flowcontrolv1.Subject, path *field.Path) field.ErrorList {
	switch subject.Kind {
	case flowcontrolv1.SubjectKindGroup:
		return required(subject.Group.Name, path.Child("name"))
	case flowcontrolv1.SubjectKindUser:
		return required(subject.User.Name, path.Child("name"))
	}
	return validateServiceAccount(subject.ServiceAccount, path)
}

func required(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "must not be empty")}
	}
	return nil
}

func validateServiceAccount(account *flowcontrolv1.ServiceAccountSubject, path *field.Path) field.ErrorList {
	errs := required(account.Name, path.Child("name"))
	if account.Name != "" && account.Name != flowcontrolv1.NameAll {
		errs = append(errs, invalid(path.Child("name"), account.Name, apivalidation.ValidateServiceAccountName(account.Name, false))...)
	}
	if account.Namespace == "" {
		return append(errs, required(account.Namespace, path.Child("namespace"))...)
	}
	return append(errs, invalid(path.Child("namespace"), account.Namespace, apivalidation.ValidateNamespaceName(account.Namespace, false))...)
}

func validateResourceRule(rule *flowcontrolv1.ResourcePolicyRule, path *field.Path) field.ErrorList {
	errs := validateVerbs(rule.Verbs, path.Child("verbs"))
	errs = append(errs, validateList(rule.APIGroups, path.Child("apiGroups"))...)
	errs = append(errs, validateList(rule.Resources, path.Child("resources"))...)
	at := path.Child("namespaces")
	switch {
	case len(rule.Namespaces) == 0 && rule.ClusterScope:
		return errs
	case len(rule.Namespaces) == 0 || slices.Contains(rule.Namespaces, flowcontrolv1.NamespaceEvery):
		return append(errs, validateList(rule.Namespaces, at)...)
	}
	for i, name := range rule.Namespaces {
		errs = append(errs, invalid(at.Index(i), name, apivalidation.ValidateNamespaceName(name, false))...)
	}
	return errs
}

// validateList refuses an empty list, and a wildcard beside other values.
func validateList(values []string, path *field.Path) field.ErrorList {
	switch {
	case len(values) == 0:
		return field.ErrorList{field.Required(path, "name at least one, or '*' for all")}
	case len(values) > 1 && slices.Contains(values, "*"):
		return field.ErrorList{field.Invalid(path, values, "'*' includes all others: remove them, or remove '*'")}
	}
	return nil
}

func validateVerbs(verbs []string, path *field.Path) field.ErrorList {
	if errs := validateList(verbs, path); len(errs) > 0 {
		return errs
	}
	for _, verb := range verbs {
		if verb != flowcontrolv1.VerbAll && !slices.Contains(supportedVerbs, verb) {
			return field.ErrorList{field.NotSupported(path, verb, supportedVerbs)}
		}
	}
	return nil
}

func validateURLs(urls []string, path *field.Path) field.ErrorList {
	errs := validateList(urls, path)
	if slices.Contains(urls, flowcontrolv1.NonResourceAll) {
		return errs
	}
	for i, url := range urls {
		if message := urlMessage(url); message != "" {
			errs = append(errs, field.Invalid(path.Index(i), url, message))
		}
	}
	return errs
}

// urlMessage returns what is wrong with a path of a rule; empty for nothing.
func urlMessage(url string) string {
	switch {
	case !strings.HasPrefix(url, "/"):
		return "must begin with a slash"
	case strings.Contains(url, " "):
		return "must not contain a space"
	case strings.Contains(url, "//"):
		return "must not contain two slashes in a row"
	case strings.Contains(strings.TrimSuffix(url, "/*"), "*"):
		return "may have '*' only as the last part of the path, as in /healthz/*"
	}
	return ""
}
