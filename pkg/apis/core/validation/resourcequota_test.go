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
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestResourceQuotas(t *testing.T) {
	hard := func(pairs ...string) corev1.ResourceQuotaSpec {
		list := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return corev1.ResourceQuotaSpec{Hard: list}
	}
	with := func(spec corev1.ResourceQuotaSpec, change func(*corev1.ResourceQuotaSpec)) corev1.ResourceQuotaSpec {
		change(&spec)
		return spec
	}
	scoped := func(scopes ...corev1.ResourceQuotaScope) func(*corev1.ResourceQuotaSpec) {
		return func(s *corev1.ResourceQuotaSpec) { s.Scopes = scopes }
	}
	selecting := func(scope corev1.ResourceQuotaScope, operator corev1.ScopeSelectorOperator, values ...string) func(*corev1.ResourceQuotaSpec) {
		return func(s *corev1.ResourceQuotaSpec) {
			s.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{{ScopeName: scope, Operator: operator, Values: values}}}
		}
	}
	const expressions = "spec.scopeSelector.matchExpressions"
	for name, test := range map[string]struct {
		spec corev1.ResourceQuotaSpec
		want []string
	}{
		"what a cluster limits":                     {hard("cpu", "1500m", "requests.memory", "1Gi", "pods", "3", "hugepages-2Mi", "1", "requests.hugepages-2Mi", "1"), nil},
		"what Gatehouse limits":                     {hard("count/apps.fleet.gatehouse.dev", "3", "fleet.gatehouse.dev/requests.millicpu", "500"), nil},
		"an unknown name without a domain":          {hard("foo", "1"), []string{invalid + "spec.hard[foo]"}},
		"storage, which is no quota":                {hard("storage", "1"), []string{invalid + "spec.hard[storage]"}},
		"no name at all":                            {hard("a b", "1"), []string{invalid + "spec.hard[a b]"}},
		"less than nothing":                         {hard("cpu", "-1"), []string{invalid + "spec.hard[cpu]"}},
		"half a secret":                             {hard("secrets", "500m"), []string{invalid + "spec.hard[secrets]"}},
		"half an app":                               {hard("count/apps.fleet.gatehouse.dev", "500m"), []string{invalid + "spec.hard[count/apps.fleet.gatehouse.dev]"}},
		"parts of what Kubernetes measures":         {hard("requests.example.com/gpu", "500m", "kubernetes.io/x", "500m"), nil},
		"a scope that applies":                      {with(hard("pods", "1"), scoped(corev1.ResourceQuotaScopeBestEffort)), nil},
		"an unknown scope":                          {with(hard("pods", "1"), scoped("Mine")), []string{invalid + "spec.scopes"}},
		"a scope that does not apply":               {with(hard("secrets", "1"), scoped(corev1.ResourceQuotaScopeTerminating)), []string{invalid + "spec.scopes"}},
		"a scope beside a name with a domain":       {with(hard("count/apps.fleet.gatehouse.dev", "1"), scoped(corev1.ResourceQuotaScopeTerminating)), nil},
		"scopes that contradict each other":         {with(hard("pods", "1"), scoped(corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating)), []string{invalid + "spec.scopes"}},
		"a selector by class":                       {with(hard("pods", "1"), selecting(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpIn, "high")), nil},
		"a selector without the values it wants":    {with(hard("pods", "1"), selecting(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpIn)), []string{required + expressions + ".values"}},
		"a selector with values it does not want":   {with(hard("pods", "1"), selecting(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpExists, "x")), []string{invalid + expressions + ".values"}},
		"a selector that nobody knows":              {with(hard("pods", "1"), selecting(corev1.ResourceQuotaScopePriorityClass, "Like", "x")), []string{invalid + expressions + ".operator"}},
		"a selector that must be Exists":            {with(hard("pods", "1"), selecting(corev1.ResourceQuotaScopeBestEffort, corev1.ScopeSelectorOpDoesNotExist)), []string{invalid + expressions + ".operator"}},
		"a selector by an unknown scope":            {with(hard("pods", "1"), selecting("Mine", corev1.ScopeSelectorOpExists)), []string{invalid + expressions + ".scopeName"}},
		"a selector by a scope that does not apply": {with(hard("secrets", "1"), selecting(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpExists)), []string{invalid + expressions}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, ValidateResourceQuota(&corev1.ResourceQuota{ObjectMeta: named, Spec: test.spec}), test.want...)
		})
	}
	t.Run("scopes never change, in whatever order they stand", func(t *testing.T) {
		old := &corev1.ResourceQuota{ObjectMeta: named, Spec: with(hard("pods", "1"), scoped(corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotBestEffort))}
		turned := &corev1.ResourceQuota{ObjectMeta: named, Spec: with(hard("pods", "2"), scoped(corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating))}
		expect(t, ValidateResourceQuotaUpdate(turned, old))
		expect(t, ValidateResourceQuotaUpdate(&corev1.ResourceQuota{ObjectMeta: named, Spec: hard("pods", "2")}, old), invalid+"spec.scopes")
	})
	t.Run("what was counted is checked, too", func(t *testing.T) {
		quota := &corev1.ResourceQuota{ObjectMeta: named, Status: corev1.ResourceQuotaStatus{Hard: hard("foo", "1").Hard, Used: hard("pods", "-1").Hard}}
		expect(t, ValidateResourceQuotaStatusUpdate(quota, quota), invalid+"status.hard[foo]", invalid+"status.used[pods]")
	})
}
