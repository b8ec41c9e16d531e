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
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const fleetVersion = `"apiVersion":"fleet.gatehouse.dev/v1alpha1"`

// fleetObjects creates objects of the fleet group as an administrator.
type fleetObjects struct {
	client
	instances string
}

func (f fleetObjects) host(t *testing.T, name string) {
	t.Helper()
	f.apply(t, hosts+"/"+name, fmt.Sprintf(`{%s,"kind":"Host","metadata":{"name":%q}}`, fleetVersion, name))
}

// put replaces an instance with a new one that is bound to a host, and returns the stored object.
func (f fleetObjects) put(t *testing.T, name, host string) string {
	t.Helper()
	for i, step := range f.replace(name, host) {
		code, body := f.send(t, step)
		if code >= 300 && (i > 0 || code != http.StatusNotFound) {
			t.Fatalf("%s %s: %d %s", step.method, step.path, code, body)
		}
	}
	return string(f.must(t, http.MethodGet, f.instances+"/"+name, "", ""))
}

// replace returns the requests that replace an instance with a new one that is bound to a host.
func (f fleetObjects) replace(name, host string) []attack {
	return []attack{
		{method: http.MethodDelete, path: f.instances + "/" + name + "?gracePeriodSeconds=0"},
		{method: http.MethodPost, path: f.instances, body: fmt.Sprintf(`{%s,"kind":"Instance","metadata":{"name":%q},"spec":{"containers":[{"name":"a","image":"a:1"}],"serviceAccountName":"default"}}`, fleetVersion, name)},
		{method: http.MethodPost, path: f.instances + "/" + name + "/binding", body: fmt.Sprintf(`{%s,"kind":"Binding","target":{"kind":"Host","name":%q}}`, fleetVersion, host)},
	}
}

// races is the number of replacements of an instance while its host sends all requests that it may send.
const races = 25

// HostRaces has a host read, report on and delete its instance all the time, while the instance is
// replaced by one of another host, which must stay unchanged and unread. The test of
// cmd/gatehouse/app that stops the server between its decision and the storage is the proof; this
// test does the same without control over the timing.
func HostRaces(t *testing.T, env Env, namespace string) {
	t.Helper()
	admin := fleetObjects{newClient(t, env.Admin), fleet + "/namespaces/" + namespace + "/instances"}
	admin.host(t, "attack-race-1")
	admin.host(t, "attack-race-2")
	self := newClient(t, env.As("system:host:attack-race-1", "system:hosts"))
	path := admin.instances + "/raced"
	attempts := raceAttempts(path)
	for range races {
		admin.put(t, "raced", "attack-race-1")
		var wait sync.WaitGroup
		stop := make(chan struct{})
		end := sync.OnceFunc(func() { close(stop); wait.Wait() })
		defer end() // also if the set-up fails
		for _, attempt := range attempts {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					code, body, err := self.try(t.Context(), attempt)
					if err == nil && code < 300 && strings.Contains(body, `"hostName":"attack-race-2"`) {
						t.Errorf("%s %s reaches the instance of another host: %.300s", attempt.method, attempt.path, body)
					}
				}
			})
		}
		theirs := admin.put(t, "raced", "attack-race-2")
		// Attempts that began before the replacement continue for a while.
		for range 3 {
			admin.must(t, http.MethodGet, path, "", "")
		}
		end()
		if code, body := admin.send(t, attack{path: path}); code != http.StatusOK || body != theirs {
			t.Fatalf("the instance of the other host changed: %d %.500s\nit was %.500s", code, body, theirs)
		}
	}
}

// raceAttempts returns the requests that a host may send for its instance at the path.
func raceAttempts(path string) []attack {
	return []attack{
		{path: path},
		{path: path + "?resourceVersion=0"},
		{path: path + "/status"},
		{method: http.MethodPatch, path: path + "/status", body: `{"status":{"phase":"Failed","message":"attacked"}}`},
		{method: http.MethodDelete, path: path + "?gracePeriodSeconds=0"},
		{method: http.MethodPost, path: path + "/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`},
		{path: path + "/configuration"},
	}
}

// EndedInstances has a host restart an ended instance, which quotas no longer count.
func EndedInstances(t *testing.T, env Env, namespace string) {
	t.Helper()
	people, rows := prepareEnded(t, env, namespace)
	play(t, env, people, rows, []string{fleet + "/namespaces/" + namespace + "/instances"})
}

// prepareEnded creates an instance that has ended, and returns the rows that restart it.
func prepareEnded(t *testing.T, env Env, namespace string) (map[string]person, []attack) {
	t.Helper()
	admin := fleetObjects{newClient(t, env.Admin), fleet + "/namespaces/" + namespace + "/instances"}
	admin.host(t, "attack-ended")
	admin.put(t, "ended", "attack-ended")
	people := map[string]person{"its host": {"system:host:attack-ended", []string{"system:hosts"}}, "an administrator": {"attack-administrator", []string{"system:masters"}}}
	self := newClient(t, env.As("system:host:attack-ended", "system:hosts"))
	self.must(t, http.MethodPatch, admin.instances+"/ended/status", "application/merge-patch+json", `{"status":{"phase":"Succeeded"}}`)
	status := admin.instances + "/ended/status"
	var rows []attack
	for who := range people {
		for _, phase := range []string{"Running", "Pending", "Unknown", "Failed"} {
			rows = append(rows, attack{
				name: who + " brings an instance that has ended back as " + phase, as: who, method: http.MethodPatch, path: status,
				body: fmt.Sprintf(`{"status":{"phase":%q}}`, phase), code: http.StatusUnprocessableEntity, says: "must stay Succeeded",
			})
		}
		rows = append(rows, attack{
			name: who + " takes the phase of an instance that has ended away", as: who, method: http.MethodPatch, path: status,
			contentType: "application/json-patch+json", body: `[{"op":"remove","path":"/status/phase"}]`, code: http.StatusUnprocessableEntity,
		})
	}
	return people, rows
}

// RevokedHost has the holder of a stolen key send requests after the host was revoked. revoke writes the
// revocation, as "gatehouse host revoke" does.
func RevokedHost(t *testing.T, env Env, namespace string, revoke func(host string)) {
	t.Helper()
	admin := fleetObjects{newClient(t, env.Admin), fleet + "/namespaces/" + namespace + "/instances"}
	for _, name := range []string{"attack-revoked", "attack-kept"} {
		admin.host(t, name)
	}
	admin.put(t, "held", "attack-revoked")
	stolen := env.As("system:host:attack-revoked", "system:hosts")
	thief, other := newClient(t, stolen), newClient(t, env.As("system:host:attack-kept", "system:hosts"))
	thief.must(t, http.MethodGet, hosts+"/attack-revoked", "", "")
	own := fleet + "/instances?fieldSelector=spec.hostName%3Dattack-revoked"
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(thief.must(t, http.MethodGet, own, "", ""), &list); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	watched := thief.watch(ctx, t, own+"&watch=1&resourceVersion="+list.ResourceVersion, nil)

	revoke("attack-revoked")
	watched.ends(ctx, t, "the watch of a revoked host")
	admin.must(t, http.MethodDelete, hosts+"/attack-revoked", "", "")
	for _, row := range revokedRows(namespace) {
		t.Run(row.name, func(t *testing.T) {
			if code, body := thief.send(t, row); code != row.code {
				t.Errorf("answered with code %d, not %d: %.500s", code, row.code, body)
			}
		})
	}
	if code, body := admin.send(t, attack{path: hosts + "/attack-revoked"}); code != http.StatusNotFound {
		t.Errorf("the host that was deleted: %d %s", code, body)
	}
	other.must(t, http.MethodGet, hosts+"/attack-kept", "", "")
}

// revokedRows returns the requests of the holder of the key of the host attack-revoked.
func revokedRows(namespace string) []attack {
	instances := fleet + "/namespaces/" + namespace + "/instances"
	rows := []attack{
		{name: "A revoked host registers again", method: http.MethodPost, path: hosts, body: fmt.Sprintf(`{%s,"kind":"Host","metadata":{"name":"attack-revoked"}}`, fleetVersion)},
		{name: "A revoked host gets its instance", path: instances + "/held"},
		{name: "A revoked host requests a token", method: http.MethodPost, path: instances + "/held/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`},
		{name: "A revoked host reads the configuration of its instance", path: instances + "/held/configuration"},
		{name: "A revoked host watches", path: fleet + "/instances?watch=1&fieldSelector=spec.hostName%3Dattack-revoked"},
		{name: "A revoked host writes an event", method: http.MethodPost, path: "/api/v1/namespaces/" + namespace + "/events", body: `{}`},
		{name: "A revoked host reads what the API is", path: "/apis"},
	}
	for i := range rows {
		rows[i].as, rows[i].code = "a revoked host", http.StatusUnauthorized
	}
	return rows
}
