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

// EndOld is which old releases end before an app of type Recreate goes on: all.
func EndOld(old []*v1alpha1.Release) []Scaling {
	var scalings []Scaling
	for _, release := range activeOf(old) {
		scalings = append(scalings, Scaling{release, 0})
	}
	return scalings
}

// OldInstancesRun says whether any old release still has an instance that may run: it counts
// one itself, or one of its instances has not ended, be it that it is being deleted or that
// its host is out of reach.
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
