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
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"k8s.io/client-go/rest"
)

// Siege is what an ordinary user observed while every kind of attack of the suite ran at once.
type Siege struct {
	Served
	// Rows counts the rows that are one request.
	Rows int
	// Codes are the responses to attacks by kind. Code 0 counts requests that ended without a response.
	Codes map[string]map[int]int
	// Cost is the cost of the siege to the server.
	Cost Cost
}

// String returns the table of kinds and responses.
func (s Siege) String() string {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "attack\tanswers")
	for _, kind := range slices.Sorted(maps.Keys(s.Codes)) {
		var answers []string
		for _, code := range slices.Sorted(maps.Keys(s.Codes[kind])) {
			name := fmt.Sprint(code)
			if code == 0 {
				name = "ended"
			}
			answers = append(answers, fmt.Sprintf("%s × %d", name, s.Codes[kind][code]))
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\n", kind, strings.Join(answers, ", "))
	}
	_ = w.Flush()
	return table.String()
}

// besieging is a running siege.
type besieging struct {
	*testing.T
	env Costly
	ctx context.Context // of the siege, which every attack ends with
	// attacks start with the siege, each in its own goroutine.
	attacks []func()

	mu    sync.Mutex
	siege Siege
}

// Besiege plays every kind of attack of the suite at once and without a pause, while an ordinary
// user in a separate process (see ServeOrdinary) creates config maps and gets them. It fails the
// test if an attack succeeds or is not refused as expected, if the ordinary user is
// not served, or if roles, secrets or hosts have changed in the end.
func Besiege(t *testing.T, env Costly, duration time.Duration) Siege {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := &besieging{T: t, env: env, ctx: ctx, siege: Siege{Codes: map[string]map[int]int{}}}
	b.prepareRows()
	b.prepareCrowds()
	b.prepareFloods()
	b.prepareHooks()
	b.prepareFiles()
	watched := []string{rbac + "/roles", rbac + "/rolebindings", rbac + "/clusterroles", rbac + "/clusterrolebindings", core + "/secrets", hosts}
	admin := newClient(t, env.Admin)
	before := admin.everything(t, watched)
	prefer(t, env.PID)
	user := startOrdinary(t, env, duration)
	cost, err := Measure(env.PID, func() {
		var playing sync.WaitGroup
		for _, attack := range b.attacks {
			playing.Go(attack)
		}
		b.siege.Served = user.wait(t)
		cancel()
		playing.Wait()
	})
	if err != nil {
		t.Fatalf("the server did not survive: %v", err)
	}
	b.siege.Cost = cost
	after := admin.everything(t, watched)
	for _, all := range []map[string]string{before, after} {
		for key := range all {
			if strings.HasPrefix(key, hosts) {
				all[key] = "" // the host lifecycle controller writes the status of silent hosts
			}
		}
	}
	unchanged(t, before, after)
	return b.siege
}

// record counts a response.
func (b *besieging) record(kind string, code int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.siege.Codes[kind] == nil {
		b.siege.Codes[kind] = map[int]int{}
	}
	b.siege.Codes[kind][code]++
}

// repeat plays an attack until the siege ends.
func (b *besieging) repeat(play func()) {
	b.attacks = append(b.attacks, func() {
		for b.ctx.Err() == nil {
			play()
		}
	})
}

// refusals are the responses of an overloaded server, or to two writes of one object.
var refusals = []int{http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// send sends a row once. A refusal because of load, or a closed connection, is as good as the row's code.
func (b *besieging) send(kind string, c client, row attack) {
	code, body, err := c.try(b.ctx, row)
	switch {
	case b.ctx.Err() != nil:
		return
	case err != nil:
		code = 0
	case code == row.code, code >= 400 && row.code == 0, slices.Contains(refusals, code):
	case code == http.StatusInternalServerError && strings.Contains(body, "failed calling webhook"): // as when a webhook has no time to respond
	default:
		b.Errorf("%s: %s %s: answered with %d, not %d: %.300s", kind, row.name, row.path, code, row.code, body)
	}
	b.record(kind, code)
}

// editor returns a client of an editor that only attacks of the kind have: the bound of running
// requests of one user must not keep other kinds from being played.
func (b *besieging) editor(kind string) client {
	return newClient(b.T, b.env.As("attack-costly-"+kind, "attack-costly-editors"))
}

// powerfulUser plays the rows of the administrator.
const powerfulUser = "attack-powerful"

// rows repeats each row with the identity of its person.
func (b *besieging) rows(kind string, people map[string]person, rows []attack) {
	clients := map[string]client{"": newClient(b.T, rest.AnonymousClientConfig(b.env.Admin))}
	for name, p := range people {
		clients[name] = newClient(b.T, b.env.As(p.user, p.groups...))
	}
	for name, token := range b.env.Tokens {
		config := rest.AnonymousClientConfig(b.env.Admin)
		config.BearerToken = token
		clients[name] = newClient(b.T, config)
	}
	for _, row := range rows {
		c, ok := clients[row.as]
		if !ok {
			b.Fatalf("%s: no caller is called %q", row.name, row.as)
		}
		b.siege.Rows++
		b.repeat(func() { b.send(kind, c, row) })
	}
}

// prepareRows adds all rows that consist of one request.
func (b *besieging) prepareRows() {
	ns, env := b.env.Namespace, b.env.Env
	prepareTeam(b.T, env)
	prepareHosts(b.T, env, ns)
	prepareSmall(b.T, env)
	apps := preparePatches(b.T, env, ns)
	ended, endedRows := prepareEnded(b.T, env, ns)
	newClient(b.T, env.Admin).must(b.T, http.MethodPost, hosts, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-flood"}}`)
	b.rows("rights of users", team(), teamRows(env))
	b.rows("rights of hosts", hostPeople(), hostRows(ns, fleet+"/namespaces/"+ns+"/instances"))
	b.rows("large bodies", callers(), bodyRows(b.env))
	// Bound to cluster-admin and not in system:masters, whose requests flow control never holds back.
	powerful := map[string]person{"the administrator": {powerfulUser, nil}}
	b.rows("patches that wrap around", powerful, patchRows(apps+"/attacked"))
	b.rows("callers without credentials", nil, anonymousRows())
	b.rows("work without end for controllers", powerful, runawayRows(apps))
	b.rows("events that are too large", floodingHost(), eventRows(ns))
	b.rows("instances that have ended", ended, endedRows)
	b.rows("patches that quote secrets", map[string]person{"a patcher": {"attack-patcher", nil}}, quotingRows())
	if b.env.Revoke != nil {
		b.env.Revoke("attack-revoked")
		revoked := map[string]person{"a revoked host": {"system:host:attack-revoked", []string{"system:hosts"}}}
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		defer cancel()
		newClient(b.T, env.As(revoked["a revoked host"].user, "system:hosts")).awaitCode(ctx, b.T, attack{path: "/apis"}, http.StatusUnauthorized)
		b.rows("a revoked host", revoked, revokedRows(ns))
	}
}
