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
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestANewAppMayNotChooseByTheLabelOfItsController(t *testing.T) {
	for _, tc := range []struct {
		name     string
		selector metav1.LabelSelector
		want     string
	}{
		{"another label", metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, ""},
		{"the label by its value", metav1.LabelSelector{MatchLabels: map[string]string{"app": "web", v1alpha1.TemplateHashLabel: "abc"}}, "spec.selector.matchLabels[fleet.gatehouse.dev/template-hash]"},
		{"the label by an expression", metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: v1alpha1.TemplateHashLabel, Operator: metav1.LabelSelectorOpExists}}}, "spec.selector.matchExpressions[0].key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := &fleet.App{Spec: fleet.AppSpec{Selector: &tc.selector, Template: fleet.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", v1alpha1.TemplateHashLabel: "abc"}}}}}
			forbidden := func(errs field.ErrorList) (at string) {
				for _, err := range errs {
					if err.Type == field.ErrorTypeForbidden {
						at = err.Field
					}
				}
				return at
			}
			if got := forbidden(ValidateApp(app)); got != tc.want {
				t.Errorf("refused at %q, want %q", got, tc.want)
			}
			if got := forbidden(ValidateAppUpdate(app, app)); got != "" {
				t.Errorf("one that is stored can no longer be changed: %q", got)
			}
		})
	}
}

func TestAHostKeepsRoomForTheTaintsOfItsController(t *testing.T) {
	host := func(own int, ours ...string) *fleet.Host {
		h := &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}
		for n := range own {
			h.Spec.Taints = append(h.Spec.Taints, fleet.Taint{Key: fmt.Sprint("example.com/t", n), Effect: fleet.TaintEffectNoSchedule})
		}
		for _, key := range ours {
			h.Spec.Taints = append(h.Spec.Taints, fleet.Taint{Key: key, Effect: fleet.TaintEffectNoSchedule}, fleet.Taint{Key: key, Effect: fleet.TaintEffectNoExecute})
		}
		return h
	}
	for _, tc := range []struct {
		name string
		host *fleet.Host
		ok   bool
	}{
		{"as many as it may have", host(64), true},
		{"one too many", host(65), false},
		{"as many as it may have, and those of its controller", host(64, v1alpha1.TaintHostNotReady, v1alpha1.TaintHostUnreachable), true},
		{"one too many beside those", host(65, v1alpha1.TaintHostNotReady), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if created, updated := ValidateHost(tc.host), ValidateHostUpdate(tc.host, tc.host); (len(created) == 0) != tc.ok || (len(updated) == 0) != tc.ok {
				t.Errorf("says %v and %v", created, updated)
			}
		})
	}
}
