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

package attacks

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Siege is what an ordinary user saw while every row of the suite was played at once.
type Siege struct {
	// Rows and Attacks count the rows and how often they were sent; Codes are the answers.
	Rows, Attacks int
	Codes         map[int]int
	// Gets and Creates are how long the ordinary user waited, in ascending order.
	Gets, Creates []time.Duration
	// Cost is what the siege cost the server.
	Cost Cost
}

// siegeConnections are how many idle connections stand around the server.
const siegeConnections = 200

// Besiege plays every row of People, Hosts, Bodies and Events at once and without a pause, each by a
// goroutine of its own, beside a crowd of idle connections, while an ordinary user gets and
// creates. It fails the test where a row is answered otherwise than refused, and where the
// ordinary user is not served.
func Besiege(t *testing.T, env Costly, duration time.Duration) Siege {
	t.Helper()
	prepareTeam(t, env.Env)
	people, rows := besiegers(env)
	clients := map[string]client{"": newClient(t, rest.AnonymousClientConfig(env.Admin))}
	for name, p := range people {
		clients[name] = newClient(t, env.As(p.user, p.groups...))
	}
	ordinary := newClient(t, env.As("attack-editor"))
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	siege := Siege{Rows: len(rows), Codes: map[int]int{}}
	var mu sync.Mutex
	var besieging sync.WaitGroup
	cost, err := Measure(env.PID, func() {
		for _, row := range rows {
			besieging.Go(func() {
				for ctx.Err() == nil {
					code, body, err := clients[row.as].try(ctx, row)
					if err != nil {
						continue // the server may hang up on whom it likes
					}
					mu.Lock()
					siege.Attacks++
					siege.Codes[code]++
					mu.Unlock()
					if code < 300 && row.code >= 300 {
						t.Errorf("%s: answered with %d: %.300s", row.name, code, body)
						return
					}
				}
			})
		}
		besieging.Go(func() { crowdAround(ctx, addressOf(t, env.Admin)) })
		siege.Gets, siege.Creates = serveOrdinary(ctx, t, ordinary)
		besieging.Wait()
	})
	if err != nil {
		t.Fatalf("the server did not survive: %v", err)
	}
	siege.Cost = cost
	slices.Sort(siege.Gets)
	slices.Sort(siege.Creates)
	return siege
}

// besiegers are all rows that are one request, and the people who send them.
func besiegers(env Costly) (map[string]person, []attack) {
	people := team()
	maps.Copy(people, callers())
	people["attack-1"] = person{"system:host:attack-1", []string{"system:hosts"}}
	instances := fleet + "/namespaces/" + env.Namespace + "/instances"
	rows := slices.Concat(teamRows(env.Env), hostRows(env.Namespace, instances), bodyRows(env))
	for i := range 8 {
		rows = append(rows, attack{
			name: fmt.Sprintf("A flood of events, %d", i), as: "an editor", method: http.MethodPost, path: core + "/namespaces/" + env.Namespace + "/events",
			body: `{"apiVersion":"v1","kind":"Event","metadata":{"generateName":"flood-"},"involvedObject":{"namespace":"` + env.Namespace + `"}}`, code: http.StatusCreated,
		})
	}
	return people, slices.DeleteFunc(rows, func(row attack) bool {
		_, known := people[row.as]
		return row.as != "" && !known
	})
}

// crowdAround keeps connections open that never ask for anything, as long as the server lets it.
func crowdAround(ctx context.Context, address string) {
	var crowd sync.WaitGroup
	for range siegeConnections {
		crowd.Go(func() {
			for ctx.Err() == nil {
				conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", address) //nolint:gosec // the attacker does not care
				if err != nil {
					continue
				}
				waitForEnd(ctx, conn)
			}
		})
	}
	crowd.Wait()
}

func waitForEnd(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_, _ = conn.Read(make([]byte, 1))
	_ = conn.Close()
}

// serveOrdinary gets and creates, one after the other, and measures how long each takes.
func serveOrdinary(ctx context.Context, t *testing.T, user client) (gets, creates []time.Duration) {
	t.Helper()
	maps := core + "/namespaces/" + ours + "/configmaps"
	for i := 0; ctx.Err() == nil; i++ {
		for _, row := range []attack{
			{method: http.MethodPost, path: maps, body: fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ordinary-%d"}}`, i), code: http.StatusCreated},
			{path: fmt.Sprintf("%s/ordinary-%d", maps, i), code: http.StatusOK},
		} {
			began := time.Now()
			// Not bounded by the end of the siege: every request is to be answered.
			code, body, err := user.try(t.Context(), row)
			if err != nil || code != row.code {
				t.Errorf("an ordinary user's %s is answered with %d, %v: %.300s", row.path, code, err, body)
				continue
			}
			if took := time.Since(began); row.method == http.MethodPost {
				creates = append(creates, took)
			} else {
				gets = append(gets, took)
			}
		}
	}
	return gets, creates
}
