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

package hosttaints

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	admissiontesting "k8s.io/apiserver/pkg/admission/testing"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestAHostThatRegistersItselfIsNotReady(t *testing.T) {
	itself := &user.DefaultInfo{Name: v1alpha1.HostUserPrefix + "edge-1", Groups: []string{v1alpha1.HostsGroup}}
	operator := &user.DefaultInfo{Name: "operator", Groups: []string{user.SystemPrivilegedGroup}}
	gpu := fleet.Taint{Key: "example.com/gpu", Effect: fleet.TaintEffectNoSchedule}
	notReady := fleet.Taint{Key: "fleet.gatehouse.dev/not-ready", Effect: fleet.TaintEffectNoSchedule}
	evicting := fleet.Taint{Key: "fleet.gatehouse.dev/not-ready", Effect: fleet.TaintEffectNoExecute}
	for _, tc := range []struct {
		name         string
		by           user.Info
		resource     string
		taints, want []fleet.Taint
	}{
		{"it registers itself", itself, "hosts", nil, []fleet.Taint{notReady}},
		{"it sets the taint itself", itself, "hosts", []fleet.Taint{notReady}, []fleet.Taint{notReady}},
		{"it brings the taint with the other effect", itself, "hosts", []fleet.Taint{evicting}, []fleet.Taint{evicting, notReady}},
		{"an operator creates it", operator, "hosts", []fleet.Taint{gpu}, []fleet.Taint{gpu}},
		{"something else", itself, "hostleases", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}, Spec: fleet.HostSpec{Taints: tc.taints}}
			a := admission.NewAttributesRecord(object, nil, fleet.Kind("Host").WithVersion("v1alpha1"), "", "edge-1",
				fleet.Resource(tc.resource).WithVersion("v1alpha1"), "", admission.Create, &metav1.CreateOptions{}, false, tc.by)
			if err := admissiontesting.WithReinvocationTesting(t, New()).Admit(t.Context(), a, nil); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(object.Spec.Taints, tc.want) {
				t.Errorf("got %v, want %v", object.Spec.Taints, tc.want)
			}
		})
	}
}
