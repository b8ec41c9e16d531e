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
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Limits of hand-written code, in lines.
const (
	fileLimit     = 400
	functionLimit = 60
)

// largeAllowed lists what exceeds a limit, a file by its path and a function by its name, each with the
// reason.
var largeAllowed = map[string]string{
	"getJSON": "the lines of one output of kubectl",

	// Stories: each step needs the state that the steps before it left.
	"TestInTheAggregatedModeAHostReachesNothingButItsOwn":          "one host registers, runs instances and stops",
	"TestWhatReachesTheServer":                                     "one connection works, breaks and is repaired",
	"TestOfTwoHostsThatBindOneInstanceAtTheSameTimeExactlyOneWins": "rounds of one race, then the winner's instance",
	"TestApplyConfigurationsAreAppliedAndExtracted":                "one object passes between two managers",
	"TestInformersStreamTheirFirstListAndListersReadIt":            "one informer lists, watches and is read",
	"TestWhatAnOwnerLeavesBehindIsCollected":                       "one tree of owners is deleted step by step",
	"TestSIGTERMDrainsRequestsAndWatchesAndFreesTheLock":           "one process stops while requests run",
	"TestTheExampleControllerDoesItsWorkWithItsRoleAlone":          "one run of the example, from its role to its result",
	"TestAHostThatFallsSilentIsTaintedEvictedAndBuried":            "one host from its last report to its deletion",
	"TestAReleaseIsKeptAtItsNumber":                                "one release is scaled up and down",
	"TestTheSchedulerFillsHostsAndReportsWhyTheRestWaits":          "one set of hosts fills up",
}

// tree is another checkout for hack/structure.sh, which compares commits.
var tree = flag.String("tree", root, "the checkout whose files and functions are measured")

// generatedCode matches the line that marks generated files, see https://go.dev/s/generatedcode.
var generatedCode = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// lineCount returns the number of lines of a node, with each outermost composite literal, such as the
// table of a test, counted as one line.
func lineCount(files *token.FileSet, node ast.Node) int {
	lines := func(node ast.Node) int {
		return files.Position(node.End()).Line - files.Position(node.Pos()).Line
	}
	count := lines(node) + 1
	ast.Inspect(node, func(inner ast.Node) bool {
		literal, is := inner.(*ast.CompositeLit)
		if is {
			count -= lines(literal)
		}
		return !is
	})
	return count
}

// functionName returns the name of a function, or receiver.name of a method.
func functionName(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	for {
		switch node := receiver.(type) {
		case *ast.StarExpr:
			receiver = node.X
		case *ast.IndexExpr:
			receiver = node.X
		case *ast.IndexListExpr:
			receiver = node.X
		default:
			return fmt.Sprint(receiver) + "." + function.Name.Name
		}
	}
}

// functionLines returns the lines of each function of a file. Functions in a composite literal are
// counted separately: the largest of them counts for the declaration that contains it.
func functionLines(files *token.FileSet, parsed *ast.File) map[string]int {
	found := map[string]int{}
	for _, declaration := range parsed.Decls {
		name := ""
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			name = functionName(declaration)
			found[name] = max(found[name], lineCount(files, declaration))
		case *ast.GenDecl:
			value, is := declaration.Specs, declaration.Tok == token.VAR
			if !is || len(value) == 0 {
				continue
			}
			name = value[0].(*ast.ValueSpec).Names[0].Name
		}
		ast.Inspect(declaration, func(node ast.Node) bool {
			if literal, is := node.(*ast.FuncLit); is {
				found[name] = max(found[name], lineCount(files, literal))
			}
			return true
		})
	}
	return found
}

// sourceFiles calls f for each hand-written Go file of the repository, all modules included.
func sourceFiles(t *testing.T, f func(file string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(*tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != *tree && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "bin" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil || generatedCode.Match(content) {
			return err
		}
		file, err := filepath.Rel(*tree, path)
		f(filepath.ToSlash(file), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAndFunctionsAreWithinTheirLimits(t *testing.T) {
	seen, files := map[string]bool{}, 0
	var large, largeProduct struct{ files, functions int }
	tooLarge := func(what, where string, lines, limit int) {
		seen[what] = true
		for _, counts := range []*struct{ files, functions int }{&large, &largeProduct} {
			switch {
			case counts == &largeProduct && (strings.HasPrefix(where, "test/") || strings.Contains(where, "_test.go")):
			case limit == fileLimit:
				counts.files++
			default:
				counts.functions++
			}
		}
		if largeAllowed[what] == "" {
			t.Errorf("%s has %d lines, at most %d are allowed: split it, or add it to largeAllowed with a reason", where, lines, limit)
		}
	}
	sourceFiles(t, func(file string, content []byte) {
		files++
		if lines := bytes.Count(content, []byte("\n")); lines > fileLimit {
			tooLarge(file, file, lines, fileLimit)
		}
		positions := token.NewFileSet()
		parsed, err := parser.ParseFile(positions, file, content, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for name, lines := range functionLines(positions, parsed) {
			if lines > functionLimit {
				tooLarge(name, file+": "+name, lines, functionLimit)
			}
		}
	})
	t.Logf("%d files of more than %d lines, %d of the product; %d functions of more than %d lines, %d of the product",
		large.files, fileLimit, largeProduct.files, large.functions, functionLimit, largeProduct.functions)
	if files < 500 {
		t.Errorf("only %d files were read", files)
	}
	for what := range largeAllowed {
		if !seen[what] {
			t.Errorf("%s is within its limit: remove it from largeAllowed", what)
		}
	}
}

func TestLinesOfAFunctionAreCountedWithoutCompositeLiterals(t *testing.T) {
	source := strings.Join([]string{
		"package p",
		"func short() {}",
		"func (r *rows[T]) table() {",
		"	for _, tc := range []struct{ a int }{",
		"		{1},",
		"		{2},",
		"	} {",
		"		use(tc)",
		"	}",
		"}",
		"var commands = []command{{",
		"	run: func() {",
		"		use(1)",
		"		use(2)",
		"	},",
		"}}",
	}, "\n")
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	got := functionLines(positions, parsed)
	want := map[string]int{"short": 1, "rows.table": 5, "commands": 4}
	for name, lines := range want {
		if got[name] != lines {
			t.Errorf("%s: got %d lines, want %d", name, got[name], lines)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// The command parses flags and calls packages: logic in it has no other caller and no unit tests.
func TestTheCommandStaysSmall(t *testing.T) {
	const directory, limit = "cmd/gatehouse/app/", 1500
	lines := 0
	sourceFiles(t, func(file string, content []byte) {
		if strings.HasPrefix(file, directory) && !strings.HasSuffix(file, "_test.go") {
			lines += bytes.Count(content, []byte("\n"))
		}
	})
	if lines == 0 || lines > limit {
		t.Errorf("%s has %d lines without tests, at most %d are allowed: move logic to a package below pkg/", directory, lines, limit)
	}
}
