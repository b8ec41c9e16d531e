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

package security

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// Memory fills the store of a server that has a memory limit with large objects until it is near
// the limit. It fails the test unless the server then refuses requests that need much memory, and only
// those. most is more objects of largeObject bytes than fit into the limit.
func Memory(t *testing.T, env Costly, most int) {
	t.Helper()
	editor := newClient(t, env.As(callers()["an editor"].user))
	admin := newClient(t, env.Admin)
	path := core + "/namespaces/" + env.Namespace + "/configmaps"
	large := func(name string) attack {
		return attack{method: http.MethodPost, path: path, body: fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"a":%q}}`, name, strings.Repeat("x", largeObject))}
	}
	stored := 0
	for ; stored < most; stored++ {
		code, body := editor.send(t, large(fmt.Sprintf("large-%d", stored)))
		if code == http.StatusTooManyRequests {
			if !strings.Contains(body, "near its memory limit") || !strings.Contains(body, `"retryAfterSeconds":1`) {
				t.Fatalf("refused for another reason: %s", body)
			}
			break
		}
		if code != http.StatusCreated {
			t.Fatalf("the large object %d is answered with %d: %.300s", stored, code, body)
		}
	}
	t.Logf("refused after %d objects of %d bytes", stored, largeObject)
	if stored == most {
		t.Fatalf("%d objects of %d bytes were taken", most, largeObject)
	}
	for _, row := range []attack{
		{name: "A list of one page", as: "editor", path: path + "?limit=1", code: http.StatusOK},
		{name: "A get of a large object", as: "editor", path: path + "/large-0", code: http.StatusOK},
		{name: "A create of a small object", as: "editor", method: http.MethodPost, path: path, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"small"}}`, code: http.StatusCreated},
		{name: "A delete of a large object", as: "editor", method: http.MethodDelete, path: path + "/large-0", code: http.StatusOK},
		{name: "A health check", path: "/readyz", code: http.StatusOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := admin
			if row.as == "editor" {
				c = editor
			}
			if code, body := c.send(t, row); code != row.code {
				t.Errorf("answered with code %d, not %d: %.300s", code, row.code, body)
			}
		})
	}
	if !metrics.Scrape(t, env.Admin).Has("gatehouse_memory_refused_requests_total", metrics.Labels{"verb": "create"}) {
		t.Error("/metrics does not count the refused requests")
	}
}

// largeObject is the size of the objects of Memory.
const largeObject = 900 << 10
