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

package limitranger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	admissiontesting "k8s.io/apiserver/pkg/admission/testing"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// pluginWith returns the plugin with limit ranges of the namespace default.
func pluginWith(t *testing.T, ranges ...*corev1.LimitRange) *Plugin {
	t.Helper()
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, r := range ranges {
		if err := index.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	p := New()
	p.limits = corelisters.NewLimitRangeLister(index)
	p.SetReadyFunc(func() bool { return true })
	return p
}

// limitRange returns a limit range of lines "TYPE LIST NAME=AMOUNT,...".
func limitRange(name string, lines ...string) *corev1.LimitRange {
	r := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for _, line := range lines {
		var kind, list, text string
		_, _ = fmt.Sscan(line, &kind, &list, &text)
		item := corev1.LimitRangeItem{Type: corev1.LimitType(kind)}
		amounts := corev1.ResourceList{}
		for key, value := range pairs(text) {
			amounts[corev1.ResourceName(key)] = value
		}
		switch list {
		case "min":
			item.Min = amounts
		case "max":
			item.Max = amounts
		case "default":
			item.Default = amounts
		case "defaultRequest":
			item.DefaultRequest = amounts
		case "ratio":
			item.MaxLimitRequestRatio = amounts
		}
		r.Spec.Limits = append(r.Spec.Limits, item)
	}
	return r
}

// pairs returns the amounts of NAME=AMOUNT, separated by commas.
func pairs(text string) map[string]resource.Quantity {
	amounts := map[string]resource.Quantity{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, amount, ok := strings.Cut(pair, "="); ok {
			amounts[name] = resource.MustParse(amount)
		}
	}
	return amounts
}

// instance returns an instance with a container for each "REQUESTS/LIMITS".
func instance(containers ...string) *fleet.Instance {
	i := &fleet.Instance{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	for n, c := range containers {
		requests, limits, _ := strings.Cut(c, "/")
		i.Spec.Containers = append(i.Spec.Containers, fleet.Container{Name: string(rune('a' + n)), Resources: fleet.ResourceRequirements{Requests: listOf(requests), Limits: listOf(limits)}})
	}
	return i
}

func listOf(text string) fleet.ResourceList {
	var list fleet.ResourceList
	for name, amount := range pairs(text) {
		if list == nil {
			list = fleet.ResourceList{}
		}
		list[fleet.ResourceName(name)] = amount
	}
	return list
}

func create(object runtime.Object, resource, subresource, namespace string) admission.Attributes {
	return admission.NewAttributesRecord(object, nil, fleet.Kind("Instance").WithVersion("v1alpha1"), namespace, "web",
		fleet.Resource(resource).WithVersion("v1alpha1"), subresource, admission.Create, &metav1.CreateOptions{}, false, nil)
}

// written returns the containers as instance takes them.
func written(i *fleet.Instance) []string {
	var all []string
	text := func(list fleet.ResourceList) string {
		var parts []string
		for name, amount := range list {
			parts = append(parts, string(name)+"="+amount.String())
		}
		slices.Sort(parts)
		return strings.Join(parts, ",")
	}
	for _, c := range i.Spec.Containers {
		all = append(all, text(c.Resources.Requests)+"/"+text(c.Resources.Limits))
	}
	return all
}

func TestContainersGetTheDefaults(t *testing.T) {
	defaults := limitRange("team", "Container default cpu=2,memory=1Gi", "Container defaultRequest cpu=1,memory=1Gi")
	for _, tc := range []struct {
		name      string
		ranges    []*corev1.LimitRange
		given     []string
		want      []string
		annotated string
	}{
		{"no limit range", nil, []string{"/"}, []string{"/"}, ""},
		{"nothing is set", []*corev1.LimitRange{defaults}, []string{"/"}, []string{"cpu=1,memory=1Gi/cpu=2,memory=1Gi"}, "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a"},
		{"something is set", []*corev1.LimitRange{defaults}, []string{"cpu=1,memory=2/memory=2", "cpu=1,memory=1/cpu=1,memory=1"}, []string{"cpu=1,memory=2/cpu=2,memory=2", "cpu=1,memory=1/cpu=1,memory=1"}, "LimitRanger plugin set: cpu limit for container a"},
		{"all is set", []*corev1.LimitRange{defaults}, []string{"cpu=1,memory=1/cpu=1,memory=1"}, []string{"cpu=1,memory=1/cpu=1,memory=1"}, ""},
		{"0 is set", []*corev1.LimitRange{defaults}, []string{"cpu=0,memory=0/cpu=0,memory=0"}, []string{"cpu=0,memory=0/cpu=0,memory=0"}, ""},
		{"two limit ranges: the first by name counts", []*corev1.LimitRange{limitRange("z", "Container default cpu=9,memory=9"), limitRange("b", "Container default cpu=3")}, []string{"/"}, []string{"/cpu=3,memory=9"}, "LimitRanger plugin set: cpu limit for container a; memory limit for container a"},
		{"two items of a limit range: the last one counts", []*corev1.LimitRange{limitRange("team", "Container default cpu=9,memory=9", "Container default cpu=3")}, []string{"/"}, []string{"/cpu=3,memory=9"}, "LimitRanger plugin set: cpu, memory limit for container a"},
		{"defaults of what instances do not have", []*corev1.LimitRange{limitRange("team", "Container default ephemeral-storage=1Gi,hugepages-2Mi=2Mi,example.com/gpu=1")}, []string{"/"}, []string{"/example.com/gpu=1"}, "LimitRanger plugin set: example.com/gpu limit for container a"},
		{"bounds of pods and claims", []*corev1.LimitRange{limitRange("team", "Pod max cpu=1", "PersistentVolumeClaim max storage=1")}, []string{"/"}, []string{"/"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := instance(tc.given...)
			if err := admissiontesting.WithReinvocationTesting(t, pluginWith(t, tc.ranges...)).Admit(t.Context(), create(i, "instances", "", "default"), nil); err != nil {
				t.Fatal(err)
			}
			if got := written(i); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := i.Annotations[annotation]; got != tc.annotated {
				t.Errorf("annotated %q, want %q", got, tc.annotated)
			}
		})
	}
}

func TestInstancesKeepTheBounds(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		given      []string
		// refused are the parts of the message; none if the instance is accepted.
		refused []string
	}{
		{"a minimum that is kept", "Container min cpu=100m", []string{"cpu=100m/cpu=100m"}, nil},
		{"less than a minimum", "Container min cpu=100m", []string{"cpu=100m/", "cpu=99m/"}, []string{"spec.containers[1].resources.requests[cpu]: 99m is less than the minimum of 100m per container (limit range team)"}},
		{"a minimum without a request", "Container min cpu=100m", []string{"/"}, []string{"spec.containers[0].resources.requests[cpu] must be set, because of the minimum of 100m per container"}},
		{"a limit below a minimum", "Container min cpu=100m", []string{"cpu=100m/cpu=50m"}, []string{"resources.limits[cpu]: 50m is less than the minimum"}},
		{"a maximum that is kept", "Container max memory=1Gi", []string{"memory=1Gi/memory=1Gi"}, nil},
		{"more than a maximum", "Container max memory=1Gi", []string{"/memory=1025Mi"}, []string{"spec.containers[0].resources.limits[memory]: 1025Mi is more than the maximum of 1Gi per container"}},
		{"a maximum without a limit", "Container max memory=1Gi", []string{"memory=1/"}, []string{"resources.limits[memory] must be set, because of the maximum of 1Gi"}},
		{"a request above a maximum", "Container max memory=1", []string{"memory=2/memory=1"}, []string{"resources.requests[memory]: 2 is more than the maximum"}},
		{"a ratio that is kept exactly", "Container ratio cpu=1500m", []string{"cpu=2/cpu=3"}, nil},
		{"more than a ratio, by the least amount", "Container ratio cpu=1500m", []string{"cpu=2/cpu=3001m"}, []string{"spec.containers[0].resources.limits[cpu]: 3001m is more than the maximum ratio of limit to request of 1500m per container allows for a request of 2"}},
		{"a ratio without a request", "Container ratio cpu=2", []string{"/cpu=1"}, []string{"resources.requests[cpu] must be set and not 0"}},
		{"a ratio to a request of 0", "Container ratio cpu=2", []string{"cpu=0/cpu=1"}, []string{"resources.requests[cpu] must be set and not 0"}},
		{"a ratio without a limit", "Container ratio cpu=2", []string{"cpu=1/"}, []string{"resources.limits[cpu] must be set and not 0"}},
		{"amounts that 64 bits of thousandths do not hold", "Container max memory=8Ei", []string{"memory=1/memory=7Ei"}, nil},
		{"the sum over an instance", "Pod max cpu=3", []string{"cpu=1/cpu=2", "cpu=1/cpu=1"}, nil},
		{"more than the sum over an instance", "Pod max cpu=3", []string{"cpu=1/cpu=2", "cpu=1/cpu=1001m"}, []string{"the sum of spec.containers[*].resources.limits[cpu]: 3001m is more than the maximum of 3 per instance"}},
		{"less than the sum over an instance", "Pod min cpu=3", []string{"cpu=1/", "cpu=1/"}, []string{"the sum of spec.containers[*].resources.requests[cpu]: 2 is less than the minimum of 3 per instance"}},
		{"the ratio of the sums", "Pod ratio cpu=2", []string{"cpu=1/cpu=4", "cpu=1/cpu=1"}, []string{"5 is more than the maximum ratio of limit to request of 2 per instance"}},
		{"two bounds that are not kept", "Container max cpu=1,memory=1", []string{"/cpu=2,memory=2"}, []string{"resources.limits[cpu]: 2 is more", "; spec.containers[0].resources.limits[memory]: 2 is more"}},
		{"bounds of what instances do not have", "Container max ephemeral-storage=1", []string{"/"}, nil},
		{"bounds of claims", "PersistentVolumeClaim max storage=1", []string{"/"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := instance(tc.given...)
			before := written(i)
			err := pluginWith(t, limitRange("team", tc.line)).Validate(t.Context(), create(i, "instances", "", "default"), nil)
			if len(tc.refused) == 0 && err != nil {
				t.Errorf("refused: %v", err)
			}
			for _, part := range tc.refused {
				if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want %s", err, part)
				}
			}
			if !slices.Equal(written(i), before) {
				t.Errorf("Validate changed the instance: %q", written(i))
			}
		})
	}
}

func TestOnlyCreatesOfInstancesInTheNamespaceAreBounded(t *testing.T) {
	p := pluginWith(t, limitRange("team", "Container max cpu=1"))
	app := &fleet.App{Spec: fleet.AppSpec{Template: fleet.InstanceTemplateSpec{Spec: instance("/cpu=2").Spec}}}
	for _, tc := range []struct {
		name       string
		attributes admission.Attributes
		refused    bool
	}{
		{"an instance", create(instance("/cpu=2"), "instances", "", "default"), true},
		{"an instance elsewhere", create(instance("/cpu=2"), "instances", "", "other"), false},
		{"a binding", create(&fleet.Binding{}, "instances", "binding", "default"), false},
		{"an app, whose instances are refused", create(app, "apps", "", "default"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := p.Validate(t.Context(), tc.attributes, nil); (err != nil) != tc.refused {
				t.Errorf("got %v", err)
			}
		})
	}
	if p.Handles(admission.Update) {
		t.Error("it handles updates")
	}
	if err := New().ValidateInitialization(); err == nil {
		t.Error("a plugin without a lister is complete")
	}
}
