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
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

const (
	// longestLine is how many bytes of one line of the log are written. Most of what is logged
	// quotes a request, and a line is meant to be read.
	longestLine = 16 << 10
	// longestLogValue is how many bytes of a value are kept in a line of the JSON format that has
	// to be shortened.
	longestLogValue = 1 << 10
)

// shortLines cuts long lines. klog writes each entry with one call, in the text format and in
// the JSON format, in which a line stays an object of JSON.
type shortLines struct{ io.Writer }

// Write writes the line, or its beginning and how long it was.
func (w shortLines) Write(line []byte) (int, error) {
	if len(line) <= longestLine {
		return w.Writer.Write(line)
	}
	short := shortenJSON(line)
	if short == nil {
		short = fmt.Appendf(nil, "%s… (%d bytes)\n", strings.ToValidUTF8(string(line[:longestLine]), ""), len(line))
	}
	if _, err := w.Writer.Write(short); err != nil {
		return 0, err
	}
	return len(line), nil
}

// shortenJSON cuts the long values of a line in the JSON format, and returns nil for a line that
// is in no such format or has too many values to be shortened so.
func shortenJSON(line []byte) []byte {
	if line[0] != '{' {
		return nil
	}
	var entry map[string]json.RawMessage
	if err := json.Unmarshal(line, &entry); err != nil {
		return nil
	}
	for key, value := range entry {
		if len(value) <= longestLogValue {
			continue
		}
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			text = string(value)
		}
		cut := strings.ToValidUTF8(text[:min(len(text), longestLogValue)], "")
		short, err := json.Marshal(fmt.Sprintf("%s… (%d bytes)", cut, len(text)))
		if err != nil {
			return nil
		}
		entry[key] = short
	}
	short, err := json.Marshal(entry)
	if err != nil || len(short) > longestLine {
		return nil
	}
	return append(bytes.TrimSpace(short), '\n')
}
