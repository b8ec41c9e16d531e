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
	"regexp"
	"strings"
)

// placeholders stand for any name of a kind.
var placeholders = strings.NewReplacer("<group>", "[a-z]+", "<resource>", "[a-z]+", "<version>", "v[0-9][a-z0-9]*")

// pattern converts an entry of a list to a regular expression for whole paths.
func pattern(entry string) string {
	base, below := strings.CutSuffix(entry, "/...")
	expression := placeholders.Replace(strings.ReplaceAll(base, ".", `\.`))
	if below {
		expression += "(/.*)?"
	}
	return expression
}

func matches(expression, path string) bool {
	return regexp.MustCompile("^(?:" + expression + ")$").MatchString(path)
}

// roomOf returns the room of one of our packages, and its permitted imports.
func roomOf(path string) (*room, []string) {
	for i := range rooms {
		if matches(rooms[i].packages, path) {
			return &rooms[i], rooms[i].expand(rooms[i].may, path)
		}
	}
	return nil, nil
}

// expand replaces the groups in a list of the room by those of one of its packages.
func (r *room) expand(list []string, path string) (expanded []string) {
	expression := regexp.MustCompile("^(?:" + r.packages + ")$")
	groups := expression.FindStringSubmatchIndex(path)
	for _, entry := range list {
		expanded = append(expanded, string(expression.ExpandString(nil, entry, path, groups)))
	}
	return expanded
}

// verdict returns the reason why a package may not import another, or nothing if it may. Our own
// paths come without the module.
func verdict(importer, imported string) string {
	for _, rule := range nobody {
		if matches(pattern(rule.packages), imported) && !matches(rule.but, importer) {
			return rule.why
		}
	}
	own := isOwn(imported)
	if !own && !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		return "" // the standard library
	}
	home, may := roomOf(importer)
	if home == nil {
		return "the importer matches no room: add one to rooms in test/imports/rooms_test.go and to ARCHITECTURE.md"
	}
	if home.free && !own {
		return ""
	}
	for _, entry := range append(may, everybody...) {
		if matches(pattern(entry), imported) {
			return ""
		}
	}
	return "its room may not"
}

// verdictOfTest returns the reason why the tests of a package may not import another, or nothing if they may.
func verdictOfTest(importer, imported string) string {
	if !isOwn(imported) || imported == importer || strings.HasPrefix(imported, importer+"/") {
		return ""
	}
	home, _ := roomOf(importer)
	if home == nil {
		return verdict(importer, imported)
	}
	for _, entry := range append(home.expand(home.tests, importer), forTests...) {
		if matches(pattern(entry), imported) {
			return ""
		}
	}
	return verdict(importer, imported)
}

// isOwn reports whether a package is part of this module.
func isOwn(path string) bool {
	for _, root := range []string{"cmd/", "pkg/", "test/", "hack/", "artifacts/"} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return false
}
