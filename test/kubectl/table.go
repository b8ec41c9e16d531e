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

package kubectl

import (
	"regexp"
	"slices"
	"strings"
)

// anAge in an expected cell matches any age that kubectl may print.
const anAge = "<age>"

var agePattern = regexp.MustCompile(`^(\d+[smhdy])+$`)

// table expects success and exactly this table, or these tables with an empty line between.
// Each row has " | " between its cells; the width of kubectl's columns does
// not matter.
func (r result) table(rows ...string) {
	r.Helper()
	r.succeeds()
	got := parseTables(r.stdout)
	if !slices.EqualFunc(got, rows, r.sameRow) {
		r.Fatalf("%s\n--- read as:\n%s--- wanted:\n%s", r, text(got), r.scene.expand.Replace(text(rows)))
	}
}

// tableHas expects success and each of these rows in the table, among others.
func (r result) tableHas(rows ...string) {
	r.Helper()
	r.succeeds()
	got := parseTables(r.stdout)
	for _, row := range rows {
		if !slices.ContainsFunc(got, func(g string) bool { return r.sameRow(g, row) }) {
			r.Fatalf("%s\n--- read as:\n%s--- wanted in it:\n%s", r, text(got), r.scene.expand.Replace(row))
		}
	}
}

// sameRow compares a row with the expected one.
func (r result) sameRow(got, want string) bool {
	return slices.EqualFunc(strings.Split(got, " | "), strings.Split(r.scene.expand.Replace(want), " | "), func(g, w string) bool {
		return g == w || w == anAge && agePattern.MatchString(g)
	})
}

// parseTables splits kubectl's tables into cells by the positions of the headings, so that empty
// cells are recognized.
func parseTables(stdout string) []string {
	var rows []string
	var starts []int
	for line := range strings.Lines(stdout) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			rows, starts = append(rows, ""), nil
			continue
		}
		if starts == nil {
			for _, at := range headingPattern.FindAllStringIndex(line, -1) {
				starts = append(starts, at[0])
			}
		}
		var cells []string
		for i, from := range starts {
			to := len(line)
			if i+1 < len(starts) {
				to = min(to, starts[i+1])
			}
			cells = append(cells, strings.TrimSpace(line[min(from, to):to]))
		}
		rows = append(rows, strings.Join(cells, " | "))
	}
	return rows
}

var headingPattern = regexp.MustCompile(`\S+`)
