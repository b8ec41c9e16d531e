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
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/utils/ptr"
)

func wantErrors(t *testing.T, errs field.ErrorList, want []string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, string(err.Type)+" "+err.Field)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: %v", got, want, errs)
	}
}

// goodSchema returns a valid FlowSchema with a rule of each kind.
func goodSchema() *flowcontrolv1.FlowSchema {
	return &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: "team"},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "team"}, MatchingPrecedence: 2,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects:         []flowcontrolv1.Subject{{Kind: "ServiceAccount", ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: "a", Name: "*"}}},
				ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"get", "watch"}, APIGroups: []string{""}, Resources: []string{"secrets"}, Namespaces: []string{"a", "b"}}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"/", "/healthz/*"}}},
			}},
		},
	}
}

func TestFlowSchemas(t *testing.T) {
	type schema = flowcontrolv1.FlowSchema
	const rule = "spec.rules[0]"
	urls := func(urls ...string) func(*schema) {
		return func(s *schema) { s.Spec.Rules[0].NonResourceRules[0].NonResourceURLs = urls }
	}
	subject := func(subject flowcontrolv1.Subject) func(*schema) {
		return func(s *schema) { s.Spec.Rules[0].Subjects = []flowcontrolv1.Subject{subject} }
	}
	resources := func(change func(*flowcontrolv1.ResourcePolicyRule)) func(*schema) {
		return func(s *schema) { change(&s.Spec.Rules[0].ResourceRules[0]) }
	}
	for name, test := range map[string]struct {
		change func(*schema)
		want   []string
	}{
		"one that is valid":                      {func(*schema) {}, nil},
		"precedence 0":                           {func(s *schema) { s.Spec.MatchingPrecedence = 0 }, []string{"FieldValueInvalid spec.matchingPrecedence"}},
		"the precedence of exempt":               {func(s *schema) { s.Spec.MatchingPrecedence = 1 }, []string{"FieldValueInvalid spec.matchingPrecedence"}},
		"precedence 10001":                       {func(s *schema) { s.Spec.MatchingPrecedence = 10001 }, []string{"FieldValueInvalid spec.matchingPrecedence"}},
		"no level":                               {func(s *schema) { s.Spec.PriorityLevelConfiguration.Name = "" }, []string{"FieldValueRequired spec.priorityLevelConfiguration.name"}},
		"a level that is no name":                {func(s *schema) { s.Spec.PriorityLevelConfiguration.Name = "a b" }, []string{"FieldValueInvalid spec.priorityLevelConfiguration.name"}},
		"another distinguisher":                  {func(s *schema) { s.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: "ByGroup"} }, []string{"FieldValueNotSupported spec.distinguisherMethod.type"}},
		"a rule of nothing":                      {func(s *schema) { s.Spec.Rules[0] = flowcontrolv1.PolicyRulesWithSubjects{} }, []string{"FieldValueRequired " + rule + ".subjects", "FieldValueRequired " + rule}},
		"a subject of another kind":              {subject(flowcontrolv1.Subject{Kind: "Host"}), []string{"FieldValueNotSupported " + rule + ".subjects[0].kind"}},
		"a user without a name":                  {subject(flowcontrolv1.Subject{Kind: "User", User: &flowcontrolv1.UserSubject{}}), []string{"FieldValueRequired " + rule + ".subjects[0].user.name"}},
		"a group with the field of users":        {subject(flowcontrolv1.Subject{Kind: "Group", User: &flowcontrolv1.UserSubject{Name: "a"}}), []string{"FieldValueRequired " + rule + ".subjects[0].group", "FieldValueForbidden " + rule + ".subjects[0].user"}},
		"an account without a namespace":         {subject(flowcontrolv1.Subject{Kind: "ServiceAccount", ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Name: "A"}}), []string{"FieldValueInvalid " + rule + ".subjects[0].serviceAccount.name", "FieldValueRequired " + rule + ".subjects[0].serviceAccount.namespace"}},
		"an unknown verb":                        {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Verbs = []string{"get", "bind"} }), []string{"FieldValueNotSupported " + rule + ".resourceRules[0].verbs"}},
		"a wildcard beside others":               {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Resources = []string{"*", "secrets"} }), []string{"FieldValueInvalid " + rule + ".resourceRules[0].resources"}},
		"no API group":                           {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.APIGroups = nil }), []string{"FieldValueRequired " + rule + ".resourceRules[0].apiGroups"}},
		"neither namespaces nor the whole scope": {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Namespaces = nil }), []string{"FieldValueRequired " + rule + ".resourceRules[0].namespaces"}},
		"the whole scope without namespaces":     {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Namespaces, r.ClusterScope = nil, true }), nil},
		"a namespace that is no name":            {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Namespaces[1] = "a.b" }), []string{"FieldValueInvalid " + rule + ".resourceRules[0].namespaces[1]"}},
		"all URLs":                               {urls("*"), nil},
		"a path without a slash":                 {urls("/a", "a"), []string{"FieldValueInvalid " + rule + ".nonResourceRules[0].nonResourceURLs[1]"}},
		"a wildcard within a path":               {urls("/a*", "/*/a", "/*/*"), []string{"FieldValueInvalid " + rule + ".nonResourceRules[0].nonResourceURLs[0]", "FieldValueInvalid " + rule + ".nonResourceRules[0].nonResourceURLs[1]", "FieldValueInvalid " + rule + ".nonResourceRules[0].nonResourceURLs[2]"}},
		"spaces and double slashes":              {urls("/a b", "//"), []string{"FieldValueInvalid " + rule + ".nonResourceRules[0].nonResourceURLs[0]", "FieldValueInvalid " + rule + ".nonResourceRules[0].nonResourceURLs[1]"}},
		"a mandatory one with another spec":      {func(s *schema) { s.Name = "catch-all" }, []string{"FieldValueInvalid spec"}},
		"a mandatory one with its own spec": {func(s *schema) {
			*s = *bootstrap.MandatoryFlowSchemaExempt.DeepCopy()
		}, nil},
		"conditions of one type": {func(s *schema) {
			s.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{Type: "A"}, {Type: "A"}, {}}
		}, []string{"FieldValueDuplicate status.conditions[1].type", "FieldValueRequired status.conditions[2].type"}},
	} {
		t.Run(name, func(t *testing.T) {
			object := goodSchema()
			test.change(object)
			wantErrors(t, ValidateFlowSchema(object), test.want)
		})
	}
}

func TestPriorityLevels(t *testing.T) {
	type level = flowcontrolv1.PriorityLevelConfiguration
	limited := func(change func(*flowcontrolv1.LimitedPriorityLevelConfiguration)) func(*level) {
		return func(l *level) { change(l.Spec.Limited) }
	}
	queuing := func(queues, hand, length int32) func(*level) {
		return func(l *level) {
			l.Spec.Limited.LimitResponse.Queuing = &flowcontrolv1.QueuingConfiguration{Queues: queues, HandSize: hand, QueueLengthLimit: length}
		}
	}
	const at = "spec.limited.limitResponse.queuing"
	for name, test := range map[string]struct {
		change func(*level)
		want   []string
	}{
		"one that is valid":             {func(*level) {}, nil},
		"no type":                       {func(l *level) { l.Spec.Type = "" }, []string{"FieldValueRequired spec.type"}},
		"another type":                  {func(l *level) { l.Spec.Type = "Free" }, []string{"FieldValueNotSupported spec.type"}},
		"a second exempt level":         {func(l *level) { l.Spec.Type, l.Spec.Limited = "Exempt", nil }, []string{"FieldValueInvalid spec.type"}},
		"the exempt level with a limit": {func(l *level) { l.Name = "exempt" }, []string{"FieldValueInvalid spec.type", "FieldValueInvalid spec"}},
		"limited without a limit":       {func(l *level) { l.Spec.Limited = nil }, []string{"FieldValueRequired spec.limited"}},
		"limited and exempt":            {func(l *level) { l.Spec.Exempt = &flowcontrolv1.ExemptPriorityLevelConfiguration{} }, []string{"FieldValueForbidden spec.exempt"}},
		"no response":                   {limited(func(l *flowcontrolv1.LimitedPriorityLevelConfiguration) { l.LimitResponse.Type = "" }), []string{"FieldValueRequired spec.limited.limitResponse.type"}},
		"another response":              {limited(func(l *flowcontrolv1.LimitedPriorityLevelConfiguration) { l.LimitResponse.Type = "Wait" }), []string{"FieldValueNotSupported spec.limited.limitResponse.type"}},
		"Reject with queues":            {limited(func(l *flowcontrolv1.LimitedPriorityLevelConfiguration) { l.LimitResponse.Type = "Reject" }), []string{"FieldValueForbidden " + at}},
		"Queue without queues":          {limited(func(l *flowcontrolv1.LimitedPriorityLevelConfiguration) { l.LimitResponse.Queuing = nil }), []string{"FieldValueRequired " + at}},
		"negative numbers": {limited(func(l *flowcontrolv1.LimitedPriorityLevelConfiguration) {
			l.NominalConcurrencyShares, l.BorrowingLimitPercent = ptr.To[int32](-1), ptr.To[int32](-1)
		}), []string{"FieldValueInvalid spec.limited.nominalConcurrencyShares", "FieldValueInvalid spec.limited.borrowingLimitPercent"}},
		"more than everything is lent":   {limited(func(l *flowcontrolv1.LimitedPriorityLevelConfiguration) { l.LendablePercent = ptr.To[int32](101) }), []string{"FieldValueInvalid spec.limited.lendablePercent"}},
		"no queues":                      {queuing(0, 0, 0), []string{"FieldValueInvalid " + at + ".queueLengthLimit", "FieldValueInvalid " + at + ".queues", "FieldValueInvalid " + at + ".handSize"}},
		"a hand of more queues than":     {queuing(4, 5, 1), []string{"FieldValueInvalid " + at + ".handSize"}},
		"a hand beyond the bits of hash": {queuing(512, 8, 1), []string{"FieldValueInvalid " + at + ".handSize"}},
		"too many queues":                {queuing(10_000_001, 1, 1), []string{"FieldValueInvalid " + at + ".queues"}},
		"an annotation of another version": {func(l *level) {
			l.Annotations = map[string]string{"flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares": ""}
		}, []string{"FieldValueForbidden metadata.annotations"}},
		"the catch-all with another spec": {func(l *level) { l.Name = "catch-all" }, []string{"FieldValueInvalid spec"}},
		"the exempt level with shares": {func(l *level) {
			*l = *bootstrap.MandatoryPriorityLevelConfigurationExempt.DeepCopy()
			l.Spec.Exempt.NominalConcurrencyShares = ptr.To[int32](7)
		}, nil},
		"the exempt level with wrong numbers": {func(l *level) {
			*l = *bootstrap.MandatoryPriorityLevelConfigurationExempt.DeepCopy()
			l.Spec.Exempt.NominalConcurrencyShares, l.Spec.Exempt.LendablePercent = ptr.To[int32](-1), ptr.To[int32](-1)
		}, []string{"FieldValueInvalid spec.exempt.nominalConcurrencyShares", "FieldValueInvalid spec.exempt.lendablePercent"}},
		"conditions of one type": {func(l *level) {
			l.Status.Conditions = []flowcontrolv1.PriorityLevelConfigurationCondition{{Type: "A"}, {Type: "A"}}
		}, []string{"FieldValueDuplicate status.conditions[1].type"}},
	} {
		t.Run(name, func(t *testing.T) {
			object := bootstrap.SuggestedPriorityLevelConfigurationGlobalDefault.DeepCopy()
			object.Name = "team"
			test.change(object)
			wantErrors(t, ValidatePriorityLevelConfiguration(object), test.want)
		})
	}
}
