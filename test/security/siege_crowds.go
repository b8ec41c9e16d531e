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
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// Numbers of simultaneous requests and connections by kind.
const (
	idleConnections = 200
	tricklingBodies = 20
	// moreWatches is more than the default of --max-watches-per-user.
	moreWatches = 1050
	floods      = 8
	largeFloods = 4
)

// prepareCrowds adds silent connections, slow bodies, and watches of ten years
// on the objects that the ordinary user writes.
func (b *besieging) prepareCrowds() {
	address := addressOf(b.T, b.env.Admin)
	for kind, begin := range stalls() {
		for range idleConnections {
			b.repeat(func() { b.record(kind, stall(b.ctx, address, begin)) })
		}
	}
	path := core + "/namespaces/" + ours + "/configmaps"
	for kind, config := range map[string]*rest.Config{
		"bodies of users that trickle": b.env.As("attack-editor-slow"), "bodies of strangers that trickle": rest.AnonymousClientConfig(b.env.Admin),
	} {
		secure, err := rest.TLSConfigFor(config)
		if err != nil {
			b.Fatal(err)
		}
		for range tricklingBodies {
			b.repeat(func() {
				answer, err := trickleBody(b.ctx, secure, address, path)
				var code int
				_, _ = fmt.Sscanf(string(answer), "HTTP/1.1 %d ", &code)
				if b.ctx.Err() == nil && err == nil && code < 300 && code != 0 {
					b.Errorf("a body that trickles is answered with %.300s", answer)
				}
				if b.ctx.Err() == nil {
					b.record(kind, code)
				}
			})
		}
	}
	watcher := newClient(b.T, b.env.As(team()["a viewer"].user))
	for range moreWatches {
		b.repeat(func() { b.watch(watcher, path+"?watch=1&"+tenYears) })
	}
}

// watch keeps a watch open until the server ends it.
func (b *besieging) watch(c client, path string) {
	request, err := http.NewRequestWithContext(b.ctx, http.MethodGet, c.host+path, nil)
	if err != nil {
		b.Error(err)
		return
	}
	response, err := c.http.Do(request)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	b.record("watches of ten years", response.StatusCode)
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusTooManyRequests {
		b.Errorf("a watch is answered with %s", response.Status)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	pause(b.ctx, 100*time.Millisecond)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// stall opens a connection, begins something on it, and waits until the server closes it. It
// returns 0, the code of requests that end without a response.
func stall(ctx context.Context, address string, begin func(net.Conn) error) int {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		pause(ctx, 10*time.Millisecond)
		return 0
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if begin(conn) == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
	return 0
}

// prepareFloods adds unlimited events, large objects and lists of them, and a host that sends all
// permitted requests for an instance while that is bound to another host.
func (b *besieging) prepareFloods() {
	events := attack{name: "an event", method: http.MethodPost, path: core + "/namespaces/" + b.env.Namespace + "/events", code: http.StatusCreated,
		body: `{"apiVersion":"v1","kind":"Event","metadata":{"generateName":"flood-"},"involvedObject":{"namespace":"` + b.env.Namespace + `"}}`}
	ofHost := attack{name: "an event of a host", method: http.MethodPost, path: core + "/namespaces/default/events", body: floodEvent, code: http.StatusCreated}
	flooding := floodingHost()["a host"]
	host, flooder := newClient(b.T, b.env.As(flooding.user, flooding.groups...)), b.editor("flood")
	for range floods {
		b.repeat(func() { b.send("floods of events", flooder, events) })
		b.repeat(func() { b.send("floods of events", host, ofHost) })
	}
	maps := core + "/namespaces/" + b.env.Namespace + "/configmaps"
	writer, lister := b.editor("large"), b.editor("list")
	for i := range largeFloods {
		name := fmt.Sprintf("large-%d", i)
		large := attack{name: "a large object", method: http.MethodPost, path: maps, code: http.StatusCreated,
			body: fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"a":%q}}`, name, strings.Repeat("x", largeObject))}
		b.repeat(func() {
			b.send("large objects", writer, large)
			_, _, _ = writer.try(b.ctx, attack{method: http.MethodDelete, path: maps + "/" + name})
		})
		b.repeat(func() {
			b.send("lists of large objects", lister, attack{name: "a list", path: maps, code: http.StatusOK})
		})
	}
	b.prepareRace()
}

// prepareRace plays HostRaces without a pause.
func (b *besieging) prepareRace() {
	admin := fleetObjects{newClient(b.T, b.env.Admin), fleet + "/namespaces/" + b.env.Namespace + "/instances"}
	for _, name := range []string{"attack-race-1", "attack-race-2"} {
		admin.host(b.T, name)
	}
	self := newClient(b.T, b.env.As("system:host:attack-race-1", "system:hosts"))
	for _, attempt := range raceAttempts(admin.instances + "/raced") {
		b.repeat(func() {
			code, body, err := self.try(b.ctx, attempt)
			if err == nil && code < 300 && strings.Contains(body, `"hostName":"attack-race-2"`) {
				b.Errorf("%s %s reaches the instance of another host: %.300s", attempt.method, attempt.path, body)
			}
			if b.ctx.Err() == nil {
				b.record("races of hosts for an instance", code)
			}
		})
	}
	b.repeat(func() {
		for _, host := range []string{"attack-race-1", "attack-race-2"} {
			for _, step := range admin.replace("raced", host) {
				_, _, _ = admin.try(b.ctx, step)
			}
		}
	})
}

// prepareFiles plays the attempts of other users of the machine, one command after the other.
func (b *besieging) prepareFiles() {
	if skip := filesSkipped(); b.env.Program == "" || skip != "" {
		b.Logf("without files of other users of the machine: %s", skip)
		return
	}
	rows := fileRows()
	next := 0
	b.repeat(func() {
		row := rows[next%len(rows)]
		next++
		if err := row.play(b.ctx, b.env.Program); err != nil && b.ctx.Err() == nil {
			b.Errorf("%s: %v", row.name, err)
		}
		b.record("files of other users of the machine", 0)
	})
}
