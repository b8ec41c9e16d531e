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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestConfigMaps(t *testing.T) {
	half := strings.Repeat("x", maxDataSize/2)
	for name, test := range map[string]struct {
		config corev1.ConfigMap
		want   []string
	}{
		"text and bytes":                      {corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{"a.b_c-D": ""}, BinaryData: map[string][]byte{"e": {0}}}, nil},
		"a key with a slash":                  {corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{"a/b": ""}}, []string{invalid + "data[a/b]"}},
		"a binary key that is a path":         {corev1.ConfigMap{ObjectMeta: named, BinaryData: map[string][]byte{"..": {}}}, []string{invalid + "binaryData[..]"}},
		"a key in both":                       {corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{"a": ""}, BinaryData: map[string][]byte{"a": {}}}, []string{invalid + "data[a]"}},
		"exactly as much as fits":             {corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{"a": half}, BinaryData: map[string][]byte{"b": []byte(half)}}, nil},
		"a byte more than fits, all together": {corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{"a": half, "c": "x"}, BinaryData: map[string][]byte{"b": []byte(half)}}, []string{tooMuch + "[]"}},
		"no namespace":                        {corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, []string{required + "metadata.namespace"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, ValidateConfigMap(&test.config), test.want...) })
	}
	old := corev1.ConfigMap{ObjectMeta: named, Immutable: ptr.To(true), Data: map[string]string{"a": "b"}, BinaryData: map[string][]byte{"c": {1}}}
	for name, test := range map[string]struct {
		change func(*corev1.ConfigMap)
		want   []string
	}{
		"labels of an immutable one may change": {func(c *corev1.ConfigMap) { c.Labels = map[string]string{"a": "b"} }, nil},
		"its data may not":                      {func(c *corev1.ConfigMap) { c.Data["a"] = "c" }, []string{forbidden + "data"}},
		"nor its binary data":                   {func(c *corev1.ConfigMap) { c.BinaryData = nil }, []string{forbidden + "binaryData"}},
		"nor does it become mutable again":      {func(c *corev1.ConfigMap) { c.Immutable = nil }, []string{forbidden + "immutable"}},
		"nor by saying so":                      {func(c *corev1.ConfigMap) { c.Immutable = ptr.To(false) }, []string{forbidden + "immutable"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := old.DeepCopy()
			test.change(config)
			expect(t, ValidateConfigMapUpdate(config, &old), test.want...)
		})
	}
}
