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

// Command doclinks checks the relative links of Markdown files: the file must
// exist and, where the link names a heading, so must the heading.
// hack/verify-doc-links.sh calls it; read check first.
//
// It knows inline links, images and reference definitions, and headings that
// begin with #. Links with a scheme are left alone: a check that needs the
// network fails for reasons that are not in the tree.
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
	failed := false
	for _, file := range os.Args[1:] {
		problems, err := check(file)
		if err != nil {
			problems = []string{err.Error()}
		}
		for _, p := range problems {
			failed = true
			fmt.Fprintln(os.Stderr, p)
		}
	}
	if failed {
		os.Exit(1)
	}
}

var (
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)>\s]+)>?(?:\s+["'][^)]*)?\)`)
	referenceLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*<?([^>\s]+)>?`)
	scheme        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	heading       = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText      = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// check returns a line for each link in file that leads nowhere.
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

// follow returns why target, as linked from file, leads nowhere, or "".
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

// anchors returns what the headings of a file are linked by: lower case, blanks
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
