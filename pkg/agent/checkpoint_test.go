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
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// memory is a checkpoint that records its calls.
type memory struct {
	mu      sync.Mutex
	loaded  []*v1alpha1.Instance
	saved   []string
	removed []types.UID
}

func (m *memory) Load() ([]*v1alpha1.Instance, error) { return m.loaded, nil }

func (m *memory) Save(instance *v1alpha1.Instance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved = append(m.saved, string(instance.UID)+" "+string(instance.Status.Phase))
	return nil
}

func (m *memory) Remove(uid types.UID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed = append(m.removed, uid)
	return nil
}

func TestWithoutTheServerTheInstancesOfTheCheckpointRun(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answers bool
		want    int
	}{
		{"no answer: the instance of the checkpoint runs", false, 1},
		{"an answer without the instance: nothing runs, and the checkpoint is emptied", true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset()
			away := func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("no route to host")
			}
			if !tc.answers {
				client.PrependReactor("*", "*", away)
			}
			r, saved := simulated.New(simulated.Options{HostName: "edge-1", HostNumber: 1}), &memory{loaded: []*v1alpha1.Instance{newInstance()}}
			a := newAgent(client.FleetV1alpha1(), r, Options{
				HostName: "edge-1", RestartBackOff: r.RestartBackOff, Checkpoint: saved, RequestTimeout: time.Second, RelistInterval: 20 * time.Millisecond,
			})
			c := newController(a)
			if c.checkpointDelay = 50 * time.Millisecond; tc.answers {
				c.checkpointDelay = time.Hour
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			var parts sync.WaitGroup
			defer parts.Wait()
			defer cancel()
			c.readCheckpoint(ctx)
			parts.Go(func() { a.watch(ctx, c.mirror) })
			parts.Go(func() { c.startFromCheckpoint(ctx) })
			parts.Go(func() { c.run(ctx) })
			for ctx.Err() == nil {
				uids, err := r.Sandboxes(ctx)
				if err != nil {
					t.Fatal(err)
				}
				saved.mu.Lock()
				removed := len(saved.removed)
				saved.mu.Unlock()
				if len(uids) == tc.want && removed == 1-tc.want {
					return
				}
				_ = sleep(ctx, 10*time.Millisecond)
			}
			t.Error("it never happens")
		})
	}
}

func TestAnInstanceIsSavedBeforeItRunsAndWhenItHasChanged(t *testing.T) {
	client := fake.NewClientset(newInstance())
	r, saved := simulated.New(simulated.Options{HostName: "edge-1", HostNumber: 1}), &memory{}
	c := newController(newAgent(client.FleetV1alpha1(), r, Options{HostName: "edge-1", RestartBackOff: r.RestartBackOff, Checkpoint: saved}))
	sync := func(change func(*v1alpha1.Instance)) {
		t.Helper()
		instance := newInstance()
		if old := c.mirror.get("default/web"); old != nil {
			instance = old.DeepCopy()
		}
		change(instance)
		if err := c.mirror.Add(instance); err != nil {
			t.Fatal(err)
		}
		c.sync(t.Context(), "default/web")
	}
	sync(func(*v1alpha1.Instance) {})
	sync(func(*v1alpha1.Instance) {}) // runs now: the phase differs
	sync(func(*v1alpha1.Instance) {})
	sync(func(i *v1alpha1.Instance) { i.Generation++ })
	if want := []string{"u Pending", "u Running", "u Running"}; !slices.Equal(saved.saved, want) {
		t.Errorf("saved %q, want %q", saved.saved, want)
	}
	if err := c.mirror.Delete(newInstance()); err != nil {
		t.Fatal(err)
	}
	c.sync(t.Context(), "default/web")
	if len(saved.removed) != 1 {
		t.Errorf("removed %v", saved.removed)
	}
}

func TestAServerThatDoesNotAnswerIsLeftAloneForAWhile(t *testing.T) {
	for _, tc := range []struct {
		name     string
		err      error
		requests int
	}{
		{"no answer: the next report waits", errors.New("connection refused"), 1},
		{"a refusal is an answer", apierrors.NewConflict(schema.GroupResource{}, "web", nil), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset(newInstance())
			client.PrependReactor("update", "instances", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
			r := simulated.New(simulated.Options{HostName: "edge-1", HostNumber: 1})
			c := newController(newAgent(client.FleetV1alpha1(), r, Options{HostName: "edge-1", RestartBackOff: r.RestartBackOff, RequestTimeout: time.Minute}))
			if err := c.mirror.Add(newInstance()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				c.sync(t.Context(), "default/web")
			}
			if got := len(client.Actions()); got != tc.requests {
				t.Errorf("%d requests, want %d: %v", got, tc.requests, client.Actions())
			}
			if c.due["default/web"].IsZero() {
				t.Error("it is not tried again")
			}
		})
	}
}
