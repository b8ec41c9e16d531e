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

package core_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/core/install"
)

// limits returns a limit range with one item.
func limits(item corev1.LimitRangeItem) *corev1.LimitRange {
	return &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{item}}}
}

// amounts returns a list of NAME=AMOUNT, separated by commas.
func amounts(text string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for pair := range strings.SplitSeq(text, ",") {
		name, amount, _ := strings.Cut(pair, "=")
		list[corev1.ResourceName(name)] = resource.MustParse(amount)
	}
	return list
}

func TestDefaults(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	named := metav1.ObjectMeta{Name: "a"}
	for name, test := range map[string]struct{ given, want runtime.Object }{
		"a config map always has data": {
			&corev1.ConfigMap{ObjectMeta: named},
			&corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{}},
		},
		"a namespace is active and labelled with its name": {
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"team": "x", corev1.LabelMetadataName: "forged"}}},
			&corev1.Namespace{
				ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"team": "x", corev1.LabelMetadataName: "a"}},
				Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
			},
		},
		"a namespace whose name is yet to be generated is not labelled": {
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}},
		},
		"a namespace that goes away stays so": {
			&corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}},
			&corev1.Namespace{Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}},
		},
		"a secret is opaque unless it says what it is": {
			&corev1.Secret{}, &corev1.Secret{Type: corev1.SecretTypeOpaque},
		},
		"a secret's type is kept": {
			&corev1.Secret{Type: "example.com/own"}, &corev1.Secret{Type: "example.com/own"},
		},
		"stringData becomes data, and wins over it": {
			&corev1.Secret{Data: map[string][]byte{"a": []byte("old"), "b": []byte("kept")}, StringData: map[string]string{"a": "new", "c": "added"}},
			&corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("new"), "b": []byte("kept"), "c": []byte("added")}},
		},
		"the default of a container is its maximum, and its request the default or the minimum": {
			limits(corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amounts("cpu=2,memory=3"), Default: amounts("memory=1"), Min: amounts("example.com/gpu=1")}),
			limits(corev1.LimitRangeItem{
				Type: corev1.LimitTypeContainer, Max: amounts("cpu=2,memory=3"), Min: amounts("example.com/gpu=1"),
				Default: amounts("cpu=2,memory=1"), DefaultRequest: amounts("cpu=2,memory=1,example.com/gpu=1"),
			}),
		},
		"given defaults of a container stay": {
			limits(corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amounts("cpu=4"), Min: amounts("cpu=1"), Default: amounts("cpu=3"), DefaultRequest: amounts("cpu=2")}),
			limits(corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amounts("cpu=4"), Min: amounts("cpu=1"), Default: amounts("cpu=3"), DefaultRequest: amounts("cpu=2")}),
		},
		"other limits get no defaults": {
			limits(corev1.LimitRangeItem{Type: corev1.LimitTypePod, Max: amounts("cpu=4")}),
			limits(corev1.LimitRangeItem{Type: corev1.LimitTypePod, Max: amounts("cpu=4")}),
		},
		"every item of a list gets its defaults": {
			&corev1.SecretList{Items: []corev1.Secret{{StringData: map[string]string{"a": "b"}}}},
			&corev1.SecretList{Items: []corev1.Secret{{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("b")}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme.Default(test.given)
			if !apiequality.Semantic.DeepEqual(test.given, test.want) {
				t.Errorf("got %+v, want %+v", test.given, test.want)
			}
			again := test.given.DeepCopyObject()
			scheme.Default(again)
			if !apiequality.Semantic.DeepEqual(again, test.want) {
				t.Errorf("defaults set twice differ: %+v", again)
			}
		})
	}
}
