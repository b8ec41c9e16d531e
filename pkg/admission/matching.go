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
	"math/bits"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/object"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// criteria decide, besides matchConditions, whether a webhook or a policy is called.
type criteria struct {
	rules, excluded []admissionregistrationv1.NamedRuleWithOperations
	// optional rules match everything if there are none.
	optional            bool
	equivalent          bool
	namespaces, objects labels.Selector
}

// GetParsedObjectSelector implements object.ObjectSelectorProvider.
func (c *criteria) GetParsedObjectSelector() (labels.Selector, error) { return c.objects, nil }

func selectorOf(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return labels.Everything()
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Everything() // validation refuses it
	}
	return selector
}

func equivalents(policy *admissionregistrationv1.MatchPolicyType) bool {
	return policy != nil && *policy == admissionregistrationv1.Equivalent
}

// webhookCriteria returns the criteria of a webhook.
func webhookCriteria(all []admissionregistrationv1.RuleWithOperations, policy *admissionregistrationv1.MatchPolicyType, namespaces, objects *metav1.LabelSelector) criteria {
	c := criteria{equivalent: equivalents(policy), namespaces: selectorOf(namespaces), objects: selectorOf(objects)}
	for _, rule := range all {
		c.rules = append(c.rules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}
	return c
}

// policyCriteria returns the criteria of a policy or of a binding.
func policyCriteria(m *admissionregistrationv1.MatchResources) criteria {
	if m == nil {
		return criteria{optional: true, namespaces: labels.Everything(), objects: labels.Everything()}
	}
	return criteria{
		rules: m.ResourceRules, excluded: m.ExcludeResourceRules, optional: true, equivalent: equivalents(m.MatchPolicy),
		namespaces: selectorOf(m.NamespaceSelector), objects: selectorOf(m.ObjectSelector),
	}
}

// The reasons for which a webhook or a policy is not called, besides those of rulesMisfit. They are shared
// by all records.
const (
	misfitExcluded  = "excludeResourceRules match"
	misfitNamespace = "namespaceSelector does not match the labels of the namespace"
	misfitObject    = "objectSelector does not match the labels of the object"
)

// The parts of a rule that do not match, as bits.
const (
	misfitOperation uint8 = 1 << iota
	misfitGroup
	misfitVersion
	misfitResource
	misfitScope
	misfitName
	misfits
)

// ruleMisfits has the text for each set of bits.
var ruleMisfits = func() [misfits]string {
	var texts [misfits]string
	names := []string{"operations", "apiGroups", "apiVersions", "resources", "scope", "resourceNames"}
	for set := range texts {
		var parts []string
		for i, name := range names {
			if set&(1<<i) != 0 {
				parts = append(parts, name)
			}
		}
		texts[set] = "no rule matches: " + strings.Join(parts, ", ")
	}
	texts[0] = "it has no rules"
	return texts
}()

// request is a request that is compared with criteria.
type request struct {
	admission.Attributes
	interfaces admission.ObjectInterfaces
	lister     corelisters.NamespaceLister

	namespaceRead, namespaceKnown bool
	namespace                     labels.Set
	objectMatcher                 object.Matcher
}

func newRequest(a admission.Attributes, o admission.ObjectInterfaces, namespaces corelisters.NamespaceLister) *request {
	return &request{Attributes: a, interfaces: o, lister: namespaces}
}

// misfit returns why criteria do not match; empty if they do. byRules is true if the rules do not match.
func (r *request) misfit(c *criteria) (reason string, byRules bool) {
	if !(c.optional && len(c.rules) == 0) && !r.ruled(c.rules, c.equivalent) {
		return ruleMisfits[r.nearest(c.rules)], true
	}
	switch {
	case len(c.excluded) > 0 && r.ruled(c.excluded, c.equivalent):
		return misfitExcluded, true
	case !c.namespaces.Empty() && !r.namespaceMatches(c.namespaces):
		return misfitNamespace, false
	case !c.objects.Empty():
		if matches, err := r.objectMatcher.MatchObjectSelector(c, r.Attributes); err == nil && !matches {
			return misfitObject, false
		}
	}
	return "", false
}

// ruled reports whether one of the rules matches, as the library decides.
func (r *request) ruled(all []admissionregistrationv1.NamedRuleWithOperations, equivalent bool) bool {
	if r.ruledAs(all, r.Attributes) {
		return true
	}
	if !equivalent {
		return false
	}
	for _, resource := range r.interfaces.GetEquivalentResourceMapper().EquivalentResourcesFor(r.GetResource(), r.GetSubresource()) {
		if resource != r.GetResource() && r.ruledAs(all, &asResource{r.Attributes, resource}) {
			return true
		}
	}
	return false
}

// asResource are the attributes of an equivalent resource.
type asResource struct {
	admission.Attributes
	resource schema.GroupVersionResource
}

// GetResource implements admission.Attributes.
func (a *asResource) GetResource() schema.GroupVersionResource { return a.resource }

func (r *request) ruledAs(all []admissionregistrationv1.NamedRuleWithOperations, a admission.Attributes) bool {
	for i := range all {
		matcher := rules.Matcher{Rule: all[i].RuleWithOperations, Attr: a}
		if matcher.Matches() && (len(all[i].ResourceNames) == 0 || slices.Contains(all[i].ResourceNames, a.GetName())) {
			return true
		}
	}
	return false
}

// nearest returns the parts of the rule with the fewest parts that do not match. It is for texts only.
func (r *request) nearest(all []admissionregistrationv1.NamedRuleWithOperations) uint8 {
	best := uint8(0)
	for i := range all {
		rule, resource := &all[i], r.GetResource()
		set := uint8(0)
		add := func(misfit uint8, matches bool) {
			if !matches {
				set |= misfit
			}
		}
		operation := admissionregistrationv1.OperationType(r.GetOperation())
		add(misfitOperation, slices.Contains(rule.Operations, operation) || slices.Contains(rule.Operations, admissionregistrationv1.OperationAll))
		add(misfitGroup, slices.Contains(rule.APIGroups, resource.Group) || slices.Contains(rule.APIGroups, "*"))
		add(misfitVersion, slices.Contains(rule.APIVersions, resource.Version) || slices.Contains(rule.APIVersions, "*"))
		add(misfitResource, slices.ContainsFunc(rule.Resources, func(name string) bool {
			of, sub, _ := strings.Cut(name, "/")
			return (of == "*" || of == resource.Resource) && (sub == "*" || sub == r.GetSubresource())
		}))
		add(misfitName, len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.GetName()))
		if set == 0 {
			set = misfitScope
		}
		if best == 0 || bits.OnesCount8(set) < bits.OnesCount8(best) {
			best = set
		}
	}
	return best
}

// namespaceMatches reports whether a selector matches the labels of the namespace. It is true if they are
// not known, and for objects in no namespace.
func (r *request) namespaceMatches(selector labels.Selector) bool {
	if !r.namespaceRead {
		r.namespaceRead = true
		r.readNamespace()
	}
	return !r.namespaceKnown || selector.Matches(r.namespace)
}

func (r *request) readNamespace() {
	if r.GetResource().GroupResource() == corev1.Resource("namespaces") && r.GetSubresource() == "" && (r.GetOperation() == admission.Create || r.GetOperation() == admission.Update) {
		if object, err := apimeta.Accessor(r.GetObject()); err == nil {
			r.namespace, r.namespaceKnown = object.GetLabels(), true
		}
		return
	}
	if r.GetNamespace() == "" {
		return
	}
	if namespace, err := r.lister.Get(r.GetNamespace()); err == nil {
		r.namespace, r.namespaceKnown = namespace.Labels, true
	}
}
