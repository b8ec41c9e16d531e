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

package traces

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
)

// mostDetails is the number of traces that are opened, each of another kind.
const mostDetails = 200

// followed are the collections of the views.
var followed = []string{tracesPath, sessionsPath, "/apis/diagnostics.gatehouse.dev/v1alpha1/storagemembers", "/apis/fleet.gatehouse.dev/v1alpha1/hosts", "/apis/fleet.gatehouse.dev/v1alpha1/apps"}

// pageOf opens a session of a user on the page of the server.
func pageOf(t *testing.T, server *binary.Server, client *http.Client) *visitor.Visitor {
	t.Helper()
	secret, sum := ui.NewSecret()
	body := fmt.Sprintf(`{"spec":{"secretHash":%q}}`, hex.EncodeToString(sum[:]))
	response, err := client.Post(server.URL+"/apis/diagnostics.gatehouse.dev/v1alpha1/uisessions", harness.JSONBody, strings.NewReader(body))
	check(t, err)
	defer func() { _ = response.Body.Close() }()
	var made v1alpha1.UISession
	check(t, json.NewDecoder(response.Body).Decode(&made))
	if made.Status.URL == "" {
		t.Fatalf("there is no link: %s", response.Status)
	}
	authorities := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(server.DataDir, "pki", "ca.crt"))
	check(t, err)
	authorities.AppendCertsFromPEM(ca)
	return visitor.Open(t, ui.Link(made.Status.URL, secret), authorities)
}

// examinePage reads all that the page reads, as a user that may read everything does: the files, the stream of all
// views, and a trace of each kind. It returns the number of lines of the stream.
func (s *sender) examinePage(t *testing.T, server *binary.Server) int {
	t.Helper()
	v := pageOf(t, server, s.admin)
	examine := func(what, text string) {
		if secret := found(text, s.tokens...); secret != "" {
			t.Errorf("%s has a secret: %s", what, secret)
		}
	}
	read := func(path string) {
		response, body := v.Send(t, http.MethodGet, path, "", nil)
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, response.Status, body)
		}
		examine(path, body)
	}
	read("/ui/")
	read("/ui/whoami")
	check(t, fs.WalkDir(ui.Assets(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && name != "index.html" {
			read("/ui/assets/" + name)
		}
		return err
	}))
	details := map[string]string{}
	lines, _ := v.Follow(t, "watch="+strings.Join(followed, "&watch="))
	count := 0
	for synced := 0; synced < len(followed); count++ {
		if !lines.Scan() {
			t.Fatalf("the stream ends after %d lines: %v", count, lines.Err())
		}
		examine("the stream", lines.Text())
		var line struct {
			Synced bool
			Error  json.RawMessage
			E      struct{ Object v1alpha1.RequestTrace }
		}
		check(t, json.Unmarshal(lines.Bytes(), &line))
		if line.Error != nil {
			t.Fatalf("the stream has an error: %s", line.Error)
		}
		if line.Synced {
			synced++
		}
		if trace := line.E.Object; trace.Request.Verb != "" && len(details) < mostDetails {
			details[fmt.Sprint(trace.Request.Verb, trace.Request.Resource, trace.Code, trace.DecidedBy)] = trace.Name
		}
	}
	for _, name := range details {
		read("/ui/api" + tracesPath + "/" + name)
	}
	t.Logf("the page was read: %d lines of its stream, %d traces", count, len(details))
	return count
}

// appWithSecrets creates an App with secrets in all places that a template has for them.
func appWithSecrets(t *testing.T, admin harness.RawClient) {
	t.Helper()
	labels := `"labels":{"app":"web"}`
	must(t, admin, "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/apps", fmt.Sprintf(`{"metadata":{"name":"web","annotations":{"example.com/secret":%q}},"spec":{"replicas":0,
		"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{%s,"annotations":{"example.com/secret":%q}},"spec":{"containers":[{"name":"c","image":"example.com/a:1",
		"command":["/run",%q],"args":[%q],"env":[{"name":"PASSWORD","value":%q}]}]}}}}`,
		plant("annotation", 1), labels, plant("annotation", 2), plant("command", 1), plant("argument", 1), plant("env", 1)))
}
