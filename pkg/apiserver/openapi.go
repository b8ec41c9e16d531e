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

package apiserver

import (
	"maps"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"

	generatedopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
	builtinopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi/builtin"
)

// withBuiltinDefinitions are the OpenAPI definitions of both schemes.
func withBuiltinDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := generatedopenapi.GetOpenAPIDefinitions(ref)
	maps.Copy(definitions, builtinopenapi.GetOpenAPIDefinitions(ref))
	return definitions
}

// withTokenRequestDefinitions are the OpenAPI definitions of our own kinds, and of what
// instances/token takes. A cluster publishes the same under the same names.
func withTokenRequestDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := generatedopenapi.GetOpenAPIDefinitions(ref)
	for name, definition := range builtinopenapi.GetOpenAPIDefinitions(ref) {
		if strings.HasPrefix(name, authenticationModels) {
			definitions[name] = definition
		}
	}
	return definitions
}

// authenticationModels begin the names of the definitions of authentication.k8s.io.
const authenticationModels = "io.k8s.api.authentication.v1."

// installOpenAPIV2 serves OpenAPI v2 of all routes. The library builds it at the start, which
// takes longer than anything else does there; clients of our day ask for v3, so here it is
// built when somebody asks, once. Every group must be installed before that.
func installOpenAPIV2(server *genericapiserver.GenericAPIServer, config *common.Config) {
	document := cached.Once(cached.Func(func() (*spec.Swagger, string, error) {
		swagger, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(server.Handler.GoRestfulContainer.RegisteredWebServices()), config)
		if err != nil {
			return nil, "", err
		}
		swagger.Definitions = handler.PruneDefaults(swagger.Definitions)
		return swagger, "built", nil
	}))
	handler.NewOpenAPIServiceLazy(document).RegisterOpenAPIVersionedService("/openapi/v2", server.Handler.NonGoRestfulMux)
}
