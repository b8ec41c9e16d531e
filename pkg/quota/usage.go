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

package quota

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Measure is a sum over instances, and the container field that it sums up.
type Measure struct {
	Name corev1.ResourceName
	// Field is the path of the field in a container.
	Field string
	// Format is the format in which amounts are displayed.
	Format resource.Format

	limit    bool
	resource string
	scale    resource.Scale
}

// measures are in the order of messages.
var measures = []Measure{
	{Name: RequestsMilliCPU, Field: "resources.requests.cpu", Format: resource.DecimalSI, resource: "cpu", scale: resource.Milli},
	{Name: RequestsMemory, Field: "resources.requests.memory", Format: resource.BinarySI, resource: "memory"},
	{Name: LimitsMilliCPU, Field: "resources.limits.cpu", Format: resource.DecimalSI, limit: true, resource: "cpu", scale: resource.Milli},
	{Name: LimitsMemory, Field: "resources.limits.memory", Format: resource.BinarySI, limit: true, resource: "memory"},
}

// Measures returns all sums that a quota can limit.
func Measures() []Measure { return slices.Clone(measures) }

// Usage sums up what the containers of one instance request. The zero value is ready to use.
type Usage struct{ sums [4]resource.Quantity }

// Add adds one container.
func Add[L ~map[N]resource.Quantity, N ~string](u *Usage, requests, limits L) {
	for i, m := range measures {
		if amount, ok := pick(m, requests, limits); ok {
			u.sums[i].Add(amount)
		}
	}
}

// Missing returns those of the wanted sums for which the container sets no value.
func Missing[L ~map[N]resource.Quantity, N ~string](wanted []corev1.ResourceName, requests, limits L) []Measure {
	var missing []Measure
	for _, m := range measures {
		if _, ok := pick(m, requests, limits); !ok && slices.Contains(wanted, m.Name) {
			missing = append(missing, m)
		}
	}
	return missing
}

func pick[L ~map[N]resource.Quantity, N ~string](m Measure, requests, limits L) (resource.Quantity, bool) {
	list := requests
	if m.limit {
		list = limits
	}
	amount, ok := list[N(m.resource)]
	return amount, ok
}

// Amounts returns the sums as integers. They are rounded up once for each instance, after its
// containers have been added, so that charges for single instances sum up to the count of all.
func (u *Usage) Amounts() map[corev1.ResourceName]int64 {
	amounts := make(map[corev1.ResourceName]int64, len(measures))
	for i, m := range measures {
		amounts[m.Name] = whole(u.sums[i], m.scale)
	}
	return amounts
}

// whole returns the quantity in the scale, and saturates.
func whole(q resource.Quantity, scale resource.Scale) int64 {
	greatest := resource.NewScaledQuantity(math.MaxInt64, scale)
	if q.Cmp(*greatest) >= 0 {
		return math.MaxInt64
	}
	return q.ScaledValue(scale)
}
