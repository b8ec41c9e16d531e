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

package policies

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestChangedPathsNameFieldsAndNoValues(t *testing.T) {
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a:1"}, {Name: "b", Image: "b:1"}}},
		}
		if change != nil {
			change(p)
		}
		return p
	}
	for _, c := range []struct {
		name  string
		after runtime.Object
		want  []string
	}{
		{"nothing", pod(nil), nil},
		{"a key with the separators of pointers", pod(func(p *corev1.Pod) { p.Labels["team/~x"] = "secret" }), []string{"/metadata/labels/team~1~0x"}},
		{"a removed key", pod(func(p *corev1.Pod) { delete(p.Labels, "app") }), []string{"/metadata/labels"}},
		{"a field in a list", pod(func(p *corev1.Pod) { p.Spec.Containers[1].Image = "b:2" }), []string{"/spec/containers/1/image"}},
		{"an added element", pod(func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "c"}) }), []string{"/spec/containers/2"}},
		{"a removed element", pod(func(p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] }), []string{"/spec/containers/1"}},
		{"more than are named", pod(func(p *corev1.Pod) {
			for i := range 40 {
				p.Labels[fmt.Sprintf("l%02d", i)] = ""
			}
		}), slices.Collect(func(yield func(string) bool) {
			for i := range mostPaths {
				if !yield(fmt.Sprintf("/metadata/labels/l%02d", i)) {
					return
				}
			}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ChangedPaths(pod(nil), c.after); !slices.Equal(got, c.want) {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("a typed and an untyped object", func(t *testing.T) {
		before := &unstructured.Unstructured{Object: map[string]any{"a": int64(1), "b": nil}}
		after := &unstructured.Unstructured{Object: map[string]any{"a": 1.0}}
		if got := ChangedPaths(before, after); len(got) != 0 {
			t.Errorf("equal objects differ at %q", got)
		}
	})
}
