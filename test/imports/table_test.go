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
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// update writes the table into ARCHITECTURE.md instead of comparing it.
var update = flag.Bool("update", false, "write the import table into ARCHITECTURE.md")

// Marks around the table in ARCHITECTURE.md.
const (
	tableBegin = "<!-- The import table: go test ./test/imports -run Architecture -args -update -->\n"
	tableEnd   = "<!-- End of the import table. -->\n"
)

// words replaces regular expressions by what they stand for. Capitals are any name of a kind, and ... any packages below.
var words = strings.NewReplacer(
	"v[0-9][a-z0-9]*", "VERSION", "<version>", "VERSION", "([a-z]+)", "GROUP", "$1", "GROUP", "<group>", "GROUP", "<resource>", "RESOURCE",
	"(/[a-z]+)?", "/...", "[a-z]+(/.*)?", "...", "[a-z]+", "NAME", "(/.*)?", "/...", ".*", "...",
)

// packagesOf returns the packages of a room in words.
func packagesOf(r room) string {
	name := words.Replace(r.packages)
	// (/options)? and the like name one package more.
	if base, option, found := strings.Cut(name, "(/"); found {
		option = strings.TrimSuffix(option, ")?")
		return base + ", " + base + "/" + option
	}
	return name
}

// table returns the import table for ARCHITECTURE.md: which packages of this module may import which others.
func table() string {
	var b strings.Builder
	b.WriteString("| packages | may import, of this module |\n|---|---|\n")
	for _, r := range rooms {
		var may []string
		for _, entry := range r.may {
			if entry = words.Replace(entry); isOwn(entry) && !slices.Contains(may, entry) {
				may = append(may, entry)
			}
		}
		if len(may) == 0 {
			may = []string{"none"}
		}
		b.WriteString("| " + packagesOf(r) + " | " + strings.Join(may, ", ") + " |\n")
	}
	return b.String()
}

func TestArchitectureHasTheImportTable(t *testing.T) {
	path := filepath.Join(root, "ARCHITECTURE.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("ARCHITECTURE.md has no section between %q and %q", tableBegin, tableEnd)
	}
	want := before + tableBegin + table() + tableEnd + after
	if want == string(page) {
		return
	}
	if !*update {
		t.Fatal("the import table of ARCHITECTURE.md is not that of rooms: run 'go test ./test/imports -run Architecture -args -update'")
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTheTableNamesOnlyPackagesThatExist(t *testing.T) {
	var all []string
	for _, p := range listPackages(t, "./...") {
		all = append(all, strings.TrimPrefix(p.ImportPath, module))
	}
	exists := func(expression string) bool {
		pattern := regexp.MustCompile("^(?:" + expression + ")$")
		return slices.ContainsFunc(all, pattern.MatchString)
	}
	for i := range rooms {
		var members []string
		for _, p := range all {
			if home, _ := roomOf(p); home == &rooms[i] {
				members = append(members, p)
			}
		}
		if len(members) == 0 {
			t.Errorf("the room %q has no package: remove it, or correct its expression or its place", rooms[i].packages)
			continue
		}
		for at, entry := range rooms[i].may {
			if isOwn(entry) && !slices.ContainsFunc(members, func(member string) bool {
				_, may := roomOf(member)
				return exists(pattern(may[at]))
			}) {
				t.Errorf("the room %q may import %s, which does not exist: remove it", rooms[i].packages, entry)
			}
		}
	}
	for _, list := range [][]string{everybody, forTests} {
		for _, entry := range list {
			if isOwn(entry) && !exists(pattern(entry)) {
				t.Errorf("every package may import %s, which does not exist: remove it", entry)
			}
		}
	}
	for _, rule := range nobody {
		if isOwn(rule.packages) && !exists(pattern(rule.packages)) {
			t.Errorf("no package may import %s, which does not exist: remove the rule", rule.packages)
		}
	}
}
