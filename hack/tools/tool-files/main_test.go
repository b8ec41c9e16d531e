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
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestCommittedFilesAreWhatIsGenerated(t *testing.T) {
	const committed = "../../../artifacts/tools"
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	generated := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		generated++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(committed, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			t.Errorf("artifacts/tools/%s is not up to date: run make generate", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if generated != 1+len(fleetKinds)+1 {
		t.Errorf("%d files are generated, want one for kustomize, one for each of %d kinds and one for all of them", generated, len(fleetKinds))
	}
}

// A kind that can be listed is one that a user may keep in a file.
func TestEveryKindOfTheGroupIsKnown(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for name := range scheme.KnownTypes(v1alpha1.SchemeGroupVersion) {
		if of, list := strings.CutSuffix(name, "List"); list {
			want = append(want, of)
		}
	}
	for _, k := range fleetKinds {
		got = append(got, k.kind)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the kinds are %q, want %q", got, want)
	}
}

func TestASchemaThatContainsItselfIsRefused(t *testing.T) {
	models := map[string]any{"m.Tree": map[string]any{"type": "object", "properties": map[string]any{
		"child": map[string]any{"$ref": definitionsPrefix + "m.Tree"},
	}}}
	_, err := rootSchema(models, kind{kind: "Tree", model: "m."})
	if err == nil || !strings.Contains(err.Error(), `"m.Tree" contains itself`) {
		t.Errorf("error %v", err)
	}
}

func TestAMissingDefinitionIsNamed(t *testing.T) {
	models := map[string]any{"m.App": map[string]any{"properties": map[string]any{"spec": map[string]any{"$ref": definitionsPrefix + "m.Spec"}}}}
	_, err := kustomizeDocument(models, []kind{{kind: "App", model: "m."}})
	if err == nil || !strings.Contains(err.Error(), `"m.Spec"`) {
		t.Errorf("error %v", err)
	}
	if _, err := jsonSchemas(models, []kind{{kind: "App", model: "m."}}); err == nil || !strings.Contains(err.Error(), `"m.Spec"`) {
		t.Errorf("error %v", err)
	}
}

func TestFieldsThatAreNamedLikeKeywordsStay(t *testing.T) {
	slim := withoutProse(map[string]any{
		"description": "prose",
		"properties":  map[string]any{"default": map[string]any{"type": "string", "default": "x"}, "description": map[string]any{"description": "prose"}},
	}, false).(map[string]any)
	properties := slim["properties"].(map[string]any)
	if slim["description"] != nil || properties["description"] == nil || properties["default"] == nil {
		t.Errorf("%v", slim)
	}
	if field := properties["default"].(map[string]any); field["default"] != nil {
		t.Errorf("the default of a field stays: %v", field)
	}
}
