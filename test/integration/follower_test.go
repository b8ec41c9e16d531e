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

package integration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// change is one event of an instance, as a watcher saw it or as it happened.
type change struct {
	version uint64
	kind    watch.EventType
	name    string
	// digest stands for the whole object; empty where it is not known.
	digest string
}

func (c change) String() string {
	return fmt.Sprintf("%d %s %s %.8s", c.version, c.kind, c.name, c.digest)
}

// same tells whether two changes are the same, as far as both know.
func (c change) same(other change) bool {
	if c.digest == "" || other.digest == "" {
		c.digest, other.digest = "", ""
	}
	return c == other
}

// compareChanges returns where two sequences differ first, or nothing.
func compareChanges(got, want []change) string {
	for i := range min(len(got), len(want)) {
		if !got[i].same(want[i]) {
			return fmt.Sprintf("event %d of %d is %v, want %v", i+1, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d events, want %d", len(got), len(want))
	}
	return ""
}

// digestOf stands for everything in an instance, however it was received.
func digestOf(object runtime.Object) (string, error) {
	if received, ok := object.(*unstructured.Unstructured); ok {
		typed := &fleetv1alpha1.Instance{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(received.Object, typed); err != nil {
			return "", err
		}
		object = typed
	}
	instance, ok := object.(*fleetv1alpha1.Instance)
	if !ok {
		return "", nil // metadata only
	}
	instance = instance.DeepCopy()
	instance.TypeMeta = metav1.TypeMeta{} // a client may leave it out
	encoded, err := json.Marshal(instance)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}

func versionOf(object runtime.Object) (uint64, string, error) {
	accessor, err := apimeta.Accessor(object)
	if err != nil {
		return 0, "", err
	}
	version, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	return version, accessor.GetName(), err
}

// follower watches instances and, whenever the server ends the watch, goes on from the last
// resourceVersion that it saw.
type follower struct {
	name    string
	open    func(context.Context, metav1.ListOptions) (watch.Interface, error)
	options metav1.ListOptions
	// isLast tells whether it has seen all.
	isLast func(change) bool
	// onOpen, where not nil, is called when a watch has been opened.
	onOpen func()
	// stall, where not nil, is called once in each watch, after some events: while it does
	// not return, nothing is read.
	stall func(context.Context) error

	// version is that of the last event, or where to start.
	version uint64
	seen    []change
	// opened and ended count watches, and those that the server ended by itself.
	opened, ended int
}

// stallAfter is how many events a slow follower reads before it stalls.
const stallAfter = 20

// errEnded is why follow returned when the watch was ended by the server.
var errEnded = fmt.Errorf("the server ended the watch")

// follow watches until it has seen the last change, resuming whenever the server ends it.
func (f *follower) follow(ctx context.Context) error {
	for {
		err := f.once(ctx)
		if err != errEnded { //nolint:errorlint // never wrapped
			return err
		}
		f.ended++
	}
}

// once opens one watch and reads it to its end.
func (f *follower) once(ctx context.Context) error {
	options := f.options
	options.ResourceVersion = strconv.FormatUint(f.version, 10)
	watcher, err := f.open(ctx, options)
	if err != nil {
		return fmt.Errorf("opening from %d: %w", f.version, err)
	}
	defer watcher.Stop()
	f.opened++
	if f.onOpen != nil {
		f.onOpen()
	}
	for read := 0; ; read++ {
		if read == stallAfter && f.stall != nil {
			if err := f.stall(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("at %d after %d events: %w", f.version, len(f.seen), context.Cause(ctx))
		case event, ok := <-watcher.ResultChan():
			if !ok {
				return errEnded
			}
			last, err := f.take(event)
			if last || err != nil {
				return err
			}
		}
	}
}

// take records an event, and tells whether it was the last.
func (f *follower) take(event watch.Event) (bool, error) {
	if event.Type == watch.Error {
		return false, apierrors.FromObject(event.Object)
	}
	version, name, err := versionOf(event.Object)
	if err != nil {
		return false, err
	}
	if event.Type == watch.Bookmark {
		// A bookmark may repeat the last event's version, and no event may come behind one.
		if version < f.version {
			return false, fmt.Errorf("a bookmark at %d after %d", version, f.version)
		}
		f.version = version
		return false, nil
	}
	if version <= f.version {
		return false, fmt.Errorf("%s of %s at %d after %d: out of order, or twice", event.Type, name, version, f.version)
	}
	digest, err := digestOf(event.Object)
	if err != nil {
		return false, err
	}
	f.version = version
	f.seen = append(f.seen, change{version, event.Type, name, digest})
	return f.isLast(f.seen[len(f.seen)-1]), nil
}

// gauge counts, and lets others wait for a count.
type gauge struct {
	mu      sync.Mutex
	n       int
	waiting []waitingFor
}

type waitingFor struct {
	n       int
	reached chan struct{}
}

func (g *gauge) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	g.waiting = slices.DeleteFunc(g.waiting, func(w waitingFor) bool {
		if w.n <= g.n {
			close(w.reached)
			return true
		}
		return false
	})
}

func (g *gauge) value() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// reached returns a channel that is closed when the count is n or more.
func (g *gauge) reached(n int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	reached := make(chan struct{})
	if g.n >= n {
		close(reached)
	} else {
		g.waiting = append(g.waiting, waitingFor{n, reached})
	}
	return reached
}

// wait waits for the count.
func (g *gauge) wait(ctx context.Context, n int) error {
	select {
	case <-g.reached(n):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a count of %d, which is %d: %w", n, g.value(), context.Cause(ctx))
	}
}
