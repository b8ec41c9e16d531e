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

package harness

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

// Change is one event of an instance, as observed by a watch or as it happened.
type Change struct {
	Version uint64
	Kind    watch.EventType
	Name    string
	// Digest represents the whole object; it is empty if unknown.
	Digest string
}

// String returns the change in words.
func (c Change) String() string {
	return fmt.Sprintf("%d %s %s %.8s", c.Version, c.Kind, c.Name, c.Digest)
}

// Same reports whether two changes are equal in all fields that both have.
func (c Change) Same(other Change) bool {
	if c.Digest == "" || other.Digest == "" {
		c.Digest, other.Digest = "", ""
	}
	return c == other
}

// CompareChanges describes the first difference of two sequences, or returns nothing.
func CompareChanges(got, want []Change) string {
	for i := range min(len(got), len(want)) {
		if !got[i].Same(want[i]) {
			return fmt.Sprintf("event %d of %d is %v, want %v", i+1, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d events, want %d", len(got), len(want))
	}
	return ""
}

// DigestOf returns a digest of all content of an instance, independent of its encoding.
func DigestOf(object runtime.Object) (string, error) {
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

// VersionOf returns the resource version and the name of an object.
func VersionOf(object runtime.Object) (uint64, string, error) {
	accessor, err := apimeta.Accessor(object)
	if err != nil {
		return 0, "", err
	}
	version, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	return version, accessor.GetName(), err
}

// Follower watches instances and, when the server ends the watch, resumes from the last
// resourceVersion that it received.
type Follower struct {
	Name    string
	Open    func(context.Context, metav1.ListOptions) (watch.Interface, error)
	Options metav1.ListOptions
	// IsLast reports whether the change is the last one to wait for.
	IsLast func(Change) bool
	// onOpen, if not nil, is called when a watch has been opened.
	OnOpen func()
	// stall, if not nil, is called once in each watch, after some events. The follower reads nothing
	// until it returns.
	Stall func(context.Context) error

	// Version is the resourceVersion of the last event, or the one to start from.
	Version uint64
	Seen    []Change
	// Opened counts watches, and ended those that the server ended.
	Opened, Ended int
}

// stallAfter is the number of events that a slow follower reads before it stalls.
const stallAfter = 20

// ErrEnded is the error of follow if the server ended the watch.
var ErrEnded = fmt.Errorf("the server ended the watch")

// Follow watches until the last change is received, and resumes whenever the server ends the watch.
func (f *Follower) Follow(ctx context.Context) error {
	for {
		err := f.Once(ctx)
		if err != ErrEnded { // never wrapped
			return err
		}
		f.Ended++
	}
}

// Once opens one watch and reads it until it ends.
func (f *Follower) Once(ctx context.Context) error {
	options := f.Options
	options.ResourceVersion = strconv.FormatUint(f.Version, 10)
	watcher, err := f.Open(ctx, options)
	if err != nil {
		return fmt.Errorf("opening from %d: %w", f.Version, err)
	}
	defer watcher.Stop()
	f.Opened++
	if f.OnOpen != nil {
		f.OnOpen()
	}
	for read := 0; ; read++ {
		if read == stallAfter && f.Stall != nil {
			if err := f.Stall(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("at %d after %d events: %w", f.Version, len(f.Seen), context.Cause(ctx))
		case event, ok := <-watcher.ResultChan():
			if !ok {
				return ErrEnded
			}
			last, err := f.take(event)
			if last || err != nil {
				return err
			}
		}
	}
}

// take records an event, and reports whether it was the last.
func (f *Follower) take(event watch.Event) (bool, error) {
	if event.Type == watch.Error {
		return false, apierrors.FromObject(event.Object)
	}
	version, name, err := VersionOf(event.Object)
	if err != nil {
		return false, err
	}
	if event.Type == watch.Bookmark {
		// A bookmark may repeat the version of the last event, and no event may follow at an older version.
		if version < f.Version {
			return false, fmt.Errorf("a bookmark at %d after %d", version, f.Version)
		}
		f.Version = version
		return false, nil
	}
	if version <= f.Version {
		return false, fmt.Errorf("%s of %s at %d after %d: out of order, or twice", event.Type, name, version, f.Version)
	}
	digest, err := DigestOf(event.Object)
	if err != nil {
		return false, err
	}
	f.Version = version
	f.Seen = append(f.Seen, Change{version, event.Type, name, digest})
	return f.IsLast(f.Seen[len(f.Seen)-1]), nil
}

// Gauge is a counter with waits for its values.
type Gauge struct {
	mu      sync.Mutex
	n       int
	waiting []waitingFor
}

type waitingFor struct {
	n       int
	reached chan struct{}
}

// Add counts one more.
func (g *Gauge) Add() {
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

// Value returns the count.
func (g *Gauge) Value() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// reached returns a channel that is closed when the count is n or more.
func (g *Gauge) reached(n int) <-chan struct{} {
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

// Wait waits for the count.
func (g *Gauge) Wait(ctx context.Context, n int) error {
	select {
	case <-g.reached(n):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a count of %d, which is %d: %w", n, g.Value(), context.Cause(ctx))
	}
}
