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
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// startQuestions is the number of requests that Starts sends from the first open port on.
const startQuestions = 1000

// Starts compares a start of a server with one during which a user without rights, and a caller
// without credentials, send requests from the first open port on. The difference is what those
// requests cost. Each is refused: with 503 while the server is not ready, and then with 401 or 403.
func Starts(t *testing.T, costs *Costs) {
	t.Helper()
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	address := strings.TrimPrefix(server.URL, "https://")
	as := certified(t, server)
	askers := []client{newClient(t, as("attack-stranger")), newClient(t, rest.AnonymousClientConfig(server.Config))}
	server.Stop(t)

	server = binary.Start(t, dir, "--listen", address)
	undisturbed := spent(t, server)
	server.Stop(t)

	server = binary.Launch(t, dir, nil, "--listen", address)
	codes := askDuringStart(t, askers)
	server.WaitReady(t)
	cost := spent(t, server)
	cost.Peak, cost.CPU = max(cost.Peak-undisturbed.Peak, 0), max(cost.CPU-undisturbed.CPU, 0)
	t.Logf("a start costs %d MiB and %v; answers during the other: %v", undisturbed.Peak>>20, undisturbed.CPU, codes)
	costs.Add("Requests from the first open port of a start on", fmt.Sprintf("%d requests", startQuestions), fmt.Sprint(slices.Sorted(maps.Keys(codes))), cost)
	if err := cost.Exceeds(unitsOf(startQuestions)); err != nil {
		t.Errorf("%d requests during a start: %v", startQuestions, err)
	}
}

func spent(t *testing.T, server *binary.Server) Cost {
	t.Helper()
	cost, err := Spent(server.PID())
	if err != nil {
		t.Fatal(err)
	}
	return cost
}

// askDuringStart sends the requests of Starts, and returns the number of responses of each code.
func askDuringStart(t *testing.T, askers []client) map[int]int {
	t.Helper()
	const each = 4
	ctx, cancel := context.WithTimeout(t.Context(), binary.Patience)
	defer cancel()
	var asked atomic.Int64
	var mu sync.Mutex
	codes := map[int]int{}
	var asking sync.WaitGroup
	for _, asker := range askers {
		for range each {
			asking.Go(func() {
				for asked.Add(1) <= startQuestions {
					code, body, err := asker.try(ctx, attack{path: core + "/secrets"})
					if err != nil {
						asked.Add(-1) // no response: the port is not open yet
						if ctx.Err() != nil {
							return
						}
						time.Sleep(time.Millisecond)
						continue
					}
					mu.Lock()
					codes[code]++
					mu.Unlock()
					if code != http.StatusServiceUnavailable && code != http.StatusForbidden && code != http.StatusUnauthorized {
						t.Errorf("a request during a start is answered with %d: %.300s", code, body)
					}
				}
			})
		}
	}
	asking.Wait()
	return codes
}
