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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func TestTheTemplateOfAReleaseKeepsItsPorts(t *testing.T) {
	release := func(protocol fleet.Protocol) *fleet.Release {
		instance, labels := validInstance().Spec, map[string]string{"app": "web"}
		instance.ActiveDeadlineSeconds = nil
		instance.Containers[0].Ports[0].Protocol = protocol
		return &fleet.Release{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
			Spec: fleet.ReleaseSpec{
				Replicas: ptr.To[int32](1),
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: fleet.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: instance},
			},
		}
	}
	for _, row := range []struct {
		name     string
		from, to fleet.Protocol
		want     []want
	}{
		{"a port that leaves TCP out is the same", fleet.ProtocolTCP, "", nil},
		{"a port that adds TCP is the same", "", fleet.ProtocolTCP, nil},
		{"a port of another protocol is another", "", fleet.ProtocolUDP, []want{{forbidden, "spec.template"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			check(t, ValidateReleaseUpdate(release(row.to), release(row.from)), row.want)
		})
	}
}
