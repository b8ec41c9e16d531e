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

// Command doclinks checks what pages and comments refer to. Its arguments are the Markdown and Go
// files of the project, relative to its root, where it runs. hack/verify-doc-links.sh calls it.
//
// In Markdown files it checks relative links: the file must exist and, where the link has an
// anchor, so must the heading. It handles inline links, images, reference definitions, and headings
// that begin with #. It ignores links with a scheme, because a check that needs the network fails
// for reasons that are not in the tree. It also checks code spans with a path, and with a path and a
// declaration: see tree.checkNames.
//
// In Go files it checks the names of files in comments, and identifiers in the package comment of a
// doc.go: see tree.checkComments. Read check first.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

func main() {
	problems, err := run(os.Args[1:])
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// run checks all files.
func run(paths []string) ([]string, error) {
	var pages, code []string
	for _, path := range paths {
		if filepath.Ext(path) == ".go" {
			code = append(code, path)
		} else {
			pages = append(pages, path)
		}
	}
	known, err := readTree(code)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, page := range pages {
		for _, check := range []func(string) ([]string, error){check, known.checkNames} {
			found, err := check(page)
			if err != nil {
				return problems, err
			}
			problems = append(problems, found...)
		}
	}
	for _, path := range code {
		problems = append(problems, known.checkComments(path)...)
	}
	return problems, nil
}

var (
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)>\s]+)>?(?:\s+["'][^)]*)?\)`)
	referenceLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*<?([^>\s]+)>?`)
	scheme        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	heading       = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText      = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// check returns a line for each broken link in file.
func check(file string) ([]string, error) {
	lines, err := prose(file)
	if err != nil {
		return nil, err
	}
	var problems []string
	for i, line := range lines {
		line = codeSpan.ReplaceAllString(line, "")
		found := inlineLink.FindAllStringSubmatch(line, -1)
		found = append(found, referenceLink.FindAllStringSubmatch(line, -1)...)
		for _, match := range found {
			if why := follow(file, match[1]); why != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: %s: %s", file, i+1, match[1], why))
			}
		}
	}
	return problems, nil
}

// follow returns why target, as linked from file, is broken, or "".
func follow(file, target string) string {
	if scheme.MatchString(target) || strings.HasPrefix(target, "//") {
		return ""
	}
	path, anchor, hasAnchor := strings.Cut(target, "#")
	switch {
	case path == "":
		path = file
	case strings.HasPrefix(path, "/"):
		// From the root of the project, where this program runs.
		path = path[1:]
	default:
		path = filepath.Join(filepath.Dir(file), path)
	}
	if _, err := os.Stat(path); err != nil {
		return "no such file"
	}
	if !hasAnchor || anchor == "" || filepath.Ext(path) != ".md" {
		return ""
	}
	known, err := anchors(path)
	if err != nil {
		return err.Error()
	}
	if !known[anchor] {
		return "no such heading in " + path
	}
	return ""
}

// anchors returns the anchors of the headings of a file: lower case, blanks
// as dashes, no punctuation, and a number behind the second of equal ones.
func anchors(file string) (map[string]bool, error) {
	lines, err := prose(file)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	seen := map[string]int{}
	for _, line := range lines {
		match := heading.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		text := linkText.ReplaceAllString(match[1], "$1")
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, text)
		if n := seen[slug]; n > 0 {
			known[slug+"-"+strconv.Itoa(n)] = true
		} else {
			known[slug] = true
		}
		seen[slug]++
	}
	return known, nil
}

// prose returns the lines of a file with those of fenced code blanked.
func prose(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(data), "\n")
	fence := ""
	for i, line := range lines {
		text := strings.TrimSpace(line)
		switch {
		case fence == "" && (strings.HasPrefix(text, "```") || strings.HasPrefix(text, "~~~")):
			fence = text[:3]
		case fence != "" && strings.HasPrefix(text, fence):
			fence = ""
		case fence == "":
			continue
		}
		lines[i] = ""
	}
	return lines, nil
}
