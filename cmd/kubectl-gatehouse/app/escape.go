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

package app

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Objects contain untrusted text: users and hosts write names of images, reasons and messages, and a
// terminal interprets control characters. Like the printers of kubectl (EscapeTerminal in
// k8s.io/cli-runtime/pkg/printers), the plugin escapes them in output for people, not reversibly;
// -o json stays JSON of the same value.

// cell escapes text for one cell of a table, or for a part of a line.
func cell(text string) string { return escape(text, "") }

// block escapes text that may have several lines.
func block(text string) string { return escape(text, "\n\t") }

// escape replaces the characters that a terminal interprets, except those in keep.
func escape(text, keep string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return interpreted(r) && !strings.ContainsRune(keep, r) }) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		switch {
		case !interpreted(r) || strings.ContainsRune(keep, r):
			out.WriteRune(r)
		case r == '\x1b':
			out.WriteString("^[")
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// interpreted reports whether a terminal interprets a character instead of showing it: the control
// characters of ASCII and of ISO 8859, and those that change the order in which text is shown
// (https://www.unicode.org/reports/tr36, "Bidirectional Text Spoofing"). A byte that is no UTF-8,
// which an 8-bit terminal could take for a control character, counts as well.
func interpreted(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029'
}

// jsonWriter escapes characters in strings that encoding/json does not. Outside of strings JSON has none
// of these characters but spaces and line breaks.
type jsonWriter struct{ io.Writer }

func (w jsonWriter) Write(data []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, block(string(data))); err != nil {
		return 0, err
	}
	return len(data), nil
}
