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

package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// classRun is the class of the tests that run and must pass.
const classRun = "run"

// classification says of each test of upstream's whether it runs, or why it is left out.
type classification struct {
	// reasons are the classes of tests that are left out, with what such a test needs.
	reasons map[string]string
	// of is the class of each test, by its full name.
	of map[string]string
}

// parseClasses reads a list of tests. A line "CLASS: TEXT" declares a class, "CLASS NAME" gives a
// test its class; # begins a comment.
func parseClasses(text string) (*classification, error) {
	c := &classification{reasons: map[string]string{}, of: map[string]string{}}
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := c.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return c, nil
}

func (c *classification) add(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return fmt.Errorf("%q is neither \"CLASS: TEXT\" nor \"CLASS NAME\"", line)
	}
	if name, declares := strings.CutSuffix(word, ":"); declares {
		if c.known(name) {
			return fmt.Errorf("class %s is declared twice", name)
		}
		c.reasons[name] = rest
		return nil
	}
	if !c.known(word) {
		return fmt.Errorf("class %s is not declared", word)
	}
	if _, twice := c.of[rest]; twice {
		return fmt.Errorf("two classes for %q", rest)
	}
	c.of[rest] = word
	return nil
}

// known reports whether a class is declared, or is that of the tests that run.
func (c *classification) known(class string) bool {
	_, declared := c.reasons[class]
	return declared || class == classRun
}

// compare returns what is wrong with the list, given the names of all tests.
func (c *classification) compare(names []string) []string {
	var problems []string
	for _, name := range names {
		if c.of[name] == "" {
			problems = append(problems, fmt.Sprintf("no class for %q: add it with the class %q, or with the reason why it cannot run", name, classRun))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		if _, exists := slices.BinarySearch(names, name); !exists {
			problems = append(problems, fmt.Sprintf("there is no test %q: remove its line", name))
		}
	}
	return problems
}

// list returns a line for each of the sorted names; the class of those that have none is a question mark.
func (c *classification) list(names []string) string {
	var text strings.Builder
	for _, name := range names {
		class := c.of[name]
		if class == "" {
			class = "?"
		}
		fmt.Fprintf(&text, "%s %s\n", class, name)
	}
	return text.String()
}

// summary returns the number of tests of each class.
func (c *classification) summary() string {
	numbers := map[string]int{}
	for _, class := range c.of {
		numbers[class]++
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d tests, of which %d run\n", len(c.of), numbers[classRun])
	for _, class := range slices.Sorted(maps.Keys(c.reasons)) {
		fmt.Fprintf(&text, "%5d left out: %s: %s\n", numbers[class], class, c.reasons[class])
	}
	return text.String()
}
