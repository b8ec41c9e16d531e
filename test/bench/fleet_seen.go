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

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// seen has the objects of one kind that a watch has received. It implements
// cache.ReflectorStore, so the watch resumes after an interruption.
type seen[T metav1.Object] struct {
	// change is called for each change, with the lock held. The zero value stands for an object
	// that did not exist, or no longer exists.
	change func(old, now T)

	mu      sync.Mutex
	objects map[string]T
	// wake holds a token when something has changed.
	wake chan struct{}
}

var _ cache.ReflectorStore = &seen[*fleet.Instance]{}

func newSeen[T metav1.Object](change func(old, now T)) *seen[T] {
	return &seen[T]{change: change, objects: map[string]T{}, wake: make(chan struct{}, 1)}
}

func keyOf(object metav1.Object) string { return object.GetNamespace() + "/" + object.GetName() }

// put is called with the lock held.
func (s *seen[T]) put(object any) {
	now, ok := object.(T)
	if !ok {
		return
	}
	now.SetManagedFields(nil) // large, and not needed here
	s.change(s.objects[keyOf(now)], now)
	s.objects[keyOf(now)] = now
}

// remove is called with the lock held.
func (s *seen[T]) remove(key string) {
	if old, ok := s.objects[key]; ok {
		var gone T
		s.change(old, gone)
		delete(s.objects, key)
	}
}

func (s *seen[T]) changed(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Add implements cache.ReflectorStore.
func (s *seen[T]) Add(object any) error {
	s.changed(func() { s.put(object) })
	return nil
}

// Update implements cache.ReflectorStore.
func (s *seen[T]) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore.
func (s *seen[T]) Delete(object any) error {
	if old, ok := object.(T); ok {
		s.changed(func() { s.remove(keyOf(old)) })
	}
	return nil
}

// Replace implements cache.ReflectorStore: its argument has all objects.
func (s *seen[T]) Replace(all []any, _ string) error {
	s.changed(func() {
		there := map[string]bool{}
		for _, object := range all {
			if now, ok := object.(T); ok {
				there[keyOf(now)] = true
			}
			s.put(object)
		}
		for key := range s.objects {
			if !there[key] {
				s.remove(key)
			}
		}
	})
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *seen[T]) Resync() error { return nil }

// until waits until the condition holds, which is evaluated with the lock held after changes.
func (s *seen[T]) until(ctx context.Context, timeout time.Duration, what string, condition func() bool, progress func() string) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		s.mu.Lock()
		holds, far := condition(), progress()
		s.mu.Unlock()
		if holds {
			return nil
		}
		select {
		case <-s.wake:
		case <-late.C:
			return fmt.Errorf("not %s after %v: %s", what, timeout, far)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow watches all objects of a kind until the context ends.
func follow[T runtime.Object](ctx context.Context, store cache.ReflectorStore, example T, source interface {
	list(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}) {
	cache.NewReflectorWithOptions(&cache.ListWatch{ListWithContextFunc: source.list, WatchFuncWithContext: source.watch}, example, store, cache.ReflectorOptions{Name: "bench"}).RunWithContext(ctx)
}

// source lists and watches with the typed client of a kind.
type source[L runtime.Object] struct {
	client interface {
		List(context.Context, metav1.ListOptions) (L, error)
		Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	}
}

func (s source[L]) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	return s.client.List(ctx, options)
}

func (s source[L]) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return s.client.Watch(ctx, options)
}

// instanceCounts counts the instances that a watch has received.
type instanceCounts struct {
	*seen[*fleet.Instance]
	all, bound, running int
	// boundAt are the times at which the watch received bindings, since begin.
	boundAt []time.Time
}

func countInstances() *instanceCounts {
	c := &instanceCounts{}
	c.seen = newSeen(func(old, now *fleet.Instance) {
		if now != nil && now.Spec.HostName != "" && (old == nil || old.UID != now.UID || old.Spec.HostName == "") {
			c.boundAt = append(c.boundAt, time.Now())
		}
		c.add(old, -1)
		c.add(now, 1)
	})
	return c
}

func (c *instanceCounts) add(i *fleet.Instance, n int) {
	if i == nil {
		return
	}
	c.all += n
	if i.Spec.HostName != "" {
		c.bound += n
	}
	if i.Status.Phase == fleet.InstanceRunning && meta.IsStatusConditionTrue(i.Status.Conditions, fleet.InstanceConditionReady) {
		c.running += n
	}
}

// begin discards the times of earlier bindings.
func (c *instanceCounts) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boundAt = nil
}

// bindings returns the times of bindings since begin.
func (c *instanceCounts) bindings() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.boundAt)
}

// String is called with the lock held.
func (c *instanceCounts) String() string {
	return fmt.Sprintf("%d instances, %d bound, %d running and ready", c.all, c.bound, c.running)
}

// waitBound waits until as many instances have been bound since begin.
func (c *instanceCounts) waitBound(ctx context.Context, timeout time.Duration, count int) error {
	return c.until(ctx, timeout, fmt.Sprintf("all %d bound", count), func() bool { return len(c.boundAt) >= count }, c.String)
}

// waitRunning waits until this many instances run, and there are no others.
func (c *instanceCounts) waitRunning(ctx context.Context, timeout time.Duration, count int) error {
	return c.until(ctx, timeout, fmt.Sprintf("all %d running and ready", count), func() bool { return c.running == count && c.all == count }, c.String)
}

// rates returns the bindings per second: over all, and in the best of all windows
// of a length. Times must be in order.
func rates(times []time.Time, window time.Duration) (all, best float64) {
	if len(times) < 2 {
		return 0, 0
	}
	took := times[len(times)-1].Sub(times[0])
	all = perSecond(len(times)-1, took)
	if took < window {
		return all, all
	}
	first, most := 0, 0
	for last := range times {
		for times[last].Sub(times[first]) > window {
			first++
		}
		most = max(most, last-first+1)
	}
	return all, perSecond(most, window)
}
