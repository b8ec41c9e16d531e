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

package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Packages that define well-known names; every package may import them.
const (
	groupHome       = "pkg/apis/fleet/register.go"
	diagnosticsHome = "pkg/apis/diagnostics/register.go"
	wellKnownHome   = "pkg/apis/fleet/v1alpha1/well_known.go"
)

// handWritten matches the product's source files, without tests, their helpers and generated code.
var (
	handWritten = regexp.MustCompile(`^(cmd|pkg)/.*\.go$`)
	leftOut     = regexp.MustCompile(`_test\.go$|/zz_generated[^/]*$|\.pb\.go$|^pkg/generated/|^cmd/gatehouse/app/testing/`)
)

// literals returns the string literals of the product by their values, each with the files that
// contain it, without import paths and struct tags.
func literals(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil || !handWritten.MatchString(file) || leftOut.MatchString(file) {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				node.Tag = nil
			case *ast.BasicLit:
				if node.Kind == token.STRING {
					value, err := strconv.Unquote(node.Value)
					if err != nil {
						t.Errorf("%s: %v", file, err)
					}
					found[value] = append(found[value], file)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEachWellKnownNameIsWrittenOnce(t *testing.T) {
	all := literals(t)
	names := 0
	for literal, files := range all {
		for _, home := range []string{groupHome, wellKnownHome} {
			if files[0] != home && !strings.Contains(strings.Join(files, " "), home) {
				continue
			}
			names++
			// Namespaces have a field of the same name, with a separate constant.
			if literal == "status.phase" {
				files = slices.DeleteFunc(files, func(file string) bool { return file == "pkg/apis/core/fieldlabels.go" })
			}
			if len(files) > 1 {
				t.Errorf("%q is written in %v: use the constant of %s", literal, files, home)
			}
		}
	}
	if names < 15 {
		t.Errorf("only %d names are listed", names)
	}
}

func TestNamesOfTheDomainAndOfHostsAreMadeOfTheConstants(t *testing.T) {
	all := literals(t)
	for _, tc := range []struct{ name, home, constant string }{
		{"fleet.gatehouse.dev", groupHome, "v1alpha1.GroupName"},
		{"diagnostics.gatehouse.dev", diagnosticsHome, "v1alpha1.GroupName of pkg/apis/diagnostics"},
		{"gatehouse.dev", wellKnownHome, "v1alpha1.Domain"},
		{"system:host:", wellKnownHome, "v1alpha1.HostUserPrefix"},
		{"system:hosts", wellKnownHome, "v1alpha1.HostsGroup"},
	} {
		copies := 0
		for literal, files := range all {
			if tc.name == "gatehouse.dev" { // contained in the names of the groups
				literal = strings.NewReplacer("fleet.gatehouse.dev", "", "diagnostics.gatehouse.dev", "").Replace(literal)
			}
			if !strings.Contains(literal, tc.name) {
				continue
			}
			for _, file := range files {
				copies++
				if file != tc.home {
					t.Errorf("%s has %q in the literal %q: use %s", file, tc.name, literal, tc.constant)
				}
			}
		}
		if copies != 1 {
			t.Errorf("%q is written %d times, not once in %s", tc.name, copies, tc.home)
		}
	}
}

func TestFieldSelectorsAreMadeOfTheConstants(t *testing.T) {
	all := literals(t)
	for _, tc := range []struct{ field, constant string }{
		{"spec.hostName", "v1alpha1.InstanceHostNameField"},
		{"spec.serviceAccountName", "v1alpha1.InstanceServiceAccountNameField"},
		{"spec.restartPolicy", "v1alpha1.InstanceRestartPolicyField"},
	} {
		selector := regexp.MustCompile("^" + regexp.QuoteMeta(tc.field) + "(!?=.*)?$")
		for literal, files := range all {
			for _, file := range files {
				if selector.MatchString(literal) && file != wellKnownHome {
					t.Errorf("%s has the field selector %q: use %s", file, literal, tc.constant)
				}
			}
		}
	}
}
