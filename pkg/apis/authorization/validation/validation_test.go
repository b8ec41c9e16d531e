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
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSelectorsOfAReviewAreBounded(t *testing.T) {
	labels := func(count, values int) *authorizationv1.LabelSelectorAttributes {
		requirement := metav1.LabelSelectorRequirement{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: slices.Repeat([]string{"b"}, values)}
		return &authorizationv1.LabelSelectorAttributes{Requirements: slices.Repeat([]metav1.LabelSelectorRequirement{requirement}, count)}
	}
	fields := func(count, values int) *authorizationv1.FieldSelectorAttributes {
		requirement := metav1.FieldSelectorRequirement{Key: "a", Operator: metav1.FieldSelectorOpIn, Values: slices.Repeat([]string{"b"}, values)}
		return &authorizationv1.FieldSelectorAttributes{Requirements: slices.Repeat([]metav1.FieldSelectorRequirement{requirement}, count)}
	}
	for _, test := range []struct {
		name   string
		labels *authorizationv1.LabelSelectorAttributes
		fields *authorizationv1.FieldSelectorAttributes
		want   []string
	}{
		{name: "as much as may be", labels: labels(maxRequirements, 1), fields: fields(maxRequirements, 1)},
		{name: "as many values as may be", labels: labels(1, maxValues), fields: fields(1, maxValues)},
		{name: "more requirements", labels: labels(maxRequirements+1, 1), fields: fields(maxRequirements+1, 1), want: []string{
			"spec.resourceAttributes.fieldSelector.requirements: Too many", "spec.resourceAttributes.labelSelector.requirements: Too many"}},
		{name: "more values", labels: labels(1, maxValues+1), fields: fields(1, maxValues+1), want: []string{
			"spec.resourceAttributes.fieldSelector.requirements[0].values: Too many", "spec.resourceAttributes.labelSelector.requirements[0].values: Too many"}},
		{name: "a raw selector as long as may be", labels: &authorizationv1.LabelSelectorAttributes{RawSelector: strings.Repeat("a", maxRawSelector)}},
		{name: "a longer raw selector", labels: &authorizationv1.LabelSelectorAttributes{RawSelector: strings.Repeat("a", maxRawSelector+1)},
			fields: &authorizationv1.FieldSelectorAttributes{RawSelector: strings.Repeat("a", maxRawSelector+1)}, want: []string{
				"spec.resourceAttributes.fieldSelector.rawSelector: Too long", "spec.resourceAttributes.labelSelector.rawSelector: Too long"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{LabelSelector: test.labels, FieldSelector: test.fields}}}
			errs := ValidateSelfSubjectAccessReview(review)
			if len(errs) != len(test.want) {
				t.Fatalf("%d errors, not %d: %v", len(errs), len(test.want), errs)
			}
			for i, err := range errs {
				if !strings.HasPrefix(err.Error(), test.want[i]) {
					t.Errorf("%q does not begin with %q", err, test.want[i])
				}
			}
		})
	}
}

func TestAReviewIsOfAResourceOrOfAPath(t *testing.T) {
	resource, path := &authorizationv1.ResourceAttributes{Verb: "get"}, &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/"}
	for _, test := range []struct {
		name     string
		resource *authorizationv1.ResourceAttributes
		path     *authorizationv1.NonResourceAttributes
		want     string
	}{
		{"a resource", resource, nil, ""},
		{"a path", nil, path, ""},
		{"both", resource, path, `spec.nonResourceAttributes: Invalid value: {"path":"/","verb":"get"}: must not be combined`},
		{"neither", nil, nil, "spec.resourceAttributes: Invalid value: null: must be set, or else nonResourceAttributes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := ValidateSelfSubjectAccessReview(&authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: test.resource, NonResourceAttributes: test.path},
			}).ToAggregate(); err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
