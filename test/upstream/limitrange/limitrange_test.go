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

package limitrange

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	upstream "k8s.io/kubernetes/pkg/apis/core"
	upstreamv1 "k8s.io/kubernetes/pkg/apis/core/v1"
	upstreamvalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	upstreamplugin "k8s.io/kubernetes/plugin/pkg/admission/limitranger"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/limitranger"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/core"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// rounds is enough for every pair of a type, a list and a name.
const rounds = 20000

// world makes random objects of a few words.
type world struct {
	*rand.Rand
	types   []corev1.LimitType
	names   []corev1.ResourceName
	amounts []string
}

func (w world) list(most int) corev1.ResourceList {
	list := corev1.ResourceList{}
	for range w.IntN(most + 1) {
		list[w.names[w.IntN(len(w.names))]] = resource.MustParse(w.amounts[w.IntN(len(w.amounts))])
	}
	return list
}

func (w world) limits() *corev1.LimitRange {
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}}
	for range 1 + w.IntN(2) {
		item := corev1.LimitRangeItem{Type: w.types[w.IntN(len(w.types))]}
		for _, list := range []*corev1.ResourceList{&item.Min, &item.Max, &item.Default, &item.DefaultRequest, &item.MaxLimitRequestRatio} {
			if w.IntN(3) == 0 {
				*list = w.list(2)
			}
		}
		limits.Spec.Limits = append(limits.Spec.Limits, item)
	}
	return limits
}

func random(t *testing.T) *rand.Rand {
	return rand.New(rand.NewPCG(kit.Seed(t), 0))
}

func fields(errs field.ErrorList) []string {
	var all []string
	for _, err := range errs {
		all = append(all, string(err.Type)+" "+err.Field)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestDefaultsAndValidationAreUpstreams(t *testing.T) {
	w := world{
		random(t),
		[]corev1.LimitType{"Container", "Container", "Pod", "PersistentVolumeClaim", "Node", "example.com/volume", "a b", ""},
		[]corev1.ResourceName{"cpu", "memory", "example.com/gpu", "ephemeral-storage", "hugepages-2Mi", "requests.hugepages-2Mi", "pods", "storage", "requests.cpu", "a b", "requests.example.com/gpu", "kubernetes.io/batch", "light", ""},
		[]string{"0", "1m", "500m", "1", "1500m", "2", "3", "1Gi"},
	}
	for range rounds {
		theirs := w.limits()
		ours := theirs.DeepCopy()
		core.SetDefaults_LimitRange(ours)
		for i := range theirs.Spec.Limits {
			upstreamv1.SetDefaults_LimitRangeItem(&theirs.Spec.Limits[i])
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("defaults: ours %+v, upstream's %+v", ours.Spec, theirs.Spec)
		}
		var internal upstream.LimitRange
		if err := upstreamv1.Convert_v1_LimitRange_To_core_LimitRange(theirs.DeepCopy(), &internal, nil); err != nil {
			t.Fatal(err)
		}
		got, want := fields(validation.ValidateLimitRange(ours)), fields(upstreamvalidation.ValidateLimitRange(&internal))
		if !slices.Equal(got, want) {
			t.Fatalf("ours %q, upstream's %q: %+v", got, want, ours.Spec)
		}
	}
}

func TestLimitRangerDecidesAsUpstreams(t *testing.T) {
	w := world{
		random(t), []corev1.LimitType{"Container", "Pod"}, []corev1.ResourceName{"cpu", "memory", "example.com/gpu"},
		[]string{"0", "1m", "500m", "1", "1500m", "2", "3", "1Gi"},
	}
	refused := 0
	for range rounds {
		limits := w.limits()
		core.SetDefaults_LimitRange(limits)
		pod, instance := &upstream.Pod{}, &fleet.Instance{}
		for i := range 1 + w.IntN(2) {
			requests, limits, name := w.list(2), w.list(2), string(rune('a'+i))
			theirs, ours := upstream.Container{Name: name}, fleet.Container{Name: name}
			theirs.Resources.Requests, ours.Resources.Requests = convert[upstream.ResourceList](requests), convert[fleet.ResourceList](requests)
			theirs.Resources.Limits, ours.Resources.Limits = convert[upstream.ResourceList](limits), convert[fleet.ResourceList](limits)
			pod.Spec.Containers, instance.Spec.Containers = append(pod.Spec.Containers, theirs), append(instance.Spec.Containers, ours)
		}
		factory := informers.NewSharedInformerFactory(nil, 0)
		plugin := limitranger.New()
		plugin.SetExternalKubeInformerFactory(factory)
		plugin.SetReadyFunc(func() bool { return true })
		if err := factory.Core().V1().LimitRanges().Informer().GetIndexer().Add(limits); err != nil {
			t.Fatal(err)
		}
		a := admission.NewAttributesRecord(instance, nil, fleet.Kind("Instance").WithVersion("v1alpha1"), "default", "web",
			fleet.Resource("instances").WithVersion("v1alpha1"), "", admission.Create, &metav1.CreateOptions{}, false, nil)
		if err := plugin.Admit(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
		if err := upstreamplugin.PodMutateLimitFunc(limits, pod); err != nil {
			t.Fatal(err)
		}
		for i := range pod.Spec.Containers {
			theirs, ours := pod.Spec.Containers[i].Resources, instance.Spec.Containers[i].Resources
			if !same(theirs.Requests, ours.Requests) || !same(theirs.Limits, ours.Limits) {
				t.Fatalf("set: ours %+v, upstream's %+v: %+v", ours, theirs, limits.Spec)
			}
		}
		got, want := plugin.Validate(t.Context(), a, nil), upstreamplugin.PodValidateLimitFunc(limits, pod)
		if (got == nil) != (want == nil) {
			t.Fatalf("ours %v, upstream's %v: %+v of %+v", got, want, limits.Spec, instance.Spec)
		}
		if got != nil {
			refused++
		}
	}
	if refused == 0 || refused == rounds {
		t.Errorf("%d of %d are refused: the objects show nothing", refused, rounds)
	}
}

func convert[L ~map[N]resource.Quantity, N ~string](list corev1.ResourceList) L {
	converted := L{}
	for name, amount := range list {
		converted[N(name)] = amount.DeepCopy()
	}
	return converted
}

func same(theirs upstream.ResourceList, ours fleet.ResourceList) bool {
	if len(theirs) != len(ours) {
		return false
	}
	for name, amount := range theirs {
		if other, ok := ours[fleet.ResourceName(name)]; !ok || amount.Cmp(other) != 0 {
			return false
		}
	}
	return true
}
