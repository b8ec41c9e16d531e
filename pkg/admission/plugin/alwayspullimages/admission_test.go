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

package alwayspullimages

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	admissiontesting "k8s.io/apiserver/pkg/admission/testing"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// spec returns a spec with a container for each image and policy.
func spec(containers ...string) fleet.InstanceSpec {
	var s fleet.InstanceSpec
	for i, c := range containers {
		image, policy, _ := strings.Cut(c, " ")
		s.Containers = append(s.Containers, fleet.Container{Name: string(rune('a' + i)), Image: image, ImagePullPolicy: fleet.PullPolicy(policy)})
	}
	return s
}

func instance(containers ...string) *fleet.Instance {
	return &fleet.Instance{Spec: spec(containers...)}
}

func app(containers ...string) *fleet.App {
	return &fleet.App{Spec: fleet.AppSpec{Template: fleet.InstanceTemplateSpec{Spec: spec(containers...)}}}
}

func release(owner string, containers ...string) *fleet.Release {
	r := &fleet.Release{Spec: fleet.ReleaseSpec{Template: fleet.InstanceTemplateSpec{Spec: spec(containers...)}}}
	if owner != "" {
		r.OwnerReferences = []metav1.OwnerReference{{APIVersion: owner, Kind: "App", Name: "web", Controller: ptr.To(true)}}
	}
	return r
}

func write(object, old runtime.Object, resource, subresource string) admission.Attributes {
	operation := admission.Create
	if old != nil {
		operation = admission.Update
	}
	return admission.NewAttributesRecord(object, old, fleet.Kind("K").WithVersion("v1alpha1"), "default", "web",
		fleet.Resource(resource).WithVersion("v1alpha1"), subresource, operation, &metav1.CreateOptions{}, false, nil)
}

func TestImagesAreAlwaysPulled(t *testing.T) {
	for _, tc := range []struct {
		name        string
		object, old runtime.Object
		resource    string
		subresource string
		// want are the policies after Admit; refused is the error of Validate after it.
		want    string
		refused string
	}{
		{name: "an instance", object: instance("x:1 IfNotPresent", "y:1 Never"), resource: "instances", want: "Always Always"},
		{name: "an instance that always pulls", object: instance("x:1 Always"), resource: "instances", want: "Always"},
		{name: "an app", object: app("x:1 IfNotPresent"), resource: "apps", want: "Always"},
		{name: "a release without an owner", object: release("", "x:1 IfNotPresent"), resource: "releases", want: "Always"},
		{name: "a release of an app", object: release("fleet.gatehouse.dev/v1alpha1", "x:1 IfNotPresent"), resource: "releases", want: "IfNotPresent"},
		{name: "a release of an App of another group", object: release("apps.example.com/v1", "x:1 IfNotPresent"), resource: "releases", want: "Always"},
		{name: "an app keeps its images", object: app("x:1 IfNotPresent"), old: app("x:1 IfNotPresent"), resource: "apps", want: "IfNotPresent"},
		{name: "an app gets one new image", object: app("x:2 IfNotPresent", "y:1 Never"), old: app("x:1 IfNotPresent", "y:1 Never"), resource: "apps", want: "Always Never"},
		{name: "an app gets another container", object: app("x:1 IfNotPresent", "y:1 Never"), old: app("x:1 IfNotPresent"), resource: "apps", want: "IfNotPresent Always"},
		{name: "an instance keeps its image", object: instance("x:1 IfNotPresent"), old: instance("x:1 IfNotPresent"), resource: "instances", want: "IfNotPresent"},
		{
			name: "an instance from before gets a new image", object: instance("x:1 Never", "y:2 IfNotPresent"), old: instance("x:1 Never", "y:1 IfNotPresent"), resource: "instances", want: "Never IfNotPresent",
			refused: "spec.containers[1].imagePullPolicy: it must be Always, not IfNotPresent: create a new instance with the new image",
		},
		{name: "a status", object: instance("x:2 IfNotPresent"), old: instance("x:1 IfNotPresent"), resource: "instances", subresource: "status", want: "IfNotPresent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := write(tc.object, tc.old, tc.resource, tc.subresource)
			if err := admissiontesting.WithReinvocationTesting(t, New()).Admit(t.Context(), a, nil); err != nil {
				t.Fatal(err)
			}
			containers, _ := containersOf(tc.object)
			var got []string
			for _, c := range containers {
				got = append(got, string(c.ImagePullPolicy))
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
			err := New().Validate(t.Context(), a, nil)
			if tc.refused == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tc.refused != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAPolicyThatAWebhookChangedIsRefused(t *testing.T) {
	a := write(app("x:1 IfNotPresent"), nil, "apps", "")
	if err := New().Validate(t.Context(), a, nil); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "spec.template.spec.containers[0].imagePullPolicy: it must be Always, not IfNotPresent: set it") {
		t.Errorf("got %v", err)
	}
}
