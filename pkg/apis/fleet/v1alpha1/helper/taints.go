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

package helper

import (
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// ToleratesTaint reports whether a toleration matches a taint, by the rules for pods and nodes. An
// empty key matches every key, an empty effect every effect, and no operator means Equal.
func ToleratesTaint(toleration *v1alpha1.Toleration, taint *v1alpha1.Taint) bool {
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

// FindUntoleratedTaint returns the first taint that no toleration matches, whatever its effect;
// nil if there is none.
func FindUntoleratedTaint(taints []v1alpha1.Taint, tolerations []v1alpha1.Toleration) *v1alpha1.Taint {
	for i := range taints {
		if !slices.ContainsFunc(tolerations, func(t v1alpha1.Toleration) bool { return ToleratesTaint(&t, &taints[i]) }) {
			return &taints[i]
		}
	}
	return nil
}

// TolerationTime is how long an instance stays on a host with taints.
type TolerationTime struct {
	// Forever is true if no taint evicts the instance.
	Forever bool
	// For is how long it stays otherwise; zero if some taint is not tolerated at all.
	For time.Duration
}

// MinTolerationTime returns how long an instance with these tolerations stays in spite of the
// taints. Only taints with the effect NoExecute evict. The shortest tolerationSeconds of all
// tolerations that match counts; a toleration without tolerationSeconds lasts forever.
func MinTolerationTime(taints []v1alpha1.Taint, tolerations []v1alpha1.Toleration) TolerationTime {
	result := TolerationTime{Forever: true}
	for i := range taints {
		if taints[i].Effect != v1alpha1.TaintEffectNoExecute {
			continue
		}
		matched := false
		for j := range tolerations {
			if !ToleratesTaint(&tolerations[j], &taints[i]) {
				continue
			}
			matched = true
			if seconds := tolerations[j].TolerationSeconds; seconds != nil {
				// More than a century is capped: larger values overflow a Duration.
				limit := time.Duration(min(max(*seconds, 0), 100*365*24*3600)) * time.Second
				if result.Forever || limit < result.For {
					result = TolerationTime{For: limit}
				}
			}
		}
		if !matched {
			return TolerationTime{}
		}
	}
	return result
}
