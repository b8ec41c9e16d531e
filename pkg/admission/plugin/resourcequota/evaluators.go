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
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

// evaluators compute the usage of an object of each kind. For kinds that are not listed the library
// counts objects, so these are for instances and for aliases.
func evaluators() []quotav1.Evaluator {
	var all []quotav1.Evaluator
	for _, kind := range quota.Kinds() {
		counter := generic.NewObjectCountEvaluator(kind.Resource.GroupResource(), nil, kind.Alias)
		if kind.Resource == quota.Instances() {
			counter = instances{counter}
		}
		counter = unlessExempt{counter}
		all = append(all, counter)
	}
	// Events that are written with the other group are also counted under both names.
	events := quota.Events()
	return append(all, generic.NewObjectCountEvaluator(events[1], nil, quota.CountName(events[0])))
}

func ignored() map[schema.GroupResource]struct{} {
	set := map[schema.GroupResource]struct{}{}
	for _, resource := range quota.Ignored() {
		set[resource] = struct{}{}
	}
	return set
}

// unlessExempt is an evaluator that does not handle creates of exempt objects.
type unlessExempt struct{ quotav1.Evaluator }

// Handles implements quotav1.Evaluator.
func (e unlessExempt) Handles(a admission.Attributes) bool {
	name := a.GetName()
	if object, err := meta.Accessor(a.GetObject()); err == nil {
		name = object.GetName() // which is generated, where the request has none
	}
	return !quota.Exempt(a.GetResource().GroupResource(), name) && e.Evaluator.Handles(a)
}

// instances counts instances and adds up the requests and limits of those that have not ended. It
// handles creates only, like the evaluator that it embeds: the requests of an instance do not
// change, and when it ends, the controller reduces the sum. The evaluator that calls it only
// increases sums.
type instances struct{ quotav1.Evaluator }

// Matches implements quotav1.Evaluator. Instances match no scope.
func (e instances) Matches(q *corev1.ResourceQuota, item runtime.Object) (bool, error) {
	return generic.Matches(q, item, e.MatchingResources, generic.MatchesNoScopeFunc)
}

// MatchingResources implements quotav1.Evaluator.
func (e instances) MatchingResources(names []corev1.ResourceName) []corev1.ResourceName {
	matching := e.Evaluator.MatchingResources(names)
	for _, measure := range quota.Measures() {
		if quotav1.Contains(names, measure.Name) {
			matching = append(matching, measure.Name)
		}
	}
	return matching
}

// Constraints implements quotav1.Evaluator: if a quota limits requests or limits, every container
// must set them, because a container without a value would not be counted.
func (instances) Constraints(required []corev1.ResourceName, item runtime.Object) error {
	instance, err := asInstance(item)
	if err != nil {
		return err
	}
	without := map[corev1.ResourceName][]string{}
	for i := range instance.Spec.Containers {
		c := &instance.Spec.Containers[i]
		for _, measure := range quota.Missing(required, c.Resources.Requests, c.Resources.Limits) {
			without[measure.Name] = append(without[measure.Name], c.Name)
		}
	}
	var missing []string
	for _, measure := range quota.Measures() {
		if containers := without[measure.Name]; len(containers) > 0 {
			missing = append(missing, measure.Field+" for: "+strings.Join(containers, ","))
		}
	}
	if len(missing) > 0 {
		return errors.New("must specify " + strings.Join(missing, "; "))
	}
	return nil
}

// Usage implements quotav1.Evaluator.
func (e instances) Usage(item runtime.Object) (corev1.ResourceList, error) {
	instance, err := asInstance(item)
	if err != nil {
		return nil, err
	}
	list, err := e.Evaluator.Usage(item)
	if err != nil || instance.Status.Phase.Ended() {
		return list, err
	}
	var usage quota.Usage
	for i := range instance.Spec.Containers {
		resources := &instance.Spec.Containers[i].Resources
		quota.Add(&usage, resources.Requests, resources.Limits)
	}
	amounts := usage.Amounts()
	for _, measure := range quota.Measures() {
		list[measure.Name] = *resource.NewQuantity(amounts[measure.Name], measure.Format)
	}
	return list, nil
}

// UsageStats implements quotav1.Evaluator. Admission does not call it.
func (instances) UsageStats(quotav1.UsageStatsOptions) (quotav1.UsageStats, error) {
	return quotav1.UsageStats{}, errors.New("the controller of resource quotas counts the usage")
}

var _ quotav1.Evaluator = instances{}

func asInstance(item runtime.Object) (*fleet.Instance, error) {
	instance, ok := item.(*fleet.Instance)
	if !ok {
		return nil, fmt.Errorf("%T is no instance", item)
	}
	return instance, nil
}
