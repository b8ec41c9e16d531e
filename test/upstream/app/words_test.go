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
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// joined returns annotations in one line, ours without the group.
func joined(annotations map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		list = append(list, strings.TrimPrefix(name, v1alpha1.GroupName+"/")+"="+annotations[name])
	}
	return strings.Join(list, " ")
}

func sorted(releases []*v1alpha1.Release) string {
	var list []string
	for _, release := range releases {
		list = append(list, release.Name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func sortedSets(sets []*appsv1.ReplicaSet) string {
	var list []string
	for _, rs := range sets {
		list = append(list, rs.Name)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
