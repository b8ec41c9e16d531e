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
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestTemplatesThatDifferHaveOtherHashes(t *testing.T) {
	base := v1alpha1.InstanceTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
	}
	hashOf := func(change func(*v1alpha1.InstanceTemplateSpec), collisions *int32) string {
		template := base.DeepCopy()
		if change != nil {
			change(template)
		}
		hash, err := TemplateHash(template, collisions)
		if err != nil {
			t.Fatal(err)
		}
		if len(validation.IsDNS1123Label(hash)) > 0 || len(hash) > 10 {
			t.Errorf("%q is no part of a name", hash)
		}
		return hash
	}
	// Another hash would do no harm to releases that are there, which are found by their
	// template; but two versions of Gatehouse would not agree on a name.
	if hash := hashOf(nil, nil); hash != "cb5d95cc5" {
		t.Errorf("the hash of the same template is now %s", hash)
	}
	seen := map[string]string{}
	for _, tc := range []struct {
		name       string
		change     func(*v1alpha1.InstanceTemplateSpec)
		collisions *int32
	}{
		{"the template", nil, nil},
		{"another image", func(s *v1alpha1.InstanceTemplateSpec) { s.Spec.Containers[0].Image = "web:2" }, nil},
		{"another label", func(s *v1alpha1.InstanceTemplateSpec) { s.Labels["tier"] = "front" }, nil},
		{"an annotation", func(s *v1alpha1.InstanceTemplateSpec) { s.Annotations = map[string]string{"restarted": "now"} }, nil},
		{"another name of a container", func(s *v1alpha1.InstanceTemplateSpec) { s.Spec.Containers[0].Name = "www" }, nil},
		{"after a collision", nil, ptr.To[int32](1)},
		{"after two collisions", nil, ptr.To[int32](2)},
	} {
		hash := hashOf(tc.change, tc.collisions)
		if other, found := seen[hash]; found {
			t.Errorf("%s has the hash of %s", tc.name, other)
		}
		seen[hash] = tc.name
		if again := hashOf(tc.change, tc.collisions); again != hash {
			t.Errorf("%s has %s, and then %s", tc.name, hash, again)
		}
	}
}

func TestNamesOfReleases(t *testing.T) {
	for _, tc := range []struct{ name, app, hash, want string }{
		{"of an app", "web", "abcde12345", "web-abcde12345"},
		{"as long as can be", strings.Repeat("a", 242), "abcde12345", strings.Repeat("a", 242) + "-abcde12345"},
		{"cut off", strings.Repeat("b", 250), "abcde12345", strings.Repeat("b", 242) + "-abcde12345"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ReleaseName(tc.app, tc.hash); got != tc.want {
				t.Errorf("got %s", got)
			}
		})
	}
}
