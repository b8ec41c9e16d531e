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

// Command models-schema prints the OpenAPI v2 models of the served types, from which
// applyconfiguration-gen learns how server-side apply merges their fields.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
)

func main() {
	definitions := openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		return spec.MustCreateRef("#/definitions/" + name)
	})
	models := map[string]spec.Schema{}
	for name, definition := range definitions {
		schema := definition.Schema
		if v2, ok := schema.Extensions[common.ExtensionV2Schema]; ok {
			if v2Schema, ok := v2.(spec.Schema); ok {
				schema = v2Schema
			}
		}
		models[name] = schema
	}
	swagger := spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Gatehouse", Version: "unversioned"}},
		Definitions: models,
	}}
	if err := json.NewEncoder(os.Stdout).Encode(&swagger); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
