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

package limitranger

import (
	"fmt"
	"maps"
	"math/big"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// bounded is something that has requests and limits: a container, or a whole instance.
type bounded struct {
	// path is the field in messages, and of names it in the bound: per container.
	path, of  string
	resources fleet.ResourceRequirements
}

// check returns a sentence for each bound of an item that an instance does not keep.
func check(instance *fleet.Instance, item *corev1.LimitRangeItem) []string {
	var all []bounded
	switch item.Type {
	case corev1.LimitTypeContainer:
		for i := range instance.Spec.Containers {
			all = append(all, bounded{fmt.Sprintf("spec.containers[%d].resources", i), "container", instance.Spec.Containers[i].Resources})
		}
	case corev1.LimitTypePod:
		all = append(all, bounded{"the sum of spec.containers[*].resources", "instance", sum(instance)})
	}
	var refusals []string
	for _, b := range all {
		for _, name := range names(item.Min) {
			refusals = append(refusals, b.atLeast(name, item.Min[name])...)
		}
		for _, name := range names(item.Max) {
			refusals = append(refusals, b.atMost(name, item.Max[name])...)
		}
		for _, name := range names(item.MaxLimitRequestRatio) {
			refusals = append(refusals, b.ratioAtMost(name, item.MaxLimitRequestRatio[name])...)
		}
	}
	return refusals
}

// names returns the names of a list that instances can have.
func names(list corev1.ResourceList) []corev1.ResourceName {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(list)), func(name corev1.ResourceName) bool { return !helper.IsContainerResource(string(name)) })
}

// sum adds up the resources of all containers.
func sum(instance *fleet.Instance) fleet.ResourceRequirements {
	total := fleet.ResourceRequirements{Requests: fleet.ResourceList{}, Limits: fleet.ResourceList{}}
	add := func(to, list fleet.ResourceList) {
		for name, amount := range list {
			so := to[name]
			so.Add(amount)
			to[name] = so
		}
	}
	for i := range instance.Spec.Containers {
		add(total.Requests, instance.Spec.Containers[i].Resources.Requests)
		add(total.Limits, instance.Spec.Containers[i].Resources.Limits)
	}
	return total
}

// field returns the path of one amount.
func (b bounded) field(list string, name corev1.ResourceName) string {
	return fmt.Sprintf("%s.%s[%s]", b.path, list, name)
}

// atLeast checks a minimum. As for pods, the request is required, and a limit has to reach the
// minimum, too.
func (b bounded) atLeast(name corev1.ResourceName, least resource.Quantity) []string {
	request, requested := b.resources.Requests[fleet.ResourceName(name)]
	limit, limited := b.resources.Limits[fleet.ResourceName(name)]
	bound := fmt.Sprintf("the minimum of %s per %s", least.String(), b.of)
	switch {
	case !requested:
		return []string{b.field("requests", name) + " must be set, because of " + bound}
	case request.Cmp(least) < 0:
		return []string{b.field("requests", name) + ": " + request.String() + " is less than " + bound}
	case limited && limit.Cmp(least) < 0:
		return []string{b.field("limits", name) + ": " + limit.String() + " is less than " + bound}
	}
	return nil
}

// atMost checks a maximum: the limit is required.
func (b bounded) atMost(name corev1.ResourceName, most resource.Quantity) []string {
	request, requested := b.resources.Requests[fleet.ResourceName(name)]
	limit, limited := b.resources.Limits[fleet.ResourceName(name)]
	bound := fmt.Sprintf("the maximum of %s per %s", most.String(), b.of)
	switch {
	case !limited:
		return []string{b.field("limits", name) + " must be set, because of " + bound}
	case limit.Cmp(most) > 0:
		return []string{b.field("limits", name) + ": " + limit.String() + " is more than " + bound}
	case requested && request.Cmp(most) > 0:
		return []string{b.field("requests", name) + ": " + request.String() + " is more than " + bound}
	}
	return nil
}

// ratioAtMost checks the limit divided by the request: both are required, and neither may be 0.
func (b bounded) ratioAtMost(name corev1.ResourceName, most resource.Quantity) []string {
	request, limit := b.resources.Requests[fleet.ResourceName(name)], b.resources.Limits[fleet.ResourceName(name)]
	bound := fmt.Sprintf("the maximum ratio of limit to request of %s per %s", most.String(), b.of)
	switch {
	case request.IsZero():
		return []string{b.field("requests", name) + " must be set and not 0, because of " + bound}
	case limit.IsZero():
		return []string{b.field("limits", name) + " must be set and not 0, because of " + bound}
	}
	if allowed := new(big.Rat).Mul(exact(request), exact(most)); exact(limit).Cmp(allowed) > 0 {
		return []string{fmt.Sprintf("%s: %s is more than %s allows for a request of %s", b.field("limits", name), limit.String(), bound, request.String())}
	}
	return nil
}

// exact returns the value of a quantity without rounding.
func exact(q resource.Quantity) *big.Rat {
	value, ok := new(big.Rat).SetString(q.AsDec().String())
	if !ok {
		return new(big.Rat)
	}
	return value
}
