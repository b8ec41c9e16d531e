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
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// views is the format of k9s' views.yaml.
type views struct {
	Views map[string]struct {
		SortColumn string   `json:"sortColumn"`
		Columns    []string `json:"columns"`
	} `json:"views"`
}

func TestEveryColumnForK9sIsOneOfTheServersTablesOrFoundInTheObjects(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(artifacts, "k9s-views.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file views
	if err := yaml.UnmarshalStrict(content, &file); err != nil {
		t.Fatal(err)
	}
	s := start(t)
	namespace := s.namespace(t)
	s.createApp(t, namespace, appOptions{name: "web", replicas: 1})
	mustRun(t, s, "", kubectl(t), "wait", "-n", namespace, "app/web", "--for=condition=Ready", "--timeout=90s")
	for _, resource := range []string{"apps", "releases", "instances", "hosts", "hostleases"} {
		view, ok := file.Views[fleet.String()+"/"+resource]
		if !ok {
			t.Errorf("there is no view of %s", resource)
			continue
		}
		table := s.table(t, "/apis/"+fleet.String()+"/"+resource)
		headers := []string{"NAMESPACE"}
		for _, column := range table.ColumnDefinitions {
			headers = append(headers, strings.ToUpper(column.Name))
		}
		var names []string
		for _, column := range view.Columns {
			column, _, _ = strings.Cut(column, "|")
			name, path, custom := strings.Cut(column, ":")
			names = append(names, name)
			switch {
			case !custom && !slices.Contains(headers, name):
				t.Errorf("%s: the server's table has no column %s, but %s", resource, name, headers)
			case custom && name != "STALLED" && !foundIn(t, table, path): // a stalled App has it
				t.Errorf("%s: column %s: no object has anything at %s", resource, name, path)
			}
		}
		if sort, _, _ := strings.Cut(view.SortColumn, ":"); !slices.Contains(names, sort) {
			t.Errorf("%s is sorted by column %q, which is not shown", resource, sort)
		}
	}
}

// table lists as k9s does: rows of the server, with the whole objects.
func (s *server) table(t *testing.T, path string) *metav1.Table {
	t.Helper()
	client, err := rest.UnversionedRESTClientFor(restConfig(s))
	if err != nil {
		t.Fatal(err)
	}
	body, err := client.Get().AbsPath(path).Param("includeObject", "Object").
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) == 0 {
		t.Errorf("%s has no rows", path)
	}
	return &table
}

// foundIn reports whether the path has a value in an object of the table.
func foundIn(t *testing.T, table *metav1.Table, path string) bool {
	t.Helper()
	parser := jsonpath.New("column").AllowMissingKeys(true)
	if err := parser.Parse("{" + path + "}"); err != nil {
		t.Errorf("%s: %v", path, err)
		return false
	}
	for _, row := range table.Rows {
		var object map[string]any
		if err := json.Unmarshal(row.Object.Raw, &object); err != nil {
			t.Fatal(err)
		}
		if results, err := parser.FindResults(object); err == nil && len(results) > 0 && len(results[0]) > 0 {
			return true
		}
	}
	return false
}
