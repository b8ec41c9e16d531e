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

package base

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// configMap returns a ConfigMap with count labels, annotations, owners and finalizers.
func configMap(count int) *corev1.ConfigMap {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}}}
	for i := range count {
		m.Labels[fmt.Sprint("k", i)] = ""
		m.Annotations[fmt.Sprint("k", i)] = ""
		m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{})
		m.Finalizers = append(m.Finalizers, "a/b")
	}
	return m
}

func TestMetadataIsBoundedExceptForStoredObjects(t *testing.T) {
	all := []string{"metadata.labels", "metadata.annotations", "metadata.ownerReferences", "metadata.finalizers"}
	for _, test := range []struct {
		name     string
		obj, old *corev1.ConfigMap
		want     []string
	}{
		{name: "nothing on create", obj: configMap(0)},
		{name: "as much as every bound allows", obj: configMap(100)},
		{name: "more owners and finalizers than their bounds allow", obj: configMap(101), want: all[2:]},
		{name: "more of everything", obj: configMap(1001), want: all},
		{name: "an update that leaves what there was", obj: configMap(1001), old: configMap(1001)},
		{name: "an update that leaves a part of what there was", obj: configMap(1001), old: configMap(1002)},
		{name: "an update that adds to what there was", obj: configMap(1002), old: configMap(1001), want: all},
		{name: "an update that exceeds the bounds", obj: configMap(1001), old: configMap(1000), want: all},
	} {
		t.Run(test.name, func(t *testing.T) {
			var old runtime.Object
			if test.old != nil {
				old = test.old
			}
			var got []string
			for _, err := range validateMetadataBounds(test.obj, old) {
				if err.Type != field.ErrorTypeTooMany {
					t.Errorf("%v is no error of that kind", err)
				}
				got = append(got, err.Field)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("errors at %v, not at %v", got, test.want)
			}
		})
	}
}

func TestLongListsOfErrorsAreCut(t *testing.T) {
	var errs field.ErrorList
	for i := range 5000 {
		errs = append(errs, field.Invalid(field.NewPath("data").Key(strings.Repeat("k", 10_000)), strings.Repeat("é", 10_000), fmt.Sprint(i, strings.Repeat("y", 10_000))))
	}
	cut := CutErrors(errs)
	if len(cut) != mostErrors {
		t.Errorf("%d errors are left, not %d", len(cut), mostErrors)
	}
	answer := apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "a", cut)
	if len(answer.Error()) > 512<<10 {
		t.Errorf("the answer has %d bytes", len(answer.Error()))
	}
	if !strings.HasSuffix(cut[len(cut)-1].Detail, "; and 4900 more errors") {
		t.Errorf("the last error does not have the number of omitted ones: %s", cut[len(cut)-1].Detail)
	}
	if len(errs[0].Field) < 10_000 {
		t.Error("the errors themselves were changed")
	}
}

func TestShortErrorsAreNotCut(t *testing.T) {
	path := field.NewPath("spec", "a")
	short := field.ErrorList{
		field.Invalid(path, "x", "is wrong"),
		field.Invalid(path, 3, "is wrong"),
		field.Invalid(path, metav1.ConditionTrue, "is wrong"),
		field.Invalid(path, &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}, "is wrong"),
		field.Invalid(path, metav1.Duration{Duration: time.Second}, "is wrong"),
		field.Required(path, ""),
		field.TooLong(path, "", 3),
		field.TooMany(path, 5, 3),
		field.NotSupported(path, corev1.Protocol("x"), []corev1.Protocol{corev1.ProtocolTCP}),
		field.Forbidden(path, "may not be"),
		field.Duplicate(path, "x"),
		field.NotFound(path, "x"),
	}
	for _, err := range short {
		got := CutErrors(field.ErrorList{err})
		if len(got) != 1 || got[0].Error() != err.Error() || got[0].Type != err.Type || got[0].Field != err.Field || got[0].Origin != err.Origin {
			t.Errorf("%v has become %v", err, got)
		}
	}
	if got := CutErrors(nil); len(got) != 0 {
		t.Errorf("no errors have become %v", got)
	}
}

func TestLongValuesOfEveryKindAreCut(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, value := range []any{long, corev1.Protocol(long), &metav1.LabelSelector{MatchLabels: map[string]string{"a": long}}, []string{long}} {
		err := CutErrors(field.ErrorList{field.Invalid(field.NewPath("a"), value, "is wrong")})[0]
		if len(err.Error()) > 2000 || !strings.Contains(err.Error(), "bytes)") {
			t.Errorf("a %T of 100 kB becomes an error of %d bytes: %.200s", value, len(err.Error()), err)
		}
	}
}
