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

package events

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMessagesAreCutToWhatTheServerTakes(t *testing.T) {
	for _, tc := range []struct {
		name, message, want string
	}{
		{"a short one stays", "created", "created"},
		{"one of the greatest length stays", strings.Repeat("x", maxMessage), strings.Repeat("x", maxMessage)},
		{"a longer one is cut", strings.Repeat("x", maxMessage+1), strings.Repeat("x", maxMessage-3) + "..."},
		{"characters are not cut", strings.Repeat("ü", maxMessage), strings.Repeat("ü", (maxMessage-3)/2) + "..."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := cut(tc.message); got != tc.want || len(got) > maxMessage || !utf8.ValidString(got) {
				t.Errorf("got %d bytes, want %d", len(got), len(tc.want))
			}
		})
	}
}
