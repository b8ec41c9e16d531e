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

// Package load runs the clients of a run: writers, which read and write a few keys, and watchers,
// which resume their watches. Each uses one server until that fails, then the next one.
package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/api"
	"github.com/gatehouse-dev/gatehouse/test/robustness/history"
	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

const (
	// requestTimeout is how long a client waits for a response.
	requestTimeout = 3 * time.Second
	// pause is the time between two requests of a writer, and backoff that after a failure.
	pause   = 4 * time.Millisecond
	backoff = 100 * time.Millisecond
)

// Config describes the clients.
type Config struct {
	// Servers are the names and URLs of the servers.
	Servers []Server
	TLS     *tls.Config
	// Seed decides on what each writer does.
	Seed uint64
	// Writers and Keys are the numbers of writers and of keys.
	Writers, Keys int
	// Ballast is the largest size of what an object holds beside its value.
	Ballast int
	// Rewrites allows for new versions of objects that no client has written, with the same content.
	Rewrites bool
	// WrapWriter and WrapWatcher, if not nil, stand between clients and servers.
	WrapWriter, WrapWatcher func(http.RoundTripper) http.RoundTripper
}

// Server is a server of the API.
type Server struct{ Name, URL string }

// Load is a running set of clients.
type Load struct {
	config   Config
	Recorder *history.Recorder

	// gate is held by every request of a writer, and exclusively by Pause.
	gate                      sync.RWMutex
	stopWriters, stopWatchers context.CancelFunc
	writers, watching         sync.WaitGroup
	watchers                  []*watcher
}

// Start starts the clients: the writers, and one watcher per server.
func Start(ctx context.Context, config Config) *Load {
	l := &Load{config: config, Recorder: history.NewRecorder()}
	var writing, watching context.Context
	writing, l.stopWriters = context.WithCancel(ctx)
	watching, l.stopWatchers = context.WithCancel(ctx)
	for i := range config.Writers {
		w := newWriter(l, i)
		l.writers.Go(func() { w.run(writing) })
	}
	for i := range config.Servers {
		w := &watcher{load: l, number: i, at: i}
		l.watchers = append(l.watchers, w)
		l.watching.Go(func() { w.run(watching) })
	}
	return l
}

// client returns a client of the i-th server, counted from the first again after the last.
func (l *Load) client(i int, wrap func(http.RoundTripper) http.RoundTripper) *api.Client {
	server := l.config.Servers[i%len(l.config.Servers)]
	return api.New(server.Name, server.URL, l.config.TLS, wrap)
}

// keys returns the names of all objects.
func (l *Load) keys() []string {
	var keys []string
	for i := range l.config.Keys {
		keys = append(keys, fmt.Sprintf("key-%d", i))
	}
	return keys
}

// Pause returns when no request of a writer is in progress, and no other one begins until Resume.
func (l *Load) Pause() { l.gate.Lock() }

// Resume ends Pause.
func (l *Load) Resume() { l.gate.Unlock() }

// EndWriters stops the writers and waits for their last requests.
func (l *Load) EndWriters() {
	l.stopWriters()
	l.writers.Wait()
}

// Final lists the objects from each of the servers. Every list is recorded as reads of all keys.
func (l *Load) Final(ctx context.Context, servers []Server) (map[string]watches.Object, error) {
	var final map[string]watches.Object
	for _, server := range servers {
		client := api.New(server.Name, server.URL, l.config.TLS, nil)
		objects, err := l.finalOf(ctx, client)
		client.Close()
		if err != nil {
			return nil, fmt.Errorf("the final list from %s: %w", client.Name, err)
		}
		final = objects
	}
	return final, nil
}

func (l *Load) finalOf(ctx context.Context, client *api.Client) (map[string]watches.Object, error) {
	for {
		call := l.Recorder.Now()
		request, cancel := context.WithTimeout(ctx, requestTimeout)
		objects, _, err := client.List(request)
		cancel()
		if err == nil {
			l.recordList(-1, client.Name, objects, call)
			return objects, nil
		}
		if !sleep(ctx, backoff) {
			return nil, err
		}
	}
}

// recordList records a list as a read of each key.
func (l *Load) recordList(number int, server string, objects map[string]watches.Object, call time.Duration) {
	now := l.Recorder.Now()
	var operations []history.Operation
	for _, key := range l.keys() {
		object := objects[key]
		operations = append(operations, history.Operation{
			Client: number, Server: server, Kind: history.Get, Key: key, Value: object.Value, Revision: object.Revision,
			Outcome: history.OK, Call: call, Return: now,
		})
	}
	l.Recorder.Add(operations...)
}

// EndWatchers waits until every watcher has the final objects or the context ends, and stops them. It
// returns a violation for each watcher that does not have them: a watch that is silent. Without final
// objects it does not wait.
func (l *Load) EndWatchers(ctx context.Context, final map[string]watches.Object) []string {
	var violations []string
	for _, w := range l.watchers {
		for final != nil && !w.reached(final) {
			if !sleep(ctx, 20*time.Millisecond) {
				violations = append(violations, w.describe()+": it does not have the final objects, and no watch has ended with an error")
				break
			}
		}
	}
	l.stopWatchers()
	l.watching.Wait()
	return violations
}

// Streams returns what the watchers have received. It is called after EndWatchers.
func (l *Load) Streams() []*watches.Stream {
	var streams []*watches.Stream
	for _, w := range l.watchers {
		streams = append(streams, w.streams...)
	}
	return streams
}

// sleep waits, and reports whether the context goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
