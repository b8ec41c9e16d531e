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

package agent

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// mirror holds the newest version of each instance of the host. It implements
// cache.ReflectorStore. It has no queue, because only the newest version counts.
type mirror struct {
	mu      sync.Mutex
	objects map[string]*v1alpha1.Instance
	keys    map[types.UID]string
	changed map[string]bool
	// listed is set once all instances of the host are known.
	listed bool
	// wake holds a token when something has changed.
	wake chan struct{}
}

var _ cache.ReflectorStore = &mirror{}

func newMirror() *mirror {
	return &mirror{
		objects: map[string]*v1alpha1.Instance{}, keys: map[types.UID]string{}, changed: map[string]bool{},
		wake: make(chan struct{}, 1),
	}
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

// markUID marks the instance of a changed sandbox; all instances if uid is empty.
func (m *mirror) markUID(uid types.UID) {
	if uid == "" {
		m.markAll()
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if key, ok := m.keys[uid]; ok {
		m.mark(key)
	}
}

// markAll marks all instances.
func (m *mirror) markAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.objects {
		m.mark(key)
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
		instance.ManagedFields = nil // large and not used
		if old := m.objects[keyOf(instance)]; old != nil {
			delete(m.keys, old.UID)
		}
		m.objects[keyOf(instance)], m.keys[instance.UID] = instance, keyOf(instance)
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
		delete(m.keys, instance.UID)
		m.mark(keyOf(instance))
	}
	return nil
}

// Replace implements cache.ReflectorStore: it is called with all instances of the host.
func (m *mirror) Replace(all []any, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.objects {
		m.mark(key)
	}
	m.objects, m.keys = make(map[string]*v1alpha1.Instance, len(all)), make(map[types.UID]string, len(all))
	for _, obj := range all {
		m.put(obj)
	}
	m.listed = true
	return nil
}

// preload stores the instances of a checkpoint, unless the server has sent its list.
func (m *mirror) preload(instances []*v1alpha1.Instance) (done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listed {
		return false
	}
	for _, instance := range instances {
		m.put(instance)
	}
	return true
}

// Resync implements cache.ReflectorStore.
func (m *mirror) Resync() error { return nil }

// takeChanged returns the keys that have changed since the last call.
func (m *mirror) takeChanged() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.changed
	m.changed = map[string]bool{}
	return changed
}

// get returns nil if the instance does not exist.
func (m *mirror) get(key string) *v1alpha1.Instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[key]
}

// isListed reports whether all instances are known.
func (m *mirror) isListed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.listed
}

// isOrphan reports whether no instance has the UID. It is false until all instances are known.
func (m *mirror) isOrphan(uid types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := m.keys[uid]
	return m.listed && !found
}

// written stores the result of a write in place of the version that was written over, so that the
// next write need not wait for the watch. It does nothing if the watch has replaced or removed
// that version meanwhile.
func (m *mirror) written(over, now *v1alpha1.Instance) {
	now.ManagedFields = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[keyOf(now)] == over {
		m.objects[keyOf(now)] = now
	}
}

// withoutStream lists before it watches. The server does not send the list in a watch with an
// index, and to try costs a request.
type withoutStream struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is called by the reflector.
func (withoutStream) IsWatchListSemanticsUnSupported() bool { return true }

// watch keeps the mirror up to date until the context ends. It is the only watch of the host.
func (a *Agent) watch(ctx context.Context, m *mirror) {
	instances := a.client.Instances(metav1.NamespaceAll)
	own := fields.OneTermEqualSelector(v1alpha1.InstanceHostNameField, a.options.HostName).String()
	source := withoutStream{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (apiruntime.Object, error) {
			options.FieldSelector = own
			return instances.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = own
			return instances.Watch(ctx, options)
		},
	}}
	cache.NewReflectorWithOptions(source, &v1alpha1.Instance{}, m, cache.ReflectorOptions{Name: a.options.HostName}).RunWithContext(ctx)
}
