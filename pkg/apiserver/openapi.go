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
	"net/http"
	"strings"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	generatedopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
	builtinopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi/builtin"
)

// withBuiltinDefinitions returns the OpenAPI definitions of both schemes.
func withBuiltinDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := generatedopenapi.GetOpenAPIDefinitions(ref)
	maps.Copy(definitions, builtinopenapi.GetOpenAPIDefinitions(ref))
	return definitions
}

// withTokenRequestDefinitions returns the OpenAPI definitions of the fleet's kinds, and of the body of
// instances/token. A cluster publishes the same definitions under the same names.
func withTokenRequestDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := generatedopenapi.GetOpenAPIDefinitions(ref)
	for name, definition := range builtinopenapi.GetOpenAPIDefinitions(ref) {
		if strings.HasPrefix(name, authenticationModels) {
			definitions[name] = definition
		}
	}
	return definitions
}

// authenticationModels is the prefix of the names of the definitions of authentication.k8s.io.
const authenticationModels = "io.k8s.api.authentication.v1."

// describeSecurity names the bearer token as kube-apiserver's documents do: a client certificate
// belongs to the connection and has no scheme in OpenAPI v2. With a scheme the library also
// describes the response 401 of every operation.
func describeSecurity(v2 *common.Config, v3 *common.OpenAPIV3Config) {
	const name, description = "BearerToken", "Bearer Token authentication"
	v2.SecurityDefinitions = &spec.SecurityDefinitions{name: {
		SecuritySchemeProps: spec.SecuritySchemeProps{Type: "apiKey", Name: "authorization", In: "header", Description: description},
	}}
	v3.SecuritySchemes = spec3.SecuritySchemes{name: {
		SecuritySchemeProps: spec3.SecuritySchemeProps{Type: "apiKey", Name: "authorization", In: "header", Description: description},
	}}
}

// openAPIV3Path is the path of OpenAPI v3 of all groups.
const openAPIV3Path = "/openapi/v3"

// installOpenAPIV3 serves OpenAPI v3 of all routes. It is built once, on the first request or by build:
// the library builds it before the server listens, which takes longer than the rest of the start.
// Every group must be installed before that.
func installOpenAPIV3(server *genericapiserver.GenericAPIServer, config *common.OpenAPIV3Config) (build func()) {
	built := sync.OnceValue(func() http.Handler {
		documents := mux.NewPathRecorderMux("openapi")
		routes.OpenAPI{V3Config: config}.InstallV3(server.Handler.GoRestfulContainer, documents)
		return documents
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { built().ServeHTTP(w, r) })
	server.Handler.NonGoRestfulMux.Handle(openAPIV3Path, handler)
	server.Handler.NonGoRestfulMux.HandlePrefix(openAPIV3Path+"/", handler)
	return func() { built() }
}

// installOpenAPIV2 serves OpenAPI v2 of all routes, built once on the first request: current clients
// read v3. Every group must be installed before that.
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
