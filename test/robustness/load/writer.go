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

package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/gatehouse-dev/gatehouse/test/robustness/api"
	"github.com/gatehouse-dev/gatehouse/test/robustness/history"
	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

// writer is a client that reads and writes.
type writer struct {
	load   *Load
	number int
	// at is the server that it uses.
	at     int
	client *api.Client
	random *rand.Rand
	keys   []string
	// known has the objects that it has read or written last.
	known map[string]watches.Object
	count int
}

func newWriter(l *Load, number int) *writer {
	return &writer{
		load: l, number: number, at: number, client: l.client(number, l.config.WrapWriter), keys: l.keys(),
		random: rand.New(rand.NewPCG(l.config.Seed, uint64(number))), known: map[string]watches.Object{},
	}
}

func (w *writer) run(ctx context.Context) {
	defer func() { w.client.Close() }()
	for ctx.Err() == nil {
		wait := pause
		if failed := w.act(); failed {
			w.client.Close()
			w.at++
			w.client = w.load.client(w.at, w.load.config.WrapWriter)
			wait = backoff
		}
		sleep(ctx, wait)
	}
}

// act sends one request, which no end of the run cuts short, and reports whether the server failed.
func (w *writer) act() (failed bool) {
	w.load.gate.RLock()
	defer w.load.gate.RUnlock()
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	key := w.keys[w.random.IntN(len(w.keys))]
	object, known := w.known[key]
	switch dice := w.random.IntN(100); {
	case dice < 5:
		return w.list(ctx)
	case dice < 25 || !known && dice < 50:
		return w.get(ctx, key)
	case !known || dice < 30:
		return w.create(ctx, key)
	case dice < 85:
		return w.update(ctx, object)
	default:
		return w.delete(ctx, object)
	}
}

func (w *writer) list(ctx context.Context) bool {
	call := w.load.Recorder.Now()
	objects, _, err := w.client.List(ctx)
	if err != nil {
		operation := history.Operation{Client: w.number, Server: w.client.Name, Kind: history.Get, Key: "*", Call: call}
		return w.record(operation, err)
	}
	w.load.recordList(w.number, w.client.Name, objects, call)
	w.known = objects
	return false
}

func (w *writer) get(ctx context.Context, key string) bool {
	o := w.operation(history.Get, watches.Object{Key: key})
	object, err := w.client.Get(ctx, key)
	o.Value, o.Revision = object.Value, object.Revision
	w.learn(key, object, err)
	var status *api.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		err = nil // a read of no object
	}
	return w.record(o, err)
}

func (w *writer) create(ctx context.Context, key string) bool {
	o := w.operation(history.Create, watches.Object{Key: key})
	o.Value = w.value()
	object, err := w.client.Create(ctx, watches.Object{Key: key, Value: o.Value}, w.ballast())
	o.Revision = object.Revision
	w.learn(key, object, err)
	return w.record(o, err)
}

func (w *writer) update(ctx context.Context, basis watches.Object) bool {
	o := w.operation(history.Update, basis)
	o.Value = w.value()
	object, err := w.client.Update(ctx, watches.Object{Key: basis.Key, Value: o.Value, Basis: basis.Value, Revision: basis.Revision}, w.ballast())
	o.Revision = object.Revision
	w.learn(basis.Key, object, err)
	return w.record(o, err)
}

func (w *writer) delete(ctx context.Context, basis watches.Object) bool {
	o := w.operation(history.Delete, basis)
	err := w.client.Delete(ctx, basis)
	delete(w.known, basis.Key)
	return w.record(o, err)
}

func (w *writer) operation(kind history.Kind, basis watches.Object) history.Operation {
	return history.Operation{
		Client: w.number, Server: w.client.Name, Kind: kind, Key: basis.Key, Basis: basis.Value,
		Call: w.load.Recorder.Now(),
	}
}

// learn keeps the object of a response. After a failure the object has to be read again.
func (w *writer) learn(key string, object watches.Object, err error) {
	delete(w.known, key)
	if err == nil {
		w.known[key] = object
	}
}

// value returns a value that no other write has.
func (w *writer) value() string {
	w.count++
	return fmt.Sprintf("w%d-%d", w.number, w.count)
}

func (w *writer) ballast() string {
	return strings.Repeat("x", w.random.IntN(w.load.config.Ballast+1))
}

// record completes the operation with its outcome and records it. It reports whether the server
// failed.
func (w *writer) record(o history.Operation, err error) bool {
	o.Return = w.load.Recorder.Now()
	o.Outcome = outcomeOf(err)
	if err != nil {
		o.Detail = err.Error()
	}
	w.load.Recorder.Add(o)
	return o.Outcome == history.Unknown || o.Outcome == history.Refused
}

// outcomeOf sorts the errors of requests. Only those are Refused that cannot have had an effect.
func outcomeOf(err error) history.Outcome {
	if err == nil {
		return history.OK
	}
	if api.NotSent(err) {
		return history.Refused
	}
	var status *api.StatusError
	if !errors.As(err, &status) {
		return history.Unknown
	}
	switch {
	case status.Code == http.StatusNotFound:
		return history.NotFound
	case status.Code == http.StatusConflict && status.Reason == "AlreadyExists":
		return history.Exists
	case status.Code == http.StatusConflict:
		return history.Conflict
	case status.Code == http.StatusTooManyRequests || status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden:
		return history.Refused
	}
	return history.Unknown
}
