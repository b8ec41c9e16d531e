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
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// flood is slightly more than the burst that EventRateLimit allows one user by default.
const flood = 500

// writers is the number of these events that are in flight at the same time. In sequence on a slow disk,
// the background work of the server would be most of the cost.
const writers = 20

// Events plays attacks of hosts on the store with events. namespace must exist, without a quota.
func Events(t *testing.T, env Env, namespace string) {
	t.Helper()
	admin := newClient(t, env.Admin)
	admin.must(t, http.MethodPost, hosts, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-flood"}}`)
	play(t, env, floodingHost(), eventRows(namespace), []string{core + "/events"})
	t.Run("A host floods the store with events", func(t *testing.T) { floodEvents(t, env, admin) })
	t.Run("A namespace's quota of events is exceeded", func(t *testing.T) { exceedEvents(t, env, admin) })
}

func floodingHost() map[string]person {
	return map[string]person{"a host": {"system:host:attack-flood", []string{"system:hosts"}}}
}

// eventRows returns events that are too large.
func eventRows(namespace string) []attack {
	old, current := core+"/namespaces/"+namespace+"/events", "/apis/events.k8s.io/v1/namespaces/"+namespace+"/events"
	long, longer := strings.Repeat("x", 1_400_000), strings.Repeat("x", 200_000)
	const invalid = http.StatusUnprocessableEntity
	return []attack{
		{name: "A host writes an event with a message of 1.4 MB", as: "a host", method: http.MethodPost, path: old, body: event(namespace, "a", `,"message":"`+long+`"`), code: invalid, says: "message: Invalid value"},
		{name: "A host writes an event with a note of 1.4 MB", as: "a host", method: http.MethodPost, path: current, body: currentEvent(namespace, "a", `,"note":"`+long+`"`), code: invalid, says: "1024 bytes"},
		{name: "A host writes an event with a reason of 1.4 MB", as: "a host", method: http.MethodPost, path: old, body: event(namespace, "a", `,"reason":"`+long+`"`), code: invalid, says: "reason: Invalid value"},
		{name: "A host writes an event from a component of 1.4 MB", as: "a host", method: http.MethodPost, path: old, body: event(namespace, "a", `,"source":{"component":"`+long+`"}`), code: invalid, says: "source.component: Invalid value"},
		{name: "A host writes an event about a field of 200 kB", as: "a host", method: http.MethodPost, path: old, body: fmt.Sprintf(`{"apiVersion":"v1","kind":"Event","metadata":{"name":"a"},"involvedObject":{"namespace":%q,"fieldPath":%q}}`, namespace, longer), code: invalid, says: "no more than 4096"},
		{name: "A host writes an event with an annotation of 200 kB", as: "a host", method: http.MethodPost, path: old, body: fmt.Sprintf(`{"apiVersion":"v1","kind":"Event","metadata":{"name":"a","annotations":{"a":%q}},"involvedObject":{"namespace":%q}}`, longer, namespace), code: invalid, says: "no more than 4096"},
	}
}

func event(namespace, name, rest string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Event","metadata":{"name":%q},"involvedObject":{"namespace":%q}%s}`, name, namespace, rest)
}

func currentEvent(namespace, name, rest string) string {
	return fmt.Sprintf(`{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":%q},"regarding":{"namespace":%q},"eventTime":"2026-01-01T00:00:00.000000Z","reportingController":"example.com/agent","reportingInstance":"a","action":"Attack","reason":"Attack","type":"Normal"%s}`, name, namespace, rest)
}

// floodEvent is an event of a host about itself.
const floodEvent = `{"apiVersion":"v1","kind":"Event","metadata":{"generateName":"flood-"},"involvedObject":{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","name":"attack-flood"},"source":{"host":"attack-flood"}}`

// floodEvents writes until the server refuses, which must be soon. Events of another user are
// accepted meanwhile. The cost is that of the burst of events that one user may write.
func floodEvents(t *testing.T, env Env, admin client) {
	t.Helper()
	const path = core + "/namespaces/default/events" // the namespace of events about cluster-scoped objects
	host := newClient(t, env.As("system:host:attack-flood", "system:hosts"))
	write := func(i int) (refused bool) {
		code, body, err := host.try(t.Context(), attack{method: http.MethodPost, path: path, body: floodEvent})
		switch {
		case err == nil && code == http.StatusTooManyRequests:
			if !strings.Contains(body, "EventRateLimit") || !strings.Contains(body, "retryAfterSeconds") {
				t.Errorf("refused with %s, which names no plugin or no time", body)
			}
			return true
		case err != nil || code != http.StatusCreated:
			t.Errorf("event %d is answered with %d %s %v", i, code, body, err)
		}
		return false
	}
	began := time.Now()
	env.measuredUnits(t, "A host floods the store with events", fmt.Sprintf("%d events", flood), unitsOf(flood), func() string {
		var writing sync.WaitGroup
		for writer := range writers {
			writing.Go(func() {
				for i := writer; i < flood; i += writers {
					write(i)
				}
			})
		}
		writing.Wait()
		return "201"
	})
	for i := flood; !write(i) && !t.Failed(); i++ {
		// The bucket refills at 20 a second meanwhile.
		if most := flood + 20*(int(time.Since(began)/time.Second)+2); i > most {
			t.Fatalf("%d events were taken in %v", i, time.Since(began))
		}
	}
	if code, body := admin.send(t, attack{method: http.MethodPost, path: path, body: event("default", "of-another", "")}); code != http.StatusCreated {
		t.Errorf("the event of another is answered with %d %s", code, body)
	}
}

// exceedEvents limits events by the name of each group, and exceeds the limit through the other group.
func exceedEvents(t *testing.T, env Env, admin client) {
	t.Helper()
	writer := newClient(t, env.As("attack-quota", "system:masters"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, name := range []string{"count/events", "count/events.events.k8s.io"} {
		namespace := fmt.Sprintf("attack-quota-%d", i)
		admin.must(t, http.MethodPost, core+"/namespaces", "", fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, namespace))
		quotas := core + "/namespaces/" + namespace + "/resourcequotas"
		admin.must(t, http.MethodPost, quotas, "", fmt.Sprintf(`{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"events"},"spec":{"hard":{%q:"3"}}}`, name))
		awaitBody(ctx, t, admin, quotas+"/events", `"used":{`)
		paths := [][2]string{
			{core + "/namespaces/" + namespace + "/events", event(namespace, "old-%d", "")},
			{"/apis/events.k8s.io/v1/namespaces/" + namespace + "/events", currentEvent(namespace, "current-%d", "")},
		}
		for n := range 3 {
			// The admission plugin may not have observed the status of the quota yet.
			writer.awaitCode(ctx, t, attack{method: http.MethodPost, path: paths[n%2][0], body: fmt.Sprintf(paths[n%2][1], n)}, http.StatusCreated)
		}
		for _, path := range paths {
			if code, body := writer.send(t, attack{method: http.MethodPost, path: path[0], body: fmt.Sprintf(path[1], 3)}); code != http.StatusForbidden || !strings.Contains(body, "exceeded quota") {
				t.Errorf("%s: the fourth event in %s is answered with %d %s", name, path[0], code, body)
			}
		}
		// A deleted event frees its share of the quota, as does an expired one.
		admin.must(t, http.MethodDelete, paths[0][0]+"/old-0", "", "")
		writer.awaitCode(ctx, t, attack{method: http.MethodPost, path: paths[1][0], body: fmt.Sprintf(paths[1][1], 4)}, http.StatusCreated)
	}
}

// awaitBody repeats the request until the response contains the words.
func awaitBody(ctx context.Context, t *testing.T, c client, path, says string) {
	t.Helper()
	for {
		body := c.must(t, http.MethodGet, path, "", "")
		if strings.Contains(string(body), says) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s never says %q: %s", path, says, body)
		}
	}
}
