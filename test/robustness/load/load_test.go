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

package load

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// play runs clients against the server until there are as many acknowledged writes, and returns all
// violations.
func play(t *testing.T, f *fake, acknowledged int, wrap func(http.RoundTripper) http.RoundTripper) []string {
	t.Helper()
	server, credentials := f.serve(t)
	l := Start(t.Context(), Config{Servers: []Server{server}, TLS: credentials, Seed: 1, Writers: 4, Keys: 3, WrapWatcher: wrap})
	for l.Recorder.Acknowledged(0) < acknowledged {
		if !sleep(t.Context(), time.Millisecond) {
			t.Fatal("the writers do not make progress")
		}
	}
	l.EndWriters()
	final, err := l.Final(t.Context(), []Server{server})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	silent := l.EndWatchers(ctx, final)
	_, violations := l.Check(final)
	return append(silent, violations...)
}

func TestClientsAndChecksFindADefectOfTheServer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server *fake
		wrap   func(http.RoundTripper) http.RoundTripper
		want   string
	}{
		{name: "no defect", server: &fake{}},
		{name: "responses get lost", server: &fake{hangs: 15}},
		{name: "an acknowledged write is dropped", server: &fake{forgets: 90}, want: "is lost"},
		{name: "a read is stale", server: &fake{stale: 20}, want: "is not linearizable"},
		{name: "a watch skips an event", server: &fake{skips: 60}, want: "is missing"},
		{name: "a watch repeats an event", server: &fake{repeats: 60}, want: "an event again"},
		{name: "a watch falls silent", server: &fake{silent: 60}, want: "does not have the final objects"},
		{name: "an event is dropped on the way", server: &fake{}, wrap: Skip(50), want: "is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			violations := strings.Join(play(t, tc.server, 150, tc.wrap), "\n")
			if !strings.Contains(violations, tc.want) || (violations == "") != (tc.want == "") {
				t.Errorf("want a violation with %q, and there are:\n%s", tc.want, violations)
			}
		})
	}
}
