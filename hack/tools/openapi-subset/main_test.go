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

package main

import (
	"strings"
	"testing"
)

const generated = `package openapi

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	intstr "k8s.io/apimachinery/pkg/util/intstr"
	common "k8s.io/kube-openapi/pkg/common"
)

func GetOpenAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	return map[string]common.OpenAPIDefinition{
		corev1.Kept{}.OpenAPIModelName():   schema_Kept(ref),
		corev1.Needed{}.OpenAPIModelName(): schema_Needed(ref),
		corev1.Other{}.OpenAPIModelName():  schema_Other(ref),
		rbacv1.Role{}.OpenAPIModelName():   schema_Role(ref),
		v1.Meta{}.OpenAPIModelName():       schema_Meta(ref),
	}
}

func schema_Kept(ref common.ReferenceCallback) common.OpenAPIDefinition {
	return common.OpenAPIDefinition{Dependencies: []string{corev1.Needed{}.OpenAPIModelName(), v1.Meta{}.OpenAPIModelName()}}
}

func schema_Needed(ref common.ReferenceCallback) common.OpenAPIDefinition { return common.OpenAPIDefinition{} }

func schema_Other(ref common.ReferenceCallback) common.OpenAPIDefinition {
	return common.OpenAPIDefinition{Dependencies: []string{intstr.IntOrString{}.OpenAPIModelName()}}
}

func schema_Role(ref common.ReferenceCallback) common.OpenAPIDefinition { return common.OpenAPIDefinition{} }

func schema_Meta(ref common.ReferenceCallback) common.OpenAPIDefinition { return common.OpenAPIDefinition{} }
`

func TestUnservedTypesAreCut(t *testing.T) {
	out, err := subset([]byte(generated), "k8s.io/api/core/v1", []string{"Kept"}, "k8s.io/apimachinery")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"schema_Kept(ref),": true, "func schema_Kept(": true,
		"schema_Needed(ref),": true, "func schema_Needed(": true,
		"schema_Role(ref),": true,
		"schema_Other":      false, "intstr": false,
		"schema_Meta": false, "v1.Meta{}.OpenAPIModelName()}": true,
	} {
		if strings.Contains(string(out), text) != want {
			t.Errorf("%q is in the file: %v, want %v\n%s", text, !want, want, out)
		}
	}
}

func TestMistakesInTheCallAreNamed(t *testing.T) {
	for want, call := range map[string]struct {
		source, pkg string
		keep        []string
	}{
		"no type Missing": {generated, "k8s.io/api/core/v1", []string{"Missing"}},
		"not imported":    {generated, "k8s.io/api/apps/v1", []string{"Kept"}},
		"no GetOpenAPIDefinitions": {`package openapi

import corev1 "k8s.io/api/core/v1"

var _ = corev1.Kept{}
`, "k8s.io/api/core/v1", []string{"Kept"}},
	} {
		if _, err := subset([]byte(call.source), call.pkg, call.keep, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
