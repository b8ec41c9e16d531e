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
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts returns a list of NAME=AMOUNT, separated by commas; nil if there is none.
func amounts(text string) corev1.ResourceList {
	if text == "" {
		return nil
	}
	list := corev1.ResourceList{}
	for pair := range strings.SplitSeq(text, ",") {
		name, amount, _ := strings.Cut(pair, "=")
		list[corev1.ResourceName(name)] = resource.MustParse(amount)
	}
	return list
}

func TestLimitRanges(t *testing.T) {
	const container, pod, claim = corev1.LimitTypeContainer, corev1.LimitTypePod, corev1.LimitTypePersistentVolumeClaim
	for name, test := range map[string]struct {
		kind                                  corev1.LimitType
		least, most, limit, request, maxRatio string
		want                                  []string
	}{
		"all that a container can have":             {container, "cpu=100m,memory=1Mi", "cpu=4,memory=1Gi", "cpu=1", "cpu=500m", "cpu=10", nil},
		"nothing":                                   {container, "", "", "", "", "", nil},
		"bounds of a pod":                           {pod, "cpu=1", "cpu=2", "", "", "cpu=2", nil},
		"defaults of a pod":                         {pod, "", "", "cpu=1", "cpu=1", "", []string{forbidden + "spec.limits[0].default", forbidden + "spec.limits[0].defaultRequest"}},
		"bounds of a claim":                         {claim, "storage=1Gi", "", "", "", "", nil},
		"a claim without bounds of storage":         {claim, "", "cpu=1", "", "", "", []string{required + "spec.limits[0].limits"}},
		"a type with a domain":                      {"example.com/volume", "example.com/size=1", "", "", "", "", nil},
		"a type that is not known":                  {"Node", "", "", "", "", "", []string{invalid + "spec.limits[0].type"}},
		"a type that is no name":                    {"a b", "", "", "", "", "", []string{invalid + "spec.limits[0].type"}},
		"no type":                                   {"", "", "", "", "", "", []string{invalid + "spec.limits[0].type"}},
		"huge pages and ephemeral storage":          {container, "", "hugepages-2Mi=4Mi,ephemeral-storage=1Gi", "", "", "", nil},
		"a resource that containers do not have":    {container, "pods=1", "", "", "", "", []string{invalid + "spec.limits[0].min[pods]"}},
		"a resource that nothing has":               {claim, "storage=1,light=1", "", "", "", "", []string{invalid + "spec.limits[0].min[light]"}},
		"a name that is none":                       {container, "", "", "a b=1", "", "", []string{invalid + "spec.limits[0].default[a b]"}},
		"a name with a prefix of quotas":            {container, "", "", "", "requests.example.com/gpu=1", "", []string{invalid + "spec.limits[0].defaultRequest[requests.example.com/gpu]"}},
		"a minimum above the maximum":               {container, "cpu=2", "cpu=1", "", "", "", []string{invalid + "spec.limits[0].min[cpu]"}},
		"a minimum above the defaults":              {container, "cpu=2", "", "cpu=1", "cpu=1", "", []string{invalid + "spec.limits[0].defaultRequest[cpu]", invalid + "spec.limits[0].default[cpu]"}},
		"defaults above the maximum":                {container, "", "cpu=1", "cpu=2", "cpu=2", "", []string{invalid + "spec.limits[0].defaultRequest[cpu]", invalid + "spec.limits[0].default[cpu]"}},
		"a default request above the default":       {container, "", "", "cpu=1", "cpu=2", "", []string{invalid + "spec.limits[0].defaultRequest[cpu]"}},
		"a ratio below 1":                           {container, "", "", "", "", "cpu=900m", []string{invalid + "spec.limits[0].maxLimitRequestRatio[cpu]"}},
		"a ratio that the bounds do not leave":      {container, "cpu=1", "cpu=2", "", "", "cpu=2001m", []string{invalid + "spec.limits[0].maxLimitRequestRatio[cpu]"}},
		"the greatest ratio that the bounds leave":  {container, "cpu=1", "cpu=2", "", "", "cpu=2", nil},
		"a ratio beside a minimum of nothing":       {container, "cpu=0", "cpu=2", "", "", "cpu=7", nil},
		"different defaults of an extended one":     {container, "", "", "example.com/gpu=2", "example.com/gpu=1", "", []string{invalid + "spec.limits[0].defaultRequest[example.com/gpu]"}},
		"different defaults of huge pages":          {container, "", "", "hugepages-2Mi=4Mi", "hugepages-2Mi=2Mi", "", []string{invalid + "spec.limits[0].defaultRequest[hugepages-2Mi]"}},
		"the same defaults of an extended resource": {container, "", "", "example.com/gpu=1", "example.com/gpu=1", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			limits := &corev1.LimitRange{ObjectMeta: named, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
				Type: test.kind, Min: amounts(test.least), Max: amounts(test.most), Default: amounts(test.limit), DefaultRequest: amounts(test.request), MaxLimitRequestRatio: amounts(test.maxRatio),
			}}}}
			expect(t, ValidateLimitRange(limits), test.want...)
		})
	}
	twice := &corev1.LimitRange{ObjectMeta: named, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: pod}, {Type: pod}}}}
	expect(t, ValidateLimitRange(twice), "FieldValueDuplicate spec.limits[1].type")
	expect(t, ValidateLimitRange(&corev1.LimitRange{}), required+"metadata.name", required+"metadata.namespace")
}

func TestLimitRangesWithoutEffectCauseWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		item corev1.LimitRangeItem
		want []string
	}{
		"what instances have":         {corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amounts("cpu=1,memory=1,example.com/gpu=1")}, nil},
		"the sum over an instance":    {corev1.LimitRangeItem{Type: corev1.LimitTypePod, Max: amounts("cpu=1")}, nil},
		"claims":                      {corev1.LimitRangeItem{Type: corev1.LimitTypePersistentVolumeClaim, Max: amounts("storage=1")}, []string{"spec.limits[0].type: this server stores nothing that a limit of type PersistentVolumeClaim applies to"}},
		"what only pods have":         {corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amounts("cpu=1,ephemeral-storage=1"), Default: amounts("hugepages-2Mi=2Mi")}, []string{"spec.limits[0].default[hugepages-2Mi]: containers of instances have no hugepages-2Mi", "spec.limits[0].max[ephemeral-storage]: "}},
		"nothing at all":              {corev1.LimitRangeItem{Type: corev1.LimitTypeContainer}, nil},
		"a type of another component": {corev1.LimitRangeItem{Type: "example.com/volume"}, []string{"spec.limits[0].type: "}},
	} {
		t.Run(name, func(t *testing.T) {
			got := WarningsForLimitRange(&corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{test.item}}})
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("got %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}
