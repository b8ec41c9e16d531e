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

package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// PrintJSON writes a report as JSON.
func (r Report) PrintJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// Print writes a report for people: a line for each finding, one for its cure, and one that sums up.
func (r Report) Print(out io.Writer) error {
	var b strings.Builder
	width := 0
	for _, f := range r.Findings {
		width = max(width, len(f.Check))
	}
	number := map[Status]int{}
	for _, f := range r.Findings {
		number[f.Status]++
		fmt.Fprintf(&b, "%-8s %-*s  %s\n", f.Status, width, f.Check, oneLine(f.Found))
		if f.Cure != "" {
			fmt.Fprintf(&b, "%-8s %-*s  cure: %s\n", "", width, "", oneLine(f.Cure))
		}
	}
	fmt.Fprintf(&b, "%d ok, %d warning, %d broken\n", number[OK], number[Warning], number[Broken])
	_, err := io.WriteString(out, b.String())
	return err
}

// oneLine keeps what a server or a file says from looking like lines of the report, and from controlling a terminal.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}
