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
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWebhooks(t *testing.T) {
	type hook = admissionregistrationv1.MutatingWebhook
	validator := NewValidator()
	url := func(url string) func(*hook) { return func(h *hook) { h.ClientConfig.URL = &url } }
	service := func(change func(*admissionregistrationv1.ServiceReference)) func(*hook) {
		return func(h *hook) {
			s := &admissionregistrationv1.ServiceReference{Namespace: "default", Name: "injector", Path: to("/inject"), Port: to[int32](443)}
			change(s)
			h.ClientConfig = admissionregistrationv1.WebhookClientConfig{Service: s}
		}
	}
	resources := func(resources ...string) func(*hook) {
		return func(h *hook) { h.Rules[0].Resources = resources }
	}
	rule := func(change func(*admissionregistrationv1.RuleWithOperations)) func(*hook) {
		return func(h *hook) { change(&h.Rules[0]) }
	}
	condition := func(name, expression string) func(*hook) {
		return func(h *hook) {
			h.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: name, Expression: expression}}
		}
	}
	type R = admissionregistrationv1.RuleWithOperations
	const at = "webhooks[0]."
	for name, test := range map[string]struct {
		change func(*hook)
		want   []string
	}{
		"a webhook":                            {func(*hook) {}, nil},
		"a webhook without a name":             {func(h *hook) { h.Name = "" }, []string{required + at + "name"}},
		"a name of two parts":                  {func(h *hook) { h.Name = "example.com" }, []string{invalid + at + "name"}},
		"a name that is no host name":          {func(h *hook) { h.Name = "a.b.C" }, []string{invalid + at + "name"}},
		"another failure policy":               {func(h *hook) { h.FailurePolicy = to(admissionregistrationv1.FailurePolicyType("fail")) }, []string{unsupported + at + "failurePolicy"}},
		"another match policy":                 {func(h *hook) { h.MatchPolicy = to(admissionregistrationv1.MatchPolicyType("")) }, []string{unsupported + at + "matchPolicy"}},
		"nothing about side effects":           {func(h *hook) { h.SideEffects = nil }, []string{required + at + "sideEffects"}},
		"side effects":                         {func(h *hook) { h.SideEffects = to(admissionregistrationv1.SideEffectClassSome) }, []string{unsupported + at + "sideEffects"}},
		"unknown side effects":                 {func(h *hook) { h.SideEffects = to(admissionregistrationv1.SideEffectClassUnknown) }, []string{unsupported + at + "sideEffects"}},
		"no side effects on a dry run":         {func(h *hook) { h.SideEffects = to(admissionregistrationv1.SideEffectClassNoneOnDryRun) }, nil},
		"no time":                              {func(h *hook) { h.TimeoutSeconds = to[int32](0) }, []string{invalid + at + "timeoutSeconds"}},
		"a second":                             {func(h *hook) { h.TimeoutSeconds = to[int32](1) }, nil},
		"half a minute":                        {func(h *hook) { h.TimeoutSeconds = to[int32](30) }, nil},
		"more than half a minute":              {func(h *hook) { h.TimeoutSeconds = to[int32](31) }, []string{invalid + at + "timeoutSeconds"}},
		"no review versions":                   {func(h *hook) { h.AdmissionReviewVersions = nil }, []string{required + at + "admissionReviewVersions"}},
		"review versions that nobody speaks":   {func(h *hook) { h.AdmissionReviewVersions = []string{"v3"} }, []string{invalid + at + "admissionReviewVersions"}},
		"one that somebody speaks":             {func(h *hook) { h.AdmissionReviewVersions = []string{"v3", "v1beta1"} }, nil},
		"a review version twice":               {func(h *hook) { h.AdmissionReviewVersions = []string{"v1", "v1"} }, []string{invalid + at + "admissionReviewVersions[1]"}},
		"a review version that is none":        {func(h *hook) { h.AdmissionReviewVersions = []string{"v1", "1"} }, []string{invalid + at + "admissionReviewVersions[1]"}},
		"a selector of namespaces with a typo": {func(h *hook) { h.NamespaceSelector.MatchLabels = map[string]string{"a": "b c"} }, []string{invalid + at + "namespaceSelector.matchLabels"}},
		"a selector of objects without values": {func(h *hook) {
			h.ObjectSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In"}}
		}, []string{required + at + "objectSelector.matchExpressions[0].values"}},

		"neither URL nor service":     {func(h *hook) { h.ClientConfig.URL = nil }, []string{required + at + "clientConfig"}},
		"URL and service":             {func(h *hook) { h.ClientConfig.Service = &admissionregistrationv1.ServiceReference{} }, []string{required + at + "clientConfig"}},
		"a URL without TLS":           {url("http://example.com/a"), []string{invalid + at + "clientConfig.url"}},
		"a URL without a host":        {url("https:///a"), []string{invalid + at + "clientConfig.url"}},
		"a URL that is none":          {url("https://%"), []string{required + at + "clientConfig.url"}},
		"a URL with a user":           {url("https://me@example.com/a"), []string{invalid + at + "clientConfig.url"}},
		"a URL with a query":          {url("https://example.com/a?b=c"), []string{invalid + at + "clientConfig.url"}},
		"a URL with a fragment":       {url("https://example.com/a#b"), []string{invalid + at + "clientConfig.url"}},
		"a service":                   {service(func(*admissionregistrationv1.ServiceReference) {}), nil},
		"a service without a name":    {service(func(s *admissionregistrationv1.ServiceReference) { s.Name = "" }), []string{required + at + "clientConfig.service.name"}},
		"a service of no namespace":   {service(func(s *admissionregistrationv1.ServiceReference) { s.Namespace = "" }), []string{required + at + "clientConfig.service.namespace"}},
		"a service with a wrong port": {service(func(s *admissionregistrationv1.ServiceReference) { s.Port = to[int32](65536) }), []string{invalid + at + "clientConfig.service.port"}},
		"a service without a port":    {service(func(s *admissionregistrationv1.ServiceReference) { s.Port = nil }), []string{invalid + at + "clientConfig.service.port"}},
		"a service with a wrong path": {service(func(s *admissionregistrationv1.ServiceReference) { s.Path = to("/a//b") }), []string{invalid + at + "clientConfig.service.path"}},

		"a rule without operations":       {rule(func(r *R) { r.Operations = nil }), []string{required + at + "rules[0].operations"}},
		"an operation that is none":       {rule(func(r *R) { r.Operations[1] = "PATCH" }), []string{unsupported + at + "rules[0].operations[1]"}},
		"all operations and one":          {rule(func(r *R) { r.Operations[1] = "*" }), []string{invalid + at + "rules[0].operations"}},
		"a rule without groups":           {rule(func(r *R) { r.APIGroups = nil }), []string{required + at + "rules[0].apiGroups"}},
		"all groups and one":              {rule(func(r *R) { r.APIGroups = []string{"", "*"} }), []string{invalid + at + "rules[0].apiGroups"}},
		"the core group":                  {rule(func(r *R) { r.APIGroups = []string{""} }), nil},
		"a rule without versions":         {rule(func(r *R) { r.APIVersions = nil }), []string{required + at + "rules[0].apiVersions"}},
		"a version without a name":        {rule(func(r *R) { r.APIVersions = []string{"v1", ""} }), []string{required + at + "rules[0].apiVersions[1]"}},
		"all versions and one":            {rule(func(r *R) { r.APIVersions = []string{"v1", "*"} }), []string{invalid + at + "rules[0].apiVersions"}},
		"a scope that is none":            {rule(func(r *R) { r.Scope = to(admissionregistrationv1.ScopeType("Namespace")) }), []string{unsupported + at + "rules[0].scope"}},
		"a rule without resources":        {resources(), []string{required + at + "rules[0].resources"}},
		"a resource without a name":       {resources("pods", ""), []string{required + at + "rules[0].resources[1]"}},
		"a subresource":                   {resources("pods", "pods/status"), nil},
		"all resources and a subresource": {resources("*", "pods/status"), nil},
		"all resources and one":           {resources("*", "pods"), []string{invalid + at + "rules[0].resources"}},
		"one and all resources":           {resources("pods", "*"), nil},
		"everything and one":              {resources("*/*", "pods"), []string{invalid + at + "rules[0].resources"}},
		"all below a resource and one":    {resources("pods/*", "pods/status"), []string{invalid + at + "rules[0].resources[1]"}},
		"one below all and one":           {resources("*/status", "pods/status"), []string{invalid + at + "rules[0].resources[1]"}},

		"a condition without a name":                     {condition("", "true"), []string{required + at + "matchConditions[0].name"}},
		"a condition with a wrong name":                  {condition("a b", "true"), []string{invalid + at + "matchConditions[0].name"}},
		"a condition without an expression":              {condition("a", " \n"), []string{required + at + "matchConditions[0].expression"}},
		"a condition that is no CEL":                     {condition("a", "object. = 1"), []string{invalid + at + "matchConditions[0].expression"}},
		"a condition that is no bool":                    {condition("a", "'true'"), []string{invalid + at + "matchConditions[0].expression"}},
		"a condition on params, where there are none":    {condition("a", "params.x"), []string{invalid + at + "matchConditions[0].expression"}},
		"a condition on variables, where there are none": {condition("a", "variables.x"), []string{invalid + at + "matchConditions[0].expression"}},
		"a condition on what the user may":               {condition("a", "authorizer.group('').resource('secrets').check('get').allowed()"), nil},
		"two conditions of a name": {func(h *hook) {
			h.MatchConditions = append(h.MatchConditions, h.MatchConditions[0])
		}, []string{duplicate + at + "matchConditions[1].name"}},
		"64 conditions": {func(h *hook) { h.MatchConditions = conditions(64) }, nil},
		"65 conditions": {func(h *hook) { h.MatchConditions = conditions(65) }, []string{tooMany + at + "matchConditions"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := mutatingWebhooks()
			test.change(&config.Webhooks[0])
			expect(t, validator.ValidateMutatingWebhookConfiguration(config, nil), test.want...)
			h, checker := config.Webhooks[0], validatingWebhooks()
			checker.Webhooks[0] = admissionregistrationv1.ValidatingWebhook{
				Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
				NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects, TimeoutSeconds: h.TimeoutSeconds,
				AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
			}
			expect(t, validator.ValidateValidatingWebhookConfiguration(checker, nil), test.want...)
		})
	}
	t.Run("another reinvocation policy", func(t *testing.T) {
		config := mutatingWebhooks()
		config.Webhooks[0].ReinvocationPolicy = to(admissionregistrationv1.ReinvocationPolicyType("Always"))
		expect(t, validator.ValidateMutatingWebhookConfiguration(config, nil), unsupported+at+"reinvocationPolicy")
	})
	t.Run("two webhooks of a name", func(t *testing.T) {
		config := mutatingWebhooks()
		config.Webhooks = append(config.Webhooks, config.Webhooks[0])
		expect(t, validator.ValidateMutatingWebhookConfiguration(config, nil), duplicate+"webhooks[1].name")
	})
	t.Run("no webhooks at all", func(t *testing.T) {
		expect(t, validator.ValidateMutatingWebhookConfiguration(&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "none"}}, nil))
	})
	for name, wrong := range map[string]bool{"injector": false, "a.b": false, "Injector": true, "a.static.k8s.io": true} {
		t.Run("a configuration is called "+name, func(t *testing.T) {
			config := validatingWebhooks()
			config.Name = name
			var want []string
			if wrong {
				want = []string{invalid + "metadata.name"}
			}
			expect(t, validator.ValidateValidatingWebhookConfiguration(config, nil), want...)
		})
	}
}

func conditions(n int) []admissionregistrationv1.MatchCondition {
	return repeated(n, func(i int) admissionregistrationv1.MatchCondition {
		return admissionregistrationv1.MatchCondition{Name: numbered(i), Expression: "true"}
	})
}

func TestWhatWasThereBeforeMayStay(t *testing.T) {
	type config = admissionregistrationv1.MutatingWebhookConfiguration
	validator := NewValidator()
	for name, test := range map[string]struct {
		before func(*config)
		change func(*config)
		want   []string
	}{
		"side effects": {
			before: func(c *config) { c.Webhooks[0].SideEffects = to(admissionregistrationv1.SideEffectClassSome) },
		},
		"side effects that nobody knows": {
			before: func(c *config) { c.Webhooks[0].SideEffects = to(admissionregistrationv1.SideEffectClass("Few")) },
			want:   []string{unsupported + "webhooks[0].sideEffects"},
		},
		"side effects, but not new ones": {
			change: func(c *config) { c.Webhooks[0].SideEffects = to(admissionregistrationv1.SideEffectClassSome) },
			want:   []string{unsupported + "webhooks[0].sideEffects"},
		},
		"a review version that nobody speaks": {before: func(c *config) { c.Webhooks[0].AdmissionReviewVersions = []string{"v3"} }},
		"a review version, but not a new one": {
			change: func(c *config) { c.Webhooks[0].AdmissionReviewVersions = []string{"v3"} },
			want:   []string{invalid + "webhooks[0].admissionReviewVersions"},
		},
		"names that are there twice": {before: func(c *config) { c.Webhooks = append(c.Webhooks, c.Webhooks[0]) }},
		"names, but not new ones": {
			change: func(c *config) { c.Webhooks = append(c.Webhooks, c.Webhooks[0]) },
			want:   []string{duplicate + "webhooks[1].name"},
		},
		"values that no label has": {before: func(c *config) {
			c.Webhooks[0].ObjectSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"b c"}}}
		}},
		"values, but not new ones": {
			change: func(c *config) {
				c.Webhooks[0].ObjectSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"b c"}}}
			},
			want: []string{invalid + "webhooks[0].objectSelector.matchExpressions[0].values[0]"},
		},
		"a condition that does not compile": {before: func(c *config) { c.Webhooks[0].MatchConditions[0].Expression = "later()" }},
		"a condition, but not a changed one": {
			before: func(c *config) { c.Webhooks[0].MatchConditions[0].Expression = "later()" },
			change: func(c *config) { c.Webhooks[0].MatchConditions[0].Expression = "later().still()" },
			want:   []string{invalid + "webhooks[0].matchConditions[0].expression"},
		},
		"a condition, but not beside a changed one": {
			before: func(c *config) { c.Webhooks[0].MatchConditions[0].Expression = "later()" },
			change: func(c *config) {
				c.Webhooks[0].MatchConditions = append(c.Webhooks[0].MatchConditions, conditions(1)...)
			},
			want: []string{invalid + "webhooks[0].matchConditions[0].expression"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := mutatingWebhooks()
			if test.before != nil {
				test.before(before)
			}
			after := before.DeepCopy()
			after.Labels = map[string]string{"changed": "yes"}
			if test.change != nil {
				test.change(after)
			}
			expect(t, validator.ValidateMutatingWebhookConfiguration(after, before), test.want...)
		})
	}
}

func TestWarningsOfWebhooks(t *testing.T) {
	config := mutatingWebhooks()
	config.Webhooks[0].ClientConfig.CABundle = []byte("none")
	config.Webhooks[0].Rules[0].APIGroups = []string{"authentication.k8s.io", "authorization.k8s.io"}
	config.Webhooks[0].Rules[0].Resources = []string{"tokenreviews"}
	got := strings.Join(WarningsForMutatingWebhookConfiguration(config), "\n")
	const want = "webhooks[0].clientConfig.caBundle: there is no certificate in it, so the webhook cannot be called\n" +
		"webhooks[0].rules[0]: no webhook is called for tokenreviews.authentication.k8s.io"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	config.Webhooks[0].ClientConfig.CABundle = nil
	for _, resources := range [][]string{{"*"}, {"tokenreviews/status"}, {"instances"}} {
		config.Webhooks[0].Rules[0].Resources = resources
		if got := WarningsForMutatingWebhookConfiguration(config); len(got) > 0 {
			t.Errorf("%v: %v", resources, got)
		}
	}
	if got := WarningsForName(&metav1.ObjectMeta{Name: "a.static.k8s.io"}); len(got) != 1 {
		t.Errorf("a name for files: %v", got)
	}
	if got := WarningsForName(&metav1.ObjectMeta{Name: "a"}); len(got) > 0 {
		t.Errorf("any other name: %v", got)
	}
}
