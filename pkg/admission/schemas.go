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

package admission

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"
)

// WithOwnSchemas is the client with other OpenAPI: that of this server, asked of the server
// itself with the loopback client. Policies that apply a configuration to an object need the
// schema of its kind. The library asks for a list of all every five seconds, and begins
// before the server serves; and in a cluster the list would be kube-apiserver's, where ours
// turn up late. Groups and versions that a server serves are known before and do not change,
// so the list costs nothing and a schema is fetched when a policy needs it.
func WithOwnSchemas(client kubernetes.Interface, loopback rest.Interface, served []schema.GroupVersion) kubernetes.Interface {
	paths := ownSchemas{}
	for _, version := range served {
		path := "apis/" + version.String()
		if version.Group == "" {
			path = "api/" + version.Version
		}
		paths[path] = ownSchema{loopback, "/openapi/v3/" + path}
	}
	return schemaClient{client, paths}
}

type schemaClient struct {
	kubernetes.Interface
	schemas ownSchemas
}

// Discovery implements kubernetes.Interface.
func (c schemaClient) Discovery() discovery.DiscoveryInterfaces {
	return schemaDiscovery{c.Interface.Discovery(), c.schemas}
}

type schemaDiscovery struct {
	discovery.DiscoveryInterfaces
	schemas ownSchemas
}

// OpenAPIV3 implements discovery.OpenAPIV3SchemaInterface.
func (d schemaDiscovery) OpenAPIV3() openapi.Client { return d.schemas }

type ownSchemas map[string]openapi.GroupVersion

// Paths implements openapi.Client.
func (s ownSchemas) Paths() (map[string]openapi.GroupVersion, error) { return s, nil }

type ownSchema struct {
	loopback rest.Interface
	path     string
}

// Schema implements openapi.GroupVersion.
func (s ownSchema) Schema(contentType string) ([]byte, error) {
	return s.loopback.Get().AbsPath(s.path).SetHeader("Accept", contentType).Do(context.Background()).Raw()
}

// ServerRelativeURL implements openapi.GroupVersion. It is what tells versions of a schema
// apart, and ours has one.
func (s ownSchema) ServerRelativeURL() string { return s.path }
