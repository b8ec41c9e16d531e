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

package app

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
)

// EndOld scales all old releases to 0, before an app of type Recreate continues.
func EndOld(old []*v1alpha1.Release) []Scaling {
	var scalings []Scaling
	for _, release := range activeOf(old) {
		scalings = append(scalings, Scaling{release, 0})
	}
	return scalings
}

// OldInstancesRun reports whether any old release still has an instance that may run: the release
// counts one, or one has not ended because it is being deleted or its host is unreachable.
func OldInstancesRun(old []*v1alpha1.Release, instancesOf func(release types.UID) []*v1alpha1.Instance) bool {
	if ActualReplicaCount(old) > 0 {
		return true
	}
	for _, release := range old {
		for _, i := range instancesOf(release.UID) {
			if !helper.IsInstanceTerminal(i) {
				return true
			}
		}
	}
	return false
}
