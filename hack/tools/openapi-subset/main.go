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

// Command openapi-subset removes definitions that the server does not serve from a file of
// openapi-gen, which takes whole packages, although the server serves only a few kinds of
// k8s.io/api/core/v1. Omitted definitions are neither compiled nor built at every start.
//
//	openapi-subset -package k8s.io/api/core/v1 -keep Secret,SecretList -elsewhere k8s.io/apimachinery FILE
//
// keeps the named types of the package, all types of other packages, and their
// dependencies, except for the packages below k8s.io/apimachinery, which another file defines.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	pkg := flag.String("package", "", "import path of the package that is cut down")
	keep := flag.String("keep", "", "its types that are served, separated by commas")
	elsewhere := flag.String("elsewhere", "", "prefix of the import paths whose types another file defines")
	flag.Parse()
	if err := run(*pkg, strings.Split(*keep, ","), *elsewhere, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "openapi-subset:", err)
		os.Exit(1)
	}
}

func run(pkg string, keep []string, elsewhere, name string) error {
	source, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if source, err = subset(source, pkg, keep, elsewhere); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, source, 0o644)
}

// subset returns the file without the definitions that the kept ones do not need.
func subset(source []byte, pkg string, keep []string, elsewhere string) ([]byte, error) {
	source, err := cutDefinitions(source, pkg, keep, elsewhere)
	if err != nil {
		return nil, err
	}
	// Fewer definitions may need fewer imports.
	if source, err = cutImports(source); err != nil {
		return nil, err
	}
	return format.Source(source)
}

// aliases returns the name under which the file imports pkg, and the names of the packages below elsewhere.
func aliases(file *ast.File, pkg, elsewhere string) (alias string, others map[string]bool) {
	others = map[string]bool{}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || spec.Name == nil {
			continue
		}
		if path == pkg {
			alias = spec.Name.Name
		}
		if elsewhere != "" && strings.HasPrefix(path, elsewhere+"/") {
			others[spec.Name.Name] = true
		}
	}
	return alias, others
}

// functionsOf returns the functions of the file by name.
func functionsOf(file *ast.File) map[string]*ast.FuncDecl {
	functions := map[string]*ast.FuncDecl{}
	for _, decl := range file.Decls {
		if function, ok := decl.(*ast.FuncDecl); ok {
			functions[function.Name.Name] = function
		}
	}
	return functions
}

func cutDefinitions(source []byte, pkg string, keep []string, elsewhere string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	alias, others := aliases(file, pkg, elsewhere)
	if alias == "" {
		return nil, fmt.Errorf("%s is not imported under a name", pkg)
	}

	functions := functionsOf(file)
	entries, err := mapEntries(functions["GetOpenAPIDefinitions"])
	if err != nil {
		return nil, err
	}
	byType := map[string]entry{}
	for _, e := range entries {
		byType[e.model] = e
	}

	needed := map[string]bool{}
	var need func(string)
	need = func(model string) {
		e, ok := byType[model]
		if ok && !needed[model] && !others[packageOf(model)] {
			needed[model] = true
			for _, dependency := range models(functions[e.function]) {
				need(dependency)
			}
		}
	}
	for _, name := range keep {
		if _, ok := byType[alias+"."+name]; !ok {
			return nil, fmt.Errorf("%s has no type %s", pkg, name)
		}
		need(alias + "." + name)
	}
	for _, e := range entries {
		if packageOf(e.model) != alias {
			need(e.model)
		}
	}

	var cuts []span
	for _, e := range entries {
		if !needed[e.model] {
			// The span includes the comma that follows.
			end := fset.Position(e.end).Offset + 1
			cuts = append(cuts, span{fset.Position(e.start).Offset, end})
			function := functions[e.function]
			cuts = append(cuts, span{fset.Position(function.Pos()).Offset, fset.Position(function.End()).Offset})
		}
	}
	return cut(source, cuts), nil
}

// entry is a definition: its line in the map, and the function that builds it.
type entry struct {
	model, function string
	start, end      token.Pos
}

// packageOf returns the alias of a type's package.
func packageOf(model string) string {
	alias, _, _ := strings.Cut(model, ".")
	return alias
}

// mapEntries reads the map that GetOpenAPIDefinitions returns.
func mapEntries(function *ast.FuncDecl) ([]entry, error) {
	var entries []entry
	if function == nil {
		return nil, fmt.Errorf("there is no GetOpenAPIDefinitions")
	}
	ast.Inspect(function, func(node ast.Node) bool {
		pair, ok := node.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		call, ok := pair.Value.(*ast.CallExpr)
		if !ok {
			return true
		}
		if made, ok := call.Fun.(*ast.Ident); ok {
			for _, model := range models(pair.Key) {
				entries = append(entries, entry{model: model, function: made.Name, start: pair.Pos(), end: pair.End()})
			}
		}
		return false
	})
	if len(entries) == 0 {
		return nil, fmt.Errorf("GetOpenAPIDefinitions returns no map of definitions")
	}
	return entries, nil
}

// models returns all types below the node, as alias.Type, of calls for a model name.
func models(node ast.Node) []string {
	var found []string
	ast.Inspect(node, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "OpenAPIModelName" {
			return true
		}
		if literal, ok := selector.X.(*ast.CompositeLit); ok {
			if name, ok := literal.Type.(*ast.SelectorExpr); ok {
				if pkg, ok := name.X.(*ast.Ident); ok {
					found = append(found, pkg.Name+"."+name.Sel.Name)
				}
			}
		}
		return true
	})
	return found
}

// cutImports drops unused imports.
func cutImports(source []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok {
				used[pkg.Name] = true
			}
		}
		return true
	})
	var cuts []span
	for _, spec := range file.Imports {
		if spec.Name != nil && !used[spec.Name.Name] {
			cuts = append(cuts, span{fset.Position(spec.Pos()).Offset, fset.Position(spec.End()).Offset})
		}
	}
	return cut(source, cuts), nil
}

// span is a part of a file.
type span struct{ start, end int }

func cut(source []byte, cuts []span) []byte {
	slices.SortFunc(cuts, func(a, b span) int { return a.start - b.start })
	var out bytes.Buffer
	last := 0
	for _, c := range cuts {
		out.Write(source[last:c.start])
		last = c.end
	}
	out.Write(source[last:])
	return out.Bytes()
}
