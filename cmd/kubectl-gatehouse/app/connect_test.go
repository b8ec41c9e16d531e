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
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// The server responds with an app that has a container, and with a warning.
func newWarningServer(t *testing.T, seen func(*http.Request)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "this app is odd"`)
		_, _ = io.WriteString(w, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"web","namespace":"default"},"spec":{"template":{"spec":{"containers":[{"name":"server","image":"web:1"}]}}}}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestWarningsOfTheServerAreShownAndMayBeErrors(t *testing.T) {
	url := newWarningServer(t, func(*http.Request) {})
	code, said := execute(t, "set", "env", "web", "--list", "-s", url)
	if want := "Warning: this app is odd\n# App web, container server\n"; code != exitDone || said != want {
		t.Errorf("ended with %d and printed %q", code, said)
	}
	code, said = execute(t, "set", "env", "web", "--list", "-s", url, "--warnings-as-errors")
	if code != exitFailed || !strings.Contains(said, "error: the server's answers carried 1 warning(s), and --warnings-as-errors is set") {
		t.Errorf("ended with %d and printed %q", code, said)
	}
}

func TestARefusedConnectionIsReportedWithTheServer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close() // nothing listens at its address any more
	code, said := execute(t, "tree", "web", "-s", server.URL)
	if want := "error: the server " + server.URL + " refuses connections: start it, or name another with --server or --kubeconfig\n"; code != exitFailed || said != want {
		t.Errorf("ended with %d and printed %q, want %q", code, said, want)
	}
}

func TestFlagsSelectServerNamespaceAndImpersonatedUser(t *testing.T) {
	var header http.Header
	var path string
	url := newWarningServer(t, func(r *http.Request) { header, path = r.Header, r.URL.Path })
	code, said := execute(t, "set", "env", "web", "--list", "--server", url, "-n", "shop", "--as", "alice", "--as-group", "a", "--as-group", "b", "--as-uid", "7",
		"--as-user-extra", "scopes=one", "--as-user-extra", "scopes=two=2")
	if code != exitDone {
		t.Fatal(said)
	}
	if path != "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/shop/apps/web" || header.Get("Impersonate-User") != "alice" || header.Get("Impersonate-Uid") != "7" ||
		!slices.Equal(header["Impersonate-Group"], []string{"a", "b"}) || !slices.Equal(header["Impersonate-Extra-Scopes"], []string{"one", "two=2"}) {
		t.Errorf("%s is requested with %v", path, header)
	}
}
