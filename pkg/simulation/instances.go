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

package simulation

import (
	"context"
	"sync"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// hostNameField is what hosts select their instances by.
const hostNameField = "spec.hostName"

// mirror keeps the newest of each instance that the watch has told of. It implements
// cache.ReflectorStore; there is no queue, because only the newest counts.
type mirror struct {
	mu      sync.Mutex
	objects map[string]*v1alpha1.Instance
	changed map[string]bool
	// wake holds a token when something has changed.
	wake chan struct{}
}

var _ cache.ReflectorStore = &mirror{}

func newMirror() *mirror {
	return &mirror{objects: map[string]*v1alpha1.Instance{}, changed: map[string]bool{}, wake: make(chan struct{}, 1)}
}

func keyOf(instance *v1alpha1.Instance) string { return instance.Namespace + "/" + instance.Name }

// mark is called with the lock held.
func (m *mirror) mark(key string) {
	m.changed[key] = true
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Add implements cache.ReflectorStore.
func (m *mirror) Add(obj any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(obj)
	return nil
}

// put is called with the lock held.
func (m *mirror) put(obj any) {
	if instance, ok := obj.(*v1alpha1.Instance); ok {
		instance.ManagedFields = nil // large, and of no use here
		m.objects[keyOf(instance)] = instance
		m.mark(keyOf(instance))
	}
}

// Update implements cache.ReflectorStore.
func (m *mirror) Update(obj any) error { return m.Add(obj) }

// Delete implements cache.ReflectorStore.
func (m *mirror) Delete(obj any) error {
	if instance, ok := obj.(*v1alpha1.Instance); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.objects, keyOf(instance))
		m.mark(keyOf(instance))
	}
	return nil
}

// Replace implements cache.ReflectorStore: it is called with all there are.
func (m *mirror) Replace(all []any, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.objects {
		m.mark(key)
	}
	m.objects = make(map[string]*v1alpha1.Instance, len(all))
	for _, obj := range all {
		m.put(obj)
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (m *mirror) Resync() error { return nil }

// takeChanged returns the keys that have changed since it was last called.
func (m *mirror) takeChanged() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.changed
	m.changed = map[string]bool{}
	return changed
}

// get returns nil where the instance is gone.
func (m *mirror) get(key string) *v1alpha1.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[key]
}

// written puts the answer to a write of ours into the place of what was written over, so that
// the next write need not wait for the watch. It brings back nothing that the watch has
// replaced or removed meanwhile.
func (m *mirror) written(over, now *v1alpha1.Instance) {
	now.ManagedFields = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[keyOf(now)] == over {
		m.objects[keyOf(now)] = now
	}
}

// withoutStream lists before it watches. Another client would be sent the list by the watch,
// but the server does not do that for a watch with an index, and asking costs a request.
type withoutStream struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is asked by the reflector.
func (withoutStream) IsWatchListSemanticsUnSupported() bool { return true }

// watch keeps the mirror up to date until the context ends. It is the host's only watch.
func (a *agent) watch(ctx context.Context, m *mirror) {
	instances := a.client.Instances(metav1.NamespaceAll)
	own := fields.OneTermEqualSelector(hostNameField, a.name).String()
	source := withoutStream{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = own
			return instances.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = own
			return instances.Watch(ctx, options)
		},
	}}
	cache.NewReflectorWithOptions(source, &v1alpha1.Instance{}, m, cache.ReflectorOptions{Name: a.name}).RunWithContext(ctx)
}

// keeper runs the instances of one host, all in one goroutine.
type keeper struct {
	*agent
	mirror   *mirror
	machines map[string]*machine
	// due says when to look at an instance though nothing has changed.
	due map[string]time.Time
	// failed counts the writes in a row that went wrong, by instance.
	failed map[string]int
	// taken are the addresses in use.
	taken map[string]bool
}

func newKeeper(a *agent) *keeper {
	return &keeper{
		agent: a, mirror: newMirror(),
		machines: map[string]*machine{}, due: map[string]time.Time{}, failed: map[string]int{}, taken: map[string]bool{},
	}
}

// run works until the context ends.
func (k *keeper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.mirror.wake:
		case <-timer.C:
		}
		keys := k.mirror.takeChanged()
		for key, due := range k.due {
			if !time.Now().Before(due) {
				keys[key] = true
			}
		}
		for key := range keys {
			if ctx.Err() != nil {
				return
			}
			k.sync(ctx, key)
		}
		if next, ok := k.earliest(); ok {
			timer.Reset(time.Until(next))
		}
	}
}

func (k *keeper) earliest() (next time.Time, ok bool) {
	for _, due := range k.due {
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next, !next.IsZero()
}

// sync brings one instance up to now and reports what has changed.
func (k *keeper) sync(ctx context.Context, key string) {
	delete(k.due, key)
	instance := k.mirror.get(key)
	if m := k.machines[key]; m != nil && (instance == nil || instance.UID != m.uid) {
		k.forget(key)
	}
	if instance == nil {
		return
	}
	now := time.Now()
	m := k.machines[key]
	if m == nil {
		m = accept(instance, now)
		k.assign(m)
		k.machines[key] = m
	}
	next, stopped := m.advance(instance, now, &k.options.Behaviour, k.dice)
	if !next.IsZero() {
		k.due[key] = next
	}
	if err := k.write(ctx, instance, m, stopped, now); err != nil && ctx.Err() == nil {
		k.retry(ctx, key, err)
		return
	}
	delete(k.failed, key)
}

// write deletes what has stopped, and otherwise reports what has changed.
func (k *keeper) write(ctx context.Context, instance *v1alpha1.Instance, m *machine, stopped bool, now time.Time) error {
	ctx, done := lingering(ctx)
	defer done()
	instances := k.client.Instances(instance.Namespace)
	// One that others hold by finalizers stays for a while, so it says how it ended.
	held := len(instance.Finalizers) > 0
	if m.gone && !held {
		return nil
	}
	if !m.over && (!stopped || held) {
		status := m.report(instance, hostIP(k.number), now, &k.options.Behaviour)
		if !apiequality.Semantic.DeepEqual(status, instance.Status) {
			reported := instance.DeepCopy()
			reported.Status = status
			written, err := instances.UpdateStatus(ctx, reported, metav1.UpdateOptions{})
			if err != nil {
				return err
			}
			k.mirror.written(instance, written)
		}
	}
	if !stopped || held && ptr.Deref(instance.DeletionGracePeriodSeconds, -1) == 0 {
		return nil
	}
	err := instances.Delete(ctx, instance.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0),
		Preconditions:      &metav1.Preconditions{UID: &instance.UID},
	})
	m.gone = err == nil && !held
	return err
}

// retry comes back to a write that went wrong. After a conflict the watch brings what is newer;
// of what is gone (a host may not even ask for what is not bound to it) it tells, too. That
// it comes back all the same is for a watch that is late or cut.
func (k *keeper) retry(ctx context.Context, key string, err error) {
	k.failed[key]++
	pause := min(firstRetry<<min(k.failed[key], 10), lastRetry)
	again := time.Now().Add(wait.Jitter(pause, 0.5))
	if due, ok := k.due[key]; !ok || again.Before(due) {
		k.due[key] = again
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		klog.FromContext(ctx).V(4).Info("Again later", "host", k.name, "instance", key, "why", err.Error())
		return
	}
	klog.FromContext(ctx).Error(err, "A simulated host cannot report on an instance, and tries again", "host", k.name, "instance", key)
}

// assign gives the instance the first address that is free, unless it has one.
func (k *keeper) assign(m *machine) {
	for slot := 1; m.address == "" && slot <= MaxInstances; slot++ {
		if address := instanceIP(k.number, slot); !k.taken[address] {
			m.address = address
		}
	}
	k.taken[m.address] = true
}

func (k *keeper) forget(key string) {
	delete(k.taken, k.machines[key].address)
	delete(k.machines, key)
	delete(k.failed, key)
}
