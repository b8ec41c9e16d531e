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
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
)

// conform validates a file as `kubeconform -strict -schema-location ...` does.
func conform(t *testing.T, location, content string) error {
	t.Helper()
	absolute, err := filepath.Abs(location)
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator.New([]string{absolute}, validator.Opts{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range v.Validate("test.yaml", io.NopCloser(strings.NewReader(content))) {
		if result.Status != validator.Valid && result.Status != validator.Empty {
			return result.Err
		}
	}
	return nil
}

func TestSchemasKnowWhatAFileMayHoldAndWhatNot(t *testing.T) {
	const good = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: App
metadata: {name: web}
spec:
  replicas: 2
  minReadySeconds: null
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: server
        image: web
        resources: {requests: {cpu: 0.5, memory: 1Gi}}
`
	replaced := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the App has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	head, _, _ := strings.Cut(good, "spec:")
	for name, c := range map[string]struct{ content, complaint string }{
		"an App":                          {good, ""},
		"no spec":                         {head, "missing property 'spec'"},
		"a null spec":                     {head + "spec: null\n", "got null, want object"},
		"a misspelt field":                {replaced("replicas:", "replica:"), "additional properties 'replica' not allowed"},
		"a misspelt field of a container": {replaced("image:", "imgae:"), "'imgae'"},
		"replicas as text":                {replaced("replicas: 2", `replicas: "2"`), "got string, want null or integer"},
		"replicas beyond 32 bits":         {replaced("replicas: 2", "replicas: 99999999999"), "maximum"},
		"no selector":                     {replaced("selector: {matchLabels: {app: web}}", ""), "missing property 'selector'"},
		"a strategy that does not exist":  {replaced("{rollingUpdate: {", "{type: BlueGreen, rollingUpdate: {"), "value must be one of 'Recreate', 'RollingUpdate'"},
		"another version":                 {replaced("v1alpha1", "v9"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, location := range []string{"{{ .ResourceKind }}{{ .KindSuffix }}.json", "all.json"} {
				err := conform(t, filepath.Join(artifacts, "json-schemas", location), c.content)
				switch {
				case name == "another version":
					if err == nil {
						t.Errorf("%s: an unknown version is valid", location)
					}
				case c.complaint == "" && err != nil:
					t.Errorf("%s: %v", location, err)
				case c.complaint != "" && (err == nil || !strings.Contains(err.Error(), c.complaint)):
					t.Errorf("%s: %v, want %q", location, err, c.complaint)
				}
			}
		})
	}
}

func TestTheServersDocumentsSayWhichKindsNeedASpec(t *testing.T) {
	s := start(t)
	for path, models := range map[string]string{"/openapi/v2": "definitions", "/openapi/v3/apis/fleet.gatehouse.dev/v1alpha1": "schemas"} {
		var document map[string]any
		if err := json.Unmarshal([]byte(mustRun(t, s, "", kubectl(t), "get", "--raw", path)), &document); err != nil {
			t.Fatal(err)
		}
		if components, ok := document["components"].(map[string]any); ok {
			document = components
		}
		for kind, want := range map[string]string{"App": "[spec]", "Release": "[spec]", "Instance": "[spec]", "Host": "<nil>", "HostLease": "<nil>"} {
			model, ok := document[models].(map[string]any)["dev.gatehouse.fleet.v1alpha1."+kind].(map[string]any)
			if !ok {
				t.Errorf("%s has no %s", path, kind)
			} else if got := fmt.Sprint(model["required"]); got != want {
				t.Errorf("%s: %s requires %s, want %s", path, kind, got, want)
			}
		}
	}
}

func TestSchemasStandAlone(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(artifacts, "json-schemas", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no schemas: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if refs, local := strings.Count(string(content), `"$ref"`), strings.Count(string(content), `"$ref": "#/definitions/`); refs != local {
			t.Errorf("%s refers to another file", file)
		}
	}
}

func TestSchemasTakeTheExamplesAndWhatTheServerReturns(t *testing.T) {
	location := filepath.Join(artifacts, "json-schemas", "{{ .ResourceKind }}{{ .KindSuffix }}.json")
	s := start(t)
	for _, name := range []string{"app.yaml", "instance.yaml", "host.yaml"} {
		path := filepath.Join("../../artifacts/examples", name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := conform(t, location, string(content)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		mustRun(t, s, "", kubectl(t), "apply", "-f", path)
	}
	mustRun(t, s, "", kubectl(t), "wait", "app/web", "--for=condition=Available", "--timeout=90s")
	for _, resource := range []string{"apps", "releases", "instances", "hosts", "hostleases"} {
		names := strings.Fields(mustRun(t, s, "", kubectl(t), "get", resource, "-o", "name"))
		if len(names) == 0 {
			t.Errorf("there are no %s to look at", resource)
		}
		for _, name := range names {
			if err := conform(t, location, mustRun(t, s, "", kubectl(t), "get", name, "-o", "yaml", "--show-managed-fields")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
