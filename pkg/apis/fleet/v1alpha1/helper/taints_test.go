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
	"math"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	noSchedule = v1alpha1.TaintEffectNoSchedule
	noExecute  = v1alpha1.TaintEffectNoExecute
	exists     = v1alpha1.TolerationOpExists
	equal      = v1alpha1.TolerationOpEqual
)

func TestWhichTolerationMatchesWhichTaint(t *testing.T) {
	taint := v1alpha1.Taint{Key: "example.com/gpu", Value: "a100", Effect: noSchedule}
	for _, tc := range []struct {
		name       string
		toleration v1alpha1.Toleration
		taint      v1alpha1.Taint
		want       bool
	}{
		{"the same key, value and effect", v1alpha1.Toleration{Key: "example.com/gpu", Operator: equal, Value: "a100", Effect: noSchedule}, taint, true},
		{"no operator means Equal", v1alpha1.Toleration{Key: "example.com/gpu", Value: "a100"}, taint, true},
		{"another value", v1alpha1.Toleration{Key: "example.com/gpu", Operator: equal, Value: "h100"}, taint, false},
		{"another key", v1alpha1.Toleration{Key: "example.com/disk", Operator: exists}, taint, false},
		{"another effect", v1alpha1.Toleration{Key: "example.com/gpu", Operator: exists, Effect: noExecute}, taint, false},
		{"Exists matches every value", v1alpha1.Toleration{Key: "example.com/gpu", Operator: exists}, taint, true},
		{"no key and Exists match everything", v1alpha1.Toleration{Operator: exists}, taint, true},
		{"no key with an effect matches that effect only", v1alpha1.Toleration{Operator: exists, Effect: noExecute}, taint, false},
		{"an empty toleration matches nothing", v1alpha1.Toleration{}, v1alpha1.Taint{Key: "example.com/gpu", Effect: noSchedule}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ToleratesTaint(&tc.toleration, &tc.taint); got != tc.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestWhichTaintKeepsAnInstanceAway(t *testing.T) {
	gpu, down := v1alpha1.Taint{Key: "gpu", Effect: noSchedule}, v1alpha1.Taint{Key: "down", Effect: noExecute}
	for _, tc := range []struct {
		name        string
		taints      []v1alpha1.Taint
		tolerations []v1alpha1.Toleration
		want        string
	}{
		{name: "a host without taints takes all"},
		{name: "NoSchedule keeps away", taints: []v1alpha1.Taint{gpu}, want: "gpu"},
		{name: "NoExecute keeps away", taints: []v1alpha1.Taint{down}, want: "down"},
		{name: "the first that is not tolerated is named", taints: []v1alpha1.Taint{gpu, down}, tolerations: []v1alpha1.Toleration{{Key: "gpu", Operator: exists}}, want: "down"},
		{name: "all are tolerated", taints: []v1alpha1.Taint{gpu, down}, tolerations: []v1alpha1.Toleration{{Key: "gpu", Operator: exists}, {Key: "down", Operator: exists, TolerationSeconds: ptr.To[int64](0)}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if taint := FindUntoleratedTaint(tc.taints, tc.tolerations); taint != nil {
				got = taint.Key
			}
			if got != tc.want {
				t.Errorf("got %q, not %q", got, tc.want)
			}
		})
	}
}

func TestForHowLongAnInstanceStays(t *testing.T) {
	gpu, down, slow := v1alpha1.Taint{Key: "gpu", Effect: noSchedule}, v1alpha1.Taint{Key: "down", Effect: noExecute}, v1alpha1.Taint{Key: "slow", Effect: noExecute}
	toleration := func(key string, seconds *int64) v1alpha1.Toleration {
		return v1alpha1.Toleration{Key: key, Operator: exists, Effect: noExecute, TolerationSeconds: seconds}
	}
	for _, tc := range []struct {
		name        string
		taints      []v1alpha1.Taint
		tolerations []v1alpha1.Toleration
		want        TolerationTime
	}{
		{name: "without taints forever", want: TolerationTime{Forever: true}},
		{name: "NoSchedule evicts no instance", taints: []v1alpha1.Taint{gpu}, want: TolerationTime{Forever: true}},
		{name: "an instance without a toleration is evicted at once", taints: []v1alpha1.Taint{down}},
		{name: "tolerated without seconds stays forever", taints: []v1alpha1.Taint{down}, tolerations: []v1alpha1.Toleration{toleration("down", nil)}, want: TolerationTime{Forever: true}},
		{name: "tolerated for a while", taints: []v1alpha1.Taint{down}, tolerations: []v1alpha1.Toleration{toleration("down", ptr.To[int64](300))}, want: TolerationTime{For: 300 * time.Second}},
		{name: "of two that match the shorter counts", taints: []v1alpha1.Taint{down}, tolerations: []v1alpha1.Toleration{toleration("down", ptr.To[int64](300)), toleration("", ptr.To[int64](20)), toleration("down", nil)}, want: TolerationTime{For: 20 * time.Second}},
		{name: "of two taints the shorter counts", taints: []v1alpha1.Taint{down, slow}, tolerations: []v1alpha1.Toleration{toleration("down", ptr.To[int64](300)), toleration("slow", ptr.To[int64](60))}, want: TolerationTime{For: time.Minute}},
		{name: "one of two taints is not tolerated", taints: []v1alpha1.Taint{down, slow}, tolerations: []v1alpha1.Toleration{toleration("down", nil)}},
		{name: "less than zero is at once", taints: []v1alpha1.Taint{down}, tolerations: []v1alpha1.Toleration{toleration("down", ptr.To[int64](-5))}},
		{name: "more than a Duration holds is a century", taints: []v1alpha1.Taint{down}, tolerations: []v1alpha1.Toleration{toleration("down", ptr.To[int64](math.MaxInt64))}, want: TolerationTime{For: 100 * 365 * 24 * time.Hour}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := MinTolerationTime(tc.taints, tc.tolerations); got != tc.want {
				t.Errorf("got %+v, not %+v", got, tc.want)
			}
		})
	}
}
