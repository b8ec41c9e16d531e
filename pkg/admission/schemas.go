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
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"
)

// WithOwnSchemas returns the client with the OpenAPI of this server, read with the loopback client.
// Policies that apply a configuration to an object need the schema of its kind. The library reads a
// list of all schemas every five seconds, and begins before the server serves; in a cluster the
// list would be the kube-apiserver's, which gets the schemas of this server with a delay. The
// served groups and versions are known in advance and do not change, so the list costs nothing and
// a schema is read when a policy needs it.
//
// Some endpoints take kinds of other groups: a Scale belongs to autoscaling/v1 for every scaled
// resource. OpenAPI describes them with the endpoints: borrowed maps their version to that of the
// endpoints.
func WithOwnSchemas(client kubernetes.Interface, loopback rest.Interface, served []schema.GroupVersion, borrowed map[schema.GroupVersion]schema.GroupVersion) kubernetes.Interface {
	documents := map[string][]string{}
	for _, version := range served {
		documents[pathOf(version)] = []string{pathOf(version)}
	}
	for version, with := range borrowed {
		documents[pathOf(version)] = append(documents[pathOf(version)], pathOf(with))
	}
	schemas := ownSchemas{}
	for path, in := range documents {
		schemas[path] = ownSchema{loopback, in}
	}
	return schemaClient{client, schemas}
}

func pathOf(version schema.GroupVersion) string {
	if version.Group == "" {
		return "api/" + version.Version
	}
	return "apis/" + version.String()
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

// ownSchema reads a schema from one document of the server, or from several.
type ownSchema struct {
	loopback  rest.Interface
	documents []string
}

// Schema implements openapi.GroupVersion.
func (s ownSchema) Schema(contentType string) ([]byte, error) {
	if len(s.documents) == 1 {
		return s.fetch(s.documents[0], contentType)
	}
	var all struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	for _, document := range s.documents {
		data, err := s.fetch(document, contentType)
		if err != nil {
			return nil, err
		}
		// Documents that describe the same kind have the same schema of it.
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, fmt.Errorf("%s: %w", document, err)
		}
	}
	return json.Marshal(all)
}

func (s ownSchema) fetch(document, contentType string) ([]byte, error) {
	return s.loopback.Get().AbsPath("/openapi/v3/"+document).SetHeader("Accept", contentType).Do(context.Background()).Raw()
}

// ServerRelativeURL implements openapi.GroupVersion. The library identifies the state of a schema
// by it, and the schemas of this server do not change.
func (s ownSchema) ServerRelativeURL() string { return strings.Join(s.documents, " ") }
