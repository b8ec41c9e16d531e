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

package diagnostics

import (
	"net/http"
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// longWord matches what may be a part of a token, of a key or of a certificate.
var longWord = regexp.MustCompile(`[A-Za-z0-9_+/=-]{24,}`)

// shortest is the number of characters from which a part of a token is removed from texts.
const shortest = 4

// redactor returns a function that removes the credentials of a request from a text. The libraries that
// parse tokens and certificates quote their input. It is called before the library removes the header.
func redactor(r *http.Request) func(string) string {
	header := r.Header.Get("Authorization")
	protocols := r.Header.Values("Sec-WebSocket-Protocol")
	return func(text string) string {
		if text == "" {
			return text
		}
		for _, value := range append(strings.Fields(header), protocols...) {
			if len(value) < shortest || strings.EqualFold(value, "Bearer") || strings.EqualFold(value, "Basic") {
				continue
			}
			text = strings.ReplaceAll(text, value, redacted)
			for _, part := range strings.Split(value, ".") {
				if len(part) >= shortest {
					text = strings.ReplaceAll(text, part, redacted)
				}
			}
		}
		return longWord.ReplaceAllString(text, redacted)
	}
}

// bounded returns a text of at most size bytes that keeps no longer one in memory.
func bounded(text string, size int) string {
	if len(text) <= size {
		return text
	}
	const mark = "…"
	return strings.ToValidUTF8(text[:size-len(mark)], "") + mark
}
