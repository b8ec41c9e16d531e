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

package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestShortLinesTruncatesLongLines(t *testing.T) {
	long := strings.Repeat("é", 400<<10)
	for _, test := range []struct {
		name, line, prefix string
		want               string // the whole line; empty for any short line
	}{
		{name: "a short line stays as it is", line: "E0101 a\n", want: "E0101 a\n"},
		{name: "a long line is truncated", line: "E0101 " + long + "\n", prefix: "E0101 é"},
		{name: "a long line that only looks like JSON is truncated", line: "{" + long + "\n", prefix: "{é"},
		{name: "a line of JSON stays JSON", line: `{"ts":1,"msg":"a","err":"` + long + `","list":["` + long + `"]}` + "\n", prefix: "{"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			n, err := ShortLines{&out}.Write([]byte(test.line))
			if err != nil || n != len(test.line) {
				t.Fatalf("wrote %d of %d bytes: %v", n, len(test.line), err)
			}
			got := out.String()
			if test.want != "" && got != test.want {
				t.Errorf("wrote %q", got)
			}
			if len(got) > longestLine+64 || !strings.HasPrefix(got, test.prefix) || !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != 1 {
				t.Errorf("wrote %d bytes: %.100q", len(got), got)
			}
			if strings.Contains(test.name, "stays JSON") {
				var entry map[string]any
				if err := json.Unmarshal(out.Bytes(), &entry); err != nil {
					t.Fatal(err)
				}
				if entry["msg"] != "a" || entry["ts"] != 1.0 || !strings.HasSuffix(entry["err"].(string), "bytes)") {
					t.Errorf("wrote %.200s", got)
				}
			}
		})
	}
}
