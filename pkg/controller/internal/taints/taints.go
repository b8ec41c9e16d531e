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

// Package taints decides which taints of a host an instance tolerates, and for how long, for the
// scheduler and the host lifecycle controller. The rules are those for pods and nodes. Read
// Tolerates.
package taints

import (
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Tolerates reports whether a toleration matches a taint. An empty key matches every key, an empty
// effect every effect, and the default operator is Equal.
func Tolerates(toleration *v1alpha1.Toleration, taint *v1alpha1.Taint) bool {
	switch {
	case toleration.Effect != "" && toleration.Effect != taint.Effect:
		return false
	case toleration.Key != "" && toleration.Key != taint.Key:
		return false
	case toleration.Operator == v1alpha1.TolerationOpExists:
		return true
	}
	return toleration.Key != "" && toleration.Value == taint.Value
}

// Untolerated returns the first of a host's taints that no toleration matches, whatever its effect;
// nil if there is none.
func Untolerated(taints []v1alpha1.Taint, tolerations []v1alpha1.Toleration) *v1alpha1.Taint {
	for i := range taints {
		if !slices.ContainsFunc(tolerations, func(t v1alpha1.Toleration) bool { return Tolerates(&t, &taints[i]) }) {
			return &taints[i]
		}
	}
	return nil
}

// Tolerance is the time for which an instance stays on a host.
type Tolerance struct {
	// Forever is set if no taint evicts it.
	Forever bool
	// For is the time otherwise; zero if some taint is not tolerated at all.
	For time.Duration
}

// ToleranceOf returns how long an instance with these tolerations stays in spite of the taints. Only
// NoExecute evicts. The shortest tolerationSeconds of the matching tolerations counts, over all
// taints; tolerations without any last forever.
func ToleranceOf(taints []v1alpha1.Taint, tolerations []v1alpha1.Toleration) Tolerance {
	result := Tolerance{Forever: true}
	for i := range taints {
		if taints[i].Effect != v1alpha1.TaintEffectNoExecute {
			continue
		}
		matched := false
		for j := range tolerations {
			if !Tolerates(&tolerations[j], &taints[i]) {
				continue
			}
			matched = true
			if seconds := tolerations[j].TolerationSeconds; seconds != nil {
				// Longer than a century is capped: more overflows a Duration.
				limit := time.Duration(min(max(*seconds, 0), 100*365*24*3600)) * time.Second
				if result.Forever || limit < result.For {
					result = Tolerance{For: limit}
				}
			}
		}
		if !matched {
			return Tolerance{}
		}
	}
	return result
}
