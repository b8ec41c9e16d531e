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
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestRevisionNumbers(t *testing.T) {
	for _, tc := range []struct {
		name       string
		annotation *string
		number     int64
		invalid    bool
		valid      int64
	}{
		{name: "without the annotation it is 0"},
		{name: "a positive number", annotation: ptr.To("7"), number: 7, valid: 7},
		{name: "a negative number is not valid", annotation: ptr.To("-7"), number: -7},
		{name: "text is an error", annotation: ptr.To("seven"), invalid: true},
		{name: "an empty annotation is an error", annotation: ptr.To(""), invalid: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := &v1alpha1.Release{}
			if tc.annotation != nil {
				release.Annotations = map[string]string{v1alpha1.RevisionAnnotation: *tc.annotation}
			}
			number, err := Revision(release)
			if number != tc.number || (err != nil) != tc.invalid {
				t.Errorf("got %d, %v", number, err)
			}
			if valid := ValidRevision(release); valid != tc.valid {
				t.Errorf("the valid number is %d", valid)
			}
		})
	}
}

func TestRevisionsAreTheNumberedReleasesOfTheAppTheNewestLast(t *testing.T) {
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "web"}}
	made := func(name, number, owner string) *v1alpha1.Release {
		return &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{v1alpha1.RevisionAnnotation: number},
			OwnerReferences: []metav1.OwnerReference{{UID: "web", Controller: ptr.To(owner == "web")}},
		}}
	}
	var got []string
	for _, release := range RevisionsOf(app, []*v1alpha1.Release{
		made("ten", "10", "web"), made("two", "2", "web"), made("zero", "0", "web"), made("new", "", "web"), made("other", "5", "other"),
	}) {
		got = append(got, release.Name)
	}
	if len(got) != 2 || got[0] != "two" || got[1] != "ten" {
		t.Errorf("got %v", got)
	}
}

func TestTheTemplateHashIsRemovedAndOtherLabelsStay(t *testing.T) {
	template := &v1alpha1.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", v1alpha1.TemplateHashLabel: "x"}}}
	RemoveTemplateHash(template)
	if len(template.Labels) != 1 || template.Labels["app"] != "web" {
		t.Errorf("labels %v", template.Labels)
	}
	RemoveTemplateHash(&v1alpha1.InstanceTemplateSpec{})
}
