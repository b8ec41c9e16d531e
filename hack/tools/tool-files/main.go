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

// Command tool-files writes the files that kustomize, editors and kubeconform need for the kinds
// that Gatehouse serves, from the same OpenAPI definitions that the server publishes:
//
//	DIR/kustomize-openapi.json    definitions, list keys and scopes, for `openapi: path:`
//	DIR/json-schemas/*.json       one JSON schema per fleet kind, and all.json for all of them
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
	builtinopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi/builtin"
)

// kind is a kind that a user keeps in a file.
type kind struct {
	group, version, kind, resource string
	// model begins the name of the OpenAPI definition; the kind completes it.
	model      string
	namespaced bool
}

func fleet(name, resource string, namespaced bool) kind {
	return kind{"fleet.gatehouse.dev", "v1alpha1", name, resource, "dev.gatehouse.fleet.v1alpha1.", namespaced}
}

var fleetKinds = []kind{
	fleet("App", "apps", true),
	fleet("Host", "hosts", false),
	fleet("HostLease", "hostleases", false),
	fleet("Instance", "instances", true),
	fleet("Release", "releases", true),
}

// builtinKinds are those of Kubernetes that `gatehouse up` serves. kustomize forgets its own
// definitions of them where it is given a file.
var builtinKinds = []kind{
	{"", "v1", "ConfigMap", "configmaps", "io.k8s.api.core.v1.", true},
	{"", "v1", "Namespace", "namespaces", "io.k8s.api.core.v1.", false},
	{"", "v1", "LimitRange", "limitranges", "io.k8s.api.core.v1.", true},
	{"", "v1", "ResourceQuota", "resourcequotas", "io.k8s.api.core.v1.", true},
	{"", "v1", "Secret", "secrets", "io.k8s.api.core.v1.", true},
	{"", "v1", "ServiceAccount", "serviceaccounts", "io.k8s.api.core.v1.", true},
	{"certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "io.k8s.api.certificates.v1.", false},
	{"certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles", "io.k8s.api.certificates.v1.", false},
	{"coordination.k8s.io", "v1", "Lease", "leases", "io.k8s.api.coordination.v1.", true},
	{"flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", "io.k8s.api.flowcontrol.v1.", false},
	{"flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", "io.k8s.api.flowcontrol.v1.", false},
	{"rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "io.k8s.api.rbac.v1.", false},
	{"rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "io.k8s.api.rbac.v1.", false},
	{"rbac.authorization.k8s.io", "v1", "Role", "roles", "io.k8s.api.rbac.v1.", true},
	{"rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "io.k8s.api.rbac.v1.", true},
	{"storagemigration.k8s.io", "v1", "StorageVersionMigration", "storageversionmigrations", "io.k8s.api.storagemigration.v1.", false},
	admission("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
	admission("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
	admission("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
	admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
	admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
	admission("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
}

func admission(name, resource string) kind {
	return kind{"admissionregistration.k8s.io", "v1", name, resource, "io.k8s.api.admissionregistration.v1.", false}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: tool-files DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "tool-files:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	models := definitions(true)
	kustomize, err := kustomizeDocument(models, append(append([]kind{}, fleetKinds...), builtinKinds...))
	if err != nil {
		return err
	}
	files := map[string]any{"kustomize-openapi.json": kustomize}
	schemas, err := jsonSchemas(definitions(false), fleetKinds)
	if err != nil {
		return err
	}
	for name, schema := range schemas {
		files[filepath.Join("json-schemas", name)] = schema
	}
	for name, content := range files {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", " ")
		if err := encoder.Encode(content); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const definitionsPrefix = "#/definitions/"

// definitions returns the models of all kinds as plain JSON: in the form of OpenAPI v2, which
// has no alternatives in its schemas, or of v3.
func definitions(v2 bool) map[string]any {
	models := map[string]any{}
	for _, get := range []common.GetOpenAPIDefinitions{openapi.GetOpenAPIDefinitions, builtinopenapi.GetOpenAPIDefinitions} {
		for name, definition := range get(func(name string) spec.Ref { return spec.MustCreateRef(definitionsPrefix + name) }) {
			schema := definition.Schema
			if replaced, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok && v2 {
				schema = replaced
			}
			delete(schema.Extensions, common.ExtensionV2Schema)
			models[name] = plain(schema)
		}
	}
	return models
}

// plain is the value as encoding/json reads what it writes.
func plain(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // the definitions are compiled in
	}
	var result any
	if err := json.Unmarshal(text, &result); err != nil {
		panic(err)
	}
	return result
}

// reference is the name of the definition that the schema stands for, or "".
func reference(schema map[string]any) string {
	ref, _ := schema["$ref"].(string)
	return strings.TrimPrefix(ref, definitionsPrefix)
}
