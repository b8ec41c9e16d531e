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

package storage_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mirroredVersion is the version of the modules in mirrored.
const mirroredVersion = "v0.37.2"

// mirrored are the declarations of the library that this package rebuilds or relies on, with a
// hash of their source without comments. After an upgrade each hash that differs names a
// declaration to compare; the hash is updated after ours follows.
var mirrored = []struct {
	module, dir, name string
	ours              string
	hash              string
}{
	{"k8s.io/apiserver", "pkg/storage/storagebackend/factory", "newETCD3Storage", "inProcess.store", "c66428e870b9b626"},
	{"k8s.io/apiserver", "pkg/storage/storagebackend/factory", "startCompactorOnce", "inProcess.acquire", "a42692295d4777f1"},
	{"k8s.io/apiserver", "pkg/storage/storagebackend/factory", "newETCD3Client", "inProcess.store, by embedded.Server.NewClient", "dd92be35f83d70af"},
	{"k8s.io/apiserver", "pkg/storage/etcd3", "New", "inProcess.store", "19a4656bfce13fd2"},
	{"k8s.io/apiserver", "pkg/storage/etcd3", "StartCompactorPerEndpoint", "inProcess.acquire", "97739942c990b5e6"},
	{"k8s.io/apiserver", "pkg/storage/etcd3", "NewCompactor", "inProcess.acquire", "e1bf1f6ca30bb9b3"},
	{"k8s.io/apiserver", "pkg/storage/feature", "defaultFeatureSupportChecker.checkClient", "checkFeatures", "2a3d07c888b3a487"},
	{"k8s.io/apiserver", "pkg/registry/generic/registry", "StorageWithCacher", "inProcess.cachedStorage", "6d1699e88f5e4e17"},
	{"k8s.io/apiserver", "pkg/registry/generic", "UndecoratedStorage", "inProcess.uncachedStorage", "a4735595a1974e2d"},
	{"k8s.io/apiserver", "pkg/registry/generic", "NewRawStorage", "inProcess.uncachedStorage", "b2f2705fca0808c3"},
	{"k8s.io/apiserver", "pkg/server/options", "StorageFactoryRestOptionsFactory.GetRESTOptions", "inProcess.GetRESTOptions", "0fee35761bfab51e"},
	{"k8s.io/apimachinery", "pkg/runtime", "Unknown", "checksumField, a number that no field of the message has", "04c852d932f812b7"},
}

func TestTheLibraryIsTheOneThatIsMirrored(t *testing.T) {
	for _, m := range mirrored {
		t.Run(m.name, func(t *testing.T) {
			declared, found := declarationsOf(t, m.module, m.dir)[m.name]
			if !found {
				t.Fatalf("%s has no %s in %s any more: find what replaces it, and compare it with %s", m.module, m.name, m.dir, m.ours)
			}
			if hash := fmt.Sprintf("%x", sha256.Sum256([]byte(declared.source)))[:16]; hash != m.hash {
				t.Errorf("%s is not that of %s %s: see the difference by\n"+
					"  diff -u $(go mod download -json %s@%s | sed -n 's/.*\"Dir\": \"\\(.*\\)\",/\\1/p')/%s %s\n"+
					"have %s follow it, and set its hash to %q and mirroredVersion to the new version",
					m.name, m.module, mirroredVersion, m.module, mirroredVersion, filepath.Join(m.dir, filepath.Base(declared.file)), declared.file, m.ours, hash)
			}
		})
	}
}

// declaration is one function, type or variable.
type declaration struct{ file, source string }

// declarationsOf returns the declarations of a package by their names, methods as Type.Method.
func declarationsOf(t *testing.T, module, dir string) map[string]declaration {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", module, err)
	}
	paths, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Go files of %s in %s (%v)", module, dir, err)
	}
	all := map[string]declaration{}
	files := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			for name, node := range namesOf(decl) {
				var source bytes.Buffer
				if err := printer.Fprint(&source, files, node); err != nil {
					t.Fatal(err)
				}
				all[name] = declaration{path, source.String()}
			}
		}
	}
	return all
}

func namesOf(decl ast.Decl) map[string]ast.Node {
	names := map[string]ast.Node{}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		name := decl.Name.Name
		if decl.Recv != nil {
			receiver := decl.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if named, ok := receiver.(*ast.Ident); ok {
				name = named.Name + "." + name
			}
		}
		decl.Doc = nil
		names[name] = decl
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names[spec.Name.Name] = spec
			case *ast.ValueSpec:
				names[spec.Names[0].Name] = spec
			}
		}
	}
	return names
}
