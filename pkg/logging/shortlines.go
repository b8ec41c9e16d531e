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
	"fmt"
	"io"
	"strings"
)

const (
	// longestLine is the maximum length of one log line, in bytes. Long lines usually quote a
	// request.
	longestLine = 16 << 10
	// longestLogValue is the maximum length of a value, in bytes, in a shortened line of the JSON
	// format.
	longestLogValue = 1 << 10
)

// ShortLines truncates long lines of klog's text format and JSON format. A truncated line of the
// JSON format remains a JSON object.
type ShortLines struct{ io.Writer }

// Write writes the line, or its beginning and its length in bytes.
func (w ShortLines) Write(line []byte) (int, error) {
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

// shortenJSON truncates the long values of a line in the JSON format. It returns nil for a line
// that is not a JSON object or that has too many values.
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
