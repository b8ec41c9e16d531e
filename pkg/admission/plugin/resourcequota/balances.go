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

package resourcequota

import (
	"cmp"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// refusingQuota matches the texts of the library's evaluator.
var refusingQuota = regexp.MustCompile(`(?:exceeded|failed) quota: ([a-z0-9][-a-z0-9.]{0,252})`)

// balances returns the quotas that count the object of a request, with what is left of the resources that
// it charges, after the evaluator has decided. refusal is its error.
func (p *Plugin) balances(a admission.Attributes, refusal error) []diagnostics.Quota {
	resource := a.GetResource().GroupResource()
	if _, skipped := ignored()[resource]; skipped {
		return nil
	}
	evaluator := p.registry.Get(resource)
	if evaluator == nil {
		evaluator = generic.NewObjectCountEvaluator(resource, nil, "")
	}
	listed, err := p.accessor.lister.ResourceQuotas(a.GetNamespace()).List(labels.Everything())
	if err != nil || len(listed) == 0 || !evaluator.Handles(a) {
		return nil
	}
	usage, err := evaluator.Usage(a.GetObject())
	if err != nil {
		return nil
	}
	refuser := ""
	if refusal != nil {
		if found := refusingQuota.FindStringSubmatch(refusal.Error()); found != nil {
			refuser = found[1]
		}
	}
	var all []diagnostics.Quota
	for _, quota := range listed {
		quota = p.accessor.newest(quota)
		if counts, err := evaluator.Matches(quota, a.GetObject()); err != nil || !counts {
			continue
		}
		all = append(all, diagnostics.Quota{
			Quota: diagnostics.Object{
				Kind: "ResourceQuota", Namespace: quota.Namespace, Name: quota.Name, UID: string(quota.UID), ResourceVersion: quota.ResourceVersion,
			},
			Refused:   quota.Name == refuser,
			Resources: balance(quota, evaluator, usage),
		})
	}
	slices.SortFunc(all, func(a, b diagnostics.Quota) int { return cmp.Compare(a.Quota.Name, b.Quota.Name) })
	return all
}

// balance returns what is left of the resources of a quota that are used.
func balance(quota *corev1.ResourceQuota, evaluator quotav1.Evaluator, usage corev1.ResourceList) []diagnostics.QuotaBalance {
	var all []diagnostics.QuotaBalance
	for _, name := range evaluator.MatchingResources(quotav1.ResourceNames(quota.Status.Hard)) {
		requested, charged := usage[name]
		if !charged {
			continue
		}
		hard := quota.Status.Hard[name]
		left := hard.DeepCopy()
		left.Sub(quota.Status.Used[name])
		all = append(all, diagnostics.QuotaBalance{Name: string(name), Requested: requested.String(), Left: left.String(), Hard: hard.String()})
	}
	slices.SortFunc(all, func(a, b diagnostics.QuotaBalance) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
