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
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// tree has everything that names in comments and pages may refer to.
type tree struct {
	// files are the Go files by their path from the root of the project.
	files map[string]*source
	// words are all identifiers of the code, and the words of its string literals.
	words map[string]bool
}

// source is one Go file.
type source struct {
	parsed    *ast.File
	positions *token.FileSet
	// declared are functions, types, constants and variables; methods and fields as Type.Name.
	declared  map[string]bool
	generated bool
}

var (
	marker     = regexp.MustCompile(`(?m)^\+.*$`)
	word       = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	fileName   = regexp.MustCompile(`(?:[\w<>*{}.-]+/)*[\w<>*-]+\.go\b`)
	rootedPath = regexp.MustCompile(`(?:^|[\s("'])((?:cmd|pkg|test|hack|artifacts|docs)(?:/[\w-]+(?:\.[\w-]+)*)+)`)
	generated  = regexp.MustCompile(`^// Code generated .* DO NOT EDIT\.$`)
	rooted     = regexp.MustCompile(`^(?:cmd|pkg|test|hack|artifacts|docs)/`)
	hop        = regexp.MustCompile("`((?:[\\w.-]+/)*[\\w-]+\\.go): ([\\w.]+)`")
	span       = regexp.MustCompile("`([^`]+)`")
	docLink    = regexp.MustCompile(`\[([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\](?:[^(:\w]|$)`)
	readFirst  = regexp.MustCompile(`\b[Rr]ead ([^.;:]|\.\w)*`)
	readNext   = regexp.MustCompile(`(?:^[Rr]ead|, then) ([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`)
	mixedCase  = regexp.MustCompile(`\b(?:[A-Za-z_]\w*\.)*(?:[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*)(?:\.[A-Za-z_]\w*)*\b`)
	testName   = regexp.MustCompile(`^Test[A-Z]\w*$`)
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$`)
)

// readTree parses Go files.
func readTree(paths []string) (*tree, error) {
	t := &tree{files: map[string]*source{}, words: map[string]bool{}}
	for _, path := range paths {
		s := &source{positions: token.NewFileSet(), declared: map[string]bool{}}
		parsed, err := parser.ParseFile(s.positions, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.parsed = parsed
		for _, group := range parsed.Comments {
			s.generated = s.generated || group.Pos() < parsed.Package && generated.MatchString(group.List[0].Text)
		}
		s.declare(t.words)
		t.files[filepath.ToSlash(path)] = s
	}
	return t, nil
}

// declare collects the declarations of a file, and all words of its code.
func (s *source) declare(words map[string]bool) {
	ast.Inspect(s.parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Ident:
			words[node.Name] = true
		case *ast.BasicLit:
			for _, w := range word.FindAllString(node.Value, -1) {
				words[w] = true
			}
		case *ast.FuncDecl:
			s.declared[node.Name.Name] = true
			if node.Recv != nil {
				s.declared[receiver(node.Recv.List[0].Type)+"."+node.Name.Name] = true
			}
		case *ast.TypeSpec:
			s.declared[node.Name.Name] = true
			s.declareMembers(node)
		case *ast.ValueSpec:
			for _, name := range node.Names {
				s.declared[name.Name] = true
			}
		}
		return true
	})
}

func (s *source) declareMembers(spec *ast.TypeSpec) {
	var members *ast.FieldList
	switch t := spec.Type.(type) {
	case *ast.StructType:
		members = t.Fields
	case *ast.InterfaceType:
		members = t.Methods
	default:
		return
	}
	for _, member := range members.List {
		for _, name := range member.Names {
			s.declared[spec.Name.Name+"."+name.Name] = true
		}
	}
}

func receiver(of ast.Expr) string {
	switch t := of.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// checkComments returns a line for each name in the comments of a Go file that does not exist:
// Go files in any comment, and identifiers in the package comment of a doc.go.
func (t *tree) checkComments(path string) []string {
	s := t.files[path]
	if s == nil || s.generated {
		return nil
	}
	var problems []string
	report := func(at token.Pos, name, why string) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s: %s", path, s.positions.Position(at).Line, name, why))
	}
	for _, group := range s.parsed.Comments {
		for _, comment := range group.List {
			for _, name := range fileName.FindAllString(comment.Text, -1) {
				if !t.hasFile(filepath.Dir(path), name, group.Text()) {
					report(comment.Pos(), name, "no such file")
				}
			}
			for _, match := range rootedPath.FindAllStringSubmatch(comment.Text, -1) {
				if _, err := os.Stat(match[1]); err != nil && filepath.Ext(match[1]) != ".go" && !foreign.MatchString(group.Text()) {
					report(comment.Pos(), match[1], "no such file or directory")
				}
			}
		}
	}
	if filepath.Base(path) == "doc.go" && s.parsed.Doc != nil {
		text := s.parsed.Doc.Text()
		for name, why := range t.unknown(filepath.Dir(path), text) {
			report(s.parsed.Doc.Pos(), name, why)
		}
	}
	return problems
}

// foreign are words beside the paths of other modules.
var foreign = regexp.MustCompile(`k8s\.io|Kubernetes|upstream|library|etcd's|sigs\.k8s|kubectl's`)

// hasFile reports whether a Go file exists: beside the comment, or from the root of the project. A
// path of another module, and a pattern, cannot be checked.
func (t *tree) hasFile(dir, name, comment string) bool {
	if name == "doc.go" || strings.ContainsAny(name, "<>*{}") || t.files[filepath.Join(dir, name)] != nil || t.files[name] != nil {
		return true
	}
	for known := range t.files {
		if strings.Contains(name, "/") && strings.HasPrefix(known, filepath.ToSlash(dir)+"/") && strings.HasSuffix(known, "/"+name) {
			return true
		}
	}
	return foreign.MatchString(comment)
}

// unknown returns the identifiers in a text about a package that the code does not have.
func (t *tree) unknown(dir, text string) map[string]string {
	problems := map[string]string{}
	text = marker.ReplaceAllString(fileName.ReplaceAllString(text, ""), "")
	for _, match := range docLink.FindAllStringSubmatch(text, -1) {
		if !t.declares(dir, match[1]) {
			problems[match[1]] = "not declared in " + dir
		}
	}
	for _, sentence := range readFirst.FindAllString(text, -1) {
		for _, match := range readNext.FindAllStringSubmatch(sentence, -1) {
			if !prosaic[match[1]] && !t.declares(dir, match[1]) {
				problems[match[1]] = "not declared in " + dir
			}
		}
	}
	for _, name := range mixedCase.FindAllString(text, -1) {
		if why := t.unknownWord(name); why != "" {
			problems[name] = why
		}
	}
	return problems
}

// prosaic are words after "Read" that are no identifiers.
var prosaic = map[string]bool{"the": true, "it": true, "its": true, "both": true, "those": true, "and": true, "was": true, "in": true, "from": true, "directory": true}

// declares reports whether a package, or one that the name begins with, declares a name. A package
// below it is declared, too.
func (t *tree) declares(dir, name string) bool {
	for path, s := range t.files {
		in := filepath.Dir(path)
		if in == dir && s.declared[name] || in == filepath.Join(dir, name) {
			return true
		}
		if qualifier, rest, ok := strings.Cut(name, "."); ok && filepath.Base(in) == qualifier && s.declared[rest] {
			return true
		}
	}
	return false
}

// names are mixed-case words that are no identifiers.
var names = map[string]bool{"JavaScript": true, "StrictModes": true}

// unknownWord returns why a mixed-case name is not in the code, or "". Words of the API, such as
// TokenReviews, are in the code in the singular. An X, as in ValidateX, stands for any name.
func (t *tree) unknownWord(name string) string {
	for _, part := range strings.Split(name, ".") {
		if names[part] || strings.HasSuffix(part, "_") || strings.Contains(part, "X") {
			continue
		}
		if !t.words[part] && !t.words[strings.TrimSuffix(part, "s")] && !t.words[strings.TrimSuffix(part, "es")] && !t.words[strings.TrimSuffix(part, "ies")+"y"] {
			return "the code has no " + part
		}
	}
	return ""
}

// checkNames returns a line for each file or declaration in a code span of a page that does not
// exist: a path below a directory of the root, and a path with a colon and a name, which must be
// declared in that file; and for each name of a test. In pages about the code, SECURITY.md and decisions included, it checks identifiers, too.
func (t *tree) checkNames(page string) ([]string, error) {
	lines, err := prose(page)
	if err != nil {
		return nil, err
	}
	aboutCode := page == "ARCHITECTURE.md" || page == "CONTRIBUTING.md" || page == "SECURITY.md" || strings.HasPrefix(page, "docs/decisions/")
	var problems []string
	for i, line := range lines {
		report := func(name, why string) {
			problems = append(problems, page+":"+strconv.Itoa(i+1)+": "+name+": "+why)
		}
		for _, match := range hop.FindAllStringSubmatch(line, -1) {
			if s := t.files[match[1]]; s == nil {
				report(match[1], "no such file")
			} else if !s.declared[match[2]] {
				report(match[2], "not declared in "+match[1])
			}
		}
		for _, match := range span.FindAllStringSubmatch(line, -1) {
			text := match[1]
			switch {
			case foreign.MatchString(line):
			case rooted.MatchString(text) && filepath.Ext(text) != "" && !strings.ContainsAny(text, " <>*{}$…"):
				if _, err := os.Stat(text); err != nil {
					report(text, "no such file")
				}
			case testName.MatchString(text) && !t.words[text]:
				report(text, "the code has no such test")
			case aboutCode && identifier.MatchString(text) && mixedCase.MatchString(text):
				if why := t.unknownWord(text); why != "" {
					report(text, why)
				}
			}
		}
	}
	return problems, nil
}
