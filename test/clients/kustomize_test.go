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

package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// twoContainers is an App, an Instance and the service account that they reference.
const twoContainers = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: App
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: worker
      containers:
      - name: server
        image: registry.example.com/web:1.0
        env: [{name: KEPT, value: "1"}]
        ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53, protocol: TCP}]
      - name: sidecar
        image: registry.example.com/log:1.0
---
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Instance
metadata: {name: lone}
spec:
  serviceAccountName: worker
  containers: [{name: server, image: "registry.example.com/web:1.0"}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: worker}
---
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Host
metadata: {name: edge-1}
`

// kustomize builds twoContainers with the committed files and additional lines of a kustomization.yaml,
// and returns the objects by their kinds.
func kustomize(t *testing.T, more string) map[string]*unstructured.Unstructured {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(artifacts, "kustomize-openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	return kustomizeWith(t, string(content), more)
}

func kustomizeWith(t *testing.T, openAPI, more string) map[string]*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	configuration, err := os.ReadFile(filepath.Join(artifacts, "kustomize-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"objects.yaml": twoContainers, "kustomize-openapi.json": openAPI, "kustomize-config.yaml": string(configuration),
		"kustomization.yaml": "resources: [objects.yaml]\nopenapi: {path: kustomize-openapi.json}\nconfigurations: [kustomize-config.yaml]\n" + more,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, document := range strings.Split(mustRun(t, nil, "", kubectl(t), "kustomize", dir), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		objects[object.GetKind()] = object
	}
	return objects
}

// patchOneContainer is a strategic merge patch.
const patchOneContainer = `
patches:
- patch: |
    apiVersion: fleet.gatehouse.dev/v1alpha1
    kind: App
    metadata: {name: web}
    spec:
      template:
        spec:
          containers:
          - name: server
            env: [{name: NEW, value: "2"}]
`

// onePatched are the containers after the patch.
const onePatched = `[{"env":[{"name":"NEW","value":"2"},{"name":"KEPT","value":"1"}],` +
	`"image":"registry.example.com/web:1.0","name":"server","ports":[{"containerPort":53,"protocol":"UDP"},{"containerPort":53,"protocol":"TCP"}]},` +
	`{"image":"registry.example.com/log:1.0","name":"sidecar"}]`

// at returns the value at the path as JSON; "" if there is none.
func at(t *testing.T, object *unstructured.Unstructured, path ...string) string {
	t.Helper()
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKustomizeTakesTheDocumentOfTheServerItself(t *testing.T) {
	s := start(t)
	objects := kustomizeWith(t, mustRun(t, s, "", kubectl(t), "get", "--raw", "/openapi/v2"), "namespace: shop\n"+patchOneContainer)
	if got := at(t, objects["App"], "spec", "template", "spec", "containers"); got != onePatched {
		t.Errorf("the containers are\n%s, want\n%s", got, onePatched)
	}
	if got := objects["Host"].GetNamespace(); got != "" {
		t.Errorf("the Host is in namespace %q", got)
	}
}

func TestKustomizeIsToldTheScopeOfEveryKindThatTheServerStores(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(artifacts, "kustomize-openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	_, lists, err := start(t).typed.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	served := 0
	for _, list := range lists {
		prefix := "/apis/"
		if list.GroupVersion == "v1" {
			prefix = "/api/"
		}
		for _, r := range list.APIResources {
			// Events are written by controllers, and are not kept in manifests.
			if strings.Contains(r.Name, "/") || r.Name == "events" || !slices.Contains(r.Verbs, "create") || !slices.Contains(r.Verbs, "list") {
				continue
			}
			served++
			path := prefix + list.GroupVersion
			if r.Namespaced {
				path += "/namespaces/{namespace}"
			}
			if path += "/" + r.Name + "/{name}"; document.Paths[path] == nil {
				t.Errorf("the file for kustomize has no %s", path)
			}
		}
	}
	if served < len(document.Paths) {
		t.Errorf("the file for kustomize has %d kinds, the server %d", len(document.Paths), served)
	}
}

func TestKustomizeTransformsTheKindsAsItDoesDeployments(t *testing.T) {
	const sidecar = `"image":"registry.example.com/log:1.0","name":"sidecar"`
	for name, c := range map[string]struct {
		kustomization string
		want          map[string]string // JSON by Kind/path
		contains      map[string][]string
	}{
		"images": {
			kustomization: `images: [{name: registry.example.com/web, newTag: "2.0"}]`,
			contains: map[string][]string{
				"App/spec/template/spec/containers": {"registry.example.com/web:2.0", sidecar},
				"Instance/spec/containers":          {"registry.example.com/web:2.0"},
			},
		},
		"replicas of an App that does not say how many": {
			kustomization: `replicas: [{name: web, count: 4}]`,
			want:          map[string]string{"App/spec/replicas": "4"},
		},
		"labels in the template": {
			kustomization: `labels: [{pairs: {team: a}, includeTemplates: true}]`,
			want: map[string]string{
				"App/metadata/labels":               `{"team":"a"}`,
				"App/spec/template/metadata/labels": `{"app":"web","team":"a"}`,
				"App/spec/selector/matchLabels":     `{"app":"web"}`,
			},
		},
		"labels in the selector and the template": {
			kustomization: `labels: [{pairs: {team: a}, includeSelectors: true}]`,
			want: map[string]string{
				"App/spec/template/metadata/labels": `{"app":"web","team":"a"}`,
				"App/spec/selector/matchLabels":     `{"app":"web","team":"a"}`,
				"Host/metadata/labels":              `{"team":"a"}`,
			},
		},
		"annotations in the template": {
			kustomization: `commonAnnotations: {note: x}`,
			want: map[string]string{
				"App/metadata/annotations":               `{"note":"x"}`,
				"App/spec/template/metadata/annotations": `{"note":"x"}`,
			},
		},
		"a prefix, which references follow": {
			kustomization: `namePrefix: dev-`,
			want: map[string]string{
				"App/metadata/name":                         `"dev-web"`,
				"ServiceAccount/metadata/name":              `"dev-worker"`,
				"App/spec/template/spec/serviceAccountName": `"dev-worker"`,
				"Instance/spec/serviceAccountName":          `"dev-worker"`,
			},
		},
		"a namespace, which hosts do not have": {
			kustomization: `namespace: shop`,
			want: map[string]string{
				"App/metadata/namespace": `"shop"`, "Instance/metadata/namespace": `"shop"`, "Host/metadata/namespace": "",
			},
		},
		"a strategic patch of one container": {
			kustomization: patchOneContainer,
			want:          map[string]string{"App/spec/template/spec/containers": onePatched},
		},
		"a strategic patch that deletes one container": {
			kustomization: `
patches:
- patch: |
    apiVersion: fleet.gatehouse.dev/v1alpha1
    kind: App
    metadata: {name: web}
    spec: {template: {spec: {containers: [{name: server, $patch: delete}]}}}
`,
			want: map[string]string{"App/spec/template/spec/containers": `[{"image":"registry.example.com/log:1.0","name":"sidecar"}]`},
		},
		"a JSON patch": {
			kustomization: `
patches:
- target: {group: fleet.gatehouse.dev, kind: App}
  patch: '[{"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "registry.example.com/log:3"}]'
`,
			contains: map[string][]string{"App/spec/template/spec/containers": {"registry.example.com/web:1.0", "registry.example.com/log:3"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects := kustomize(t, c.kustomization)
			value := func(where string) string {
				path := strings.Split(where, "/")
				return at(t, objects[path[0]], path[1:]...)
			}
			for where, want := range c.want {
				if got := value(where); got != want {
					t.Errorf("%s is\n%s, want\n%s", where, got, want)
				}
			}
			for where, texts := range c.contains {
				for _, text := range texts {
					if got := value(where); !strings.Contains(got, text) {
						t.Errorf("%s is\n%s, want with\n%s", where, got, text)
					}
				}
			}
		})
	}
}
