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

package readiness

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestNotesFollowVerboseReadinessOnly(t *testing.T) {
	ready := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	note := []Note{{Name: "part", Text: "issuer https://internal.example.com does not answer"}}
	for _, tc := range []struct {
		name, path string
		may        bool
		notes      []Note
		want       string
	}{
		{"a caller that may read the texts", "/readyz?verbose", true, note, "ok\n[!]part: issuer https://internal.example.com does not answer\n"},
		{"a caller that may not", "/readyz?verbose=1", false, note, "ok\n[!]part: reason withheld; it is in the log, and on this page for callers that may get /readyz/part\n"},
		{"no notes", "/readyz?verbose", true, nil, "ok\n"},
		{"not verbose", "/readyz", true, note, "ok\n"},
		{"another path", "/livez?verbose", true, note, "ok\n"},
		{"a path below", "/readyz/part?verbose", true, note, "ok\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			may := func(*http.Request) bool { return tc.may }
			WithNotes(ready, "/readyz/part", may, func() []Note { return tc.notes }).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, tc.path, nil))
			if got := recorder.Body.String(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
