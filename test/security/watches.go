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
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// tenYears is the timeout that a caller requests to watch without end.
const tenYears = "timeoutSeconds=315360000"

// Watches plays watches that outlive the rights of their users. rights is a client of
// the server that stores roles, which is another one in a cluster; namespace must exist. The
// server must recheck open watches every few seconds.
func Watches(t *testing.T, env Env, rights *rest.Config, namespace string) {
	t.Helper()
	roles, admin := newClient(t, rights), newClient(t, env.Admin)
	bindings := rbac + "/namespaces/" + namespace + "/rolebindings/"
	instances := fleet + "/namespaces/" + namespace + "/instances"
	roles.apply(t, rbac+"/clusterroles/attack-watch", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"attack-watch"},"rules":[{"apiGroups":["fleet.gatehouse.dev"],"resources":["instances"],"verbs":["get","list","watch"]}]}`)
	for _, user := range []string{"attack-leaver", "attack-stayer"} {
		roles.apply(t, bindings+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"attack-watch"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, user, user))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	path := instances + "?watch=1&" + tenYears
	leaver, stayer := newClient(t, env.As("attack-leaver")), newClient(t, env.As("attack-stayer"))
	for _, c := range []client{leaver, stayer} {
		c.awaitCode(ctx, t, attack{path: instances}, http.StatusOK)
	}
	left, stays := leaver.watch(ctx, t, path, nil), stayer.watch(ctx, t, path, nil)
	borrowed := admin.watch(ctx, t, path, map[string]string{"Impersonate-User": "attack-leaver"})
	lent := admin.watch(ctx, t, path, map[string]string{"Impersonate-User": "attack-stayer"})
	// Each watch is open: it receives a new event.
	instance := func(name string) string {
		return fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":%q},"spec":{"containers":[{"name":"a","image":"a:1"}],"serviceAccountName":"default"}}`, name)
	}
	admin.must(t, http.MethodPost, instances, "", instance("attack-before"))
	for _, w := range []*watching{left, stays, borrowed, lent} {
		w.sees(ctx, t, "attack-before")
	}
	roles.must(t, http.MethodDelete, bindings+"attack-leaver", "", "")
	left.ends(ctx, t, "a watch whose user lost the right")
	borrowed.ends(ctx, t, "a watch by impersonation whose user lost the right")
	admin.must(t, http.MethodPost, instances, "", instance("attack-after"))
	stays.sees(ctx, t, "attack-after")
	lent.sees(ctx, t, "attack-after")
	if code, body := leaver.send(t, attack{path: path}); code != http.StatusForbidden {
		t.Errorf("the user with a revoked right opens another watch: %d %s", code, body)
	}
}

// watching is an open watch.
type watching struct {
	lines chan string
}

// watch opens a watch and reads it until it ends.
func (c client) watch(ctx context.Context, t *testing.T, path string, headers map[string]string) *watching {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		t.Fatalf("%s: %s", path, response.Status)
	}
	w := &watching{lines: make(chan string, 1000)}
	go func() {
		defer close(w.lines)
		defer func() { _ = response.Body.Close() }()
		reader := bufio.NewReader(response.Body)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case w.lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}

// sees waits for an event that contains the words.
func (w *watching) sees(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	for {
		select {
		case line, open := <-w.lines:
			if !open {
				t.Fatalf("the watch ended before it saw %s", words)
			}
			if strings.Contains(line, words) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("the watch never saw %s", words)
		}
	}
}

// ends waits for the end of the watch.
func (w *watching) ends(ctx context.Context, t *testing.T, what string) {
	t.Helper()
	for {
		select {
		case _, open := <-w.lines:
			if !open {
				if ctx.Err() != nil {
					t.Fatalf("%s never ended", what)
				}
				return
			}
		case <-ctx.Done():
			t.Fatalf("%s never ended", what)
		}
	}
}
