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

// Package simulated is a runtime without real containers: they start, fail and end by the clock
// and at random, for demonstrations, tests and load. Read Runtime.evaluate.
package simulated

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Exit codes and reasons of simulated containers.
const (
	exitError  = 1
	exitKilled = 137 // 128 + SIGKILL

	reasonError     = "Error"
	reasonCompleted = "Completed"
)

// Options are the settings of the runtime of one simulated host.
type Options struct {
	// HostName and Seed determine all random outcomes.
	HostName string
	Seed     int64
	// HostNumber is the number of the host, beginning with 1. The addresses of instances derive from it.
	HostNumber int
	// Clock drives the containers; the real one if nil.
	Clock clock.WithDelayedExecution

	Behaviour
}

// Runtime is the simulated runtime of one host. Its state is a function of the time at which it
// is read; a timer announces the changes.
type Runtime struct {
	clock      clock.WithDelayedExecution
	hostNumber int
	behaviour  Behaviour
	dice       dice

	mu        sync.Mutex
	sandboxes map[types.UID]*sandbox
	addresses map[string]bool
	changed   func(types.UID)
	timer     clock.Timer
}

var (
	_ runtime.Runtime = &Runtime{}
	_ runtime.Adopter = &Runtime{}
)

// New creates the runtime of a host without sandboxes.
func New(options Options) *Runtime {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return &Runtime{
		clock: options.Clock, hostNumber: options.HostNumber, behaviour: options.Behaviour,
		dice:      dice{seed: options.Seed, host: options.HostName},
		sandboxes: map[types.UID]*sandbox{}, addresses: map[string]bool{},
	}
}

// Info implements runtime.Runtime: a simulated runtime is always ready.
func (*Runtime) Info(context.Context) (runtime.Info, error) {
	return runtime.Info{Version: "simulated://1", Ready: true, Reason: "Simulated", Message: "nothing really runs on this host"}, nil
}

// Sandbox implements runtime.Runtime.
func (r *Runtime) Sandbox(_ context.Context, uid types.UID) (*runtime.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[uid]
	if s == nil {
		return nil, nil
	}
	r.evaluate(s, r.clock.Now())
	return s.report(uid), nil
}

// Sandboxes implements runtime.Runtime.
func (r *Runtime) Sandboxes(context.Context) ([]types.UID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var uids []types.UID
	for uid := range r.sandboxes {
		uids = append(uids, uid)
	}
	return uids, nil
}

// RunSandbox implements runtime.Runtime. It assigns the first free address of the host.
func (r *Runtime) RunSandbox(_ context.Context, instance *v1alpha1.Instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sandboxes[instance.UID] == nil {
		r.add(instance, "")
	}
	return nil
}

// add is called with the lock held. The sandbox has no address if the host has none left.
func (r *Runtime) add(instance *v1alpha1.Instance, ip string) *sandbox {
	for slot := 1; ip == "" && slot <= MaxInstances; slot++ {
		if free := instanceIP(r.hostNumber, slot); !r.addresses[free] {
			ip = free
		}
	}
	s := &sandbox{key: instance.Namespace + "/" + instance.Name, policy: instance.Spec.RestartPolicy, ip: ip}
	r.addresses[ip] = true
	r.sandboxes[instance.UID] = s
	return s
}

// PullImage implements runtime.Runtime: every image is present, unless its name is bad.
func (r *Runtime) PullImage(_ context.Context, _ *v1alpha1.Instance, container *v1alpha1.Container, _ int32) error {
	image := container.Image
	for _, part := range r.behaviour.BadImages {
		if strings.Contains(image, part) {
			return fmt.Errorf("simulated: the image %q cannot be fetched, because its name contains one of %s", image, strings.Join(r.behaviour.BadImages, ", "))
		}
	}
	return nil
}

var errNoSandbox = errors.New("simulated: the instance has no sandbox in which containers can start")

// StartContainer implements runtime.Runtime. The container runs after its start delay, but one
// that follows a failed attempt runs at once: RestartBackOff includes its delay.
func (r *Runtime) StartContainer(_ context.Context, instance *v1alpha1.Instance, spec *v1alpha1.Container, attempt int32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[instance.UID]
	if s == nil || !s.stopping.IsZero() {
		return errNoSandbox
	}
	now := r.clock.Now()
	c := s.container(spec.Name)
	switch {
	case c == nil:
		s.containers = append(s.containers, container{name: spec.Name})
		c = &s.containers[len(s.containers)-1]
	case attempt == c.attempt && c.state == runtime.ContainerCreated:
	case attempt > c.attempt && c.state == runtime.ContainerExited:
		c.previous = c.end
	default:
		return fmt.Errorf("simulated: container %s has attempt %d already", spec.Name, c.attempt)
	}
	c.attempt, c.image, c.state, c.since = attempt, spec.Image, runtime.ContainerCreated, now
	r.evaluate(s, now)
	return nil
}

// StopContainer implements runtime.Runtime. The container exits at once: only the stop of a sandbox
// has a delay.
func (r *Runtime) StopContainer(_ context.Context, uid types.UID, name string, _ time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sandboxes[uid]; s != nil {
		now := r.clock.Now()
		if c := s.container(name); c != nil {
			c.exit(now, 0, reasonCompleted)
		}
		r.evaluate(s, now)
	}
	return nil
}

// StopSandbox implements runtime.Runtime.
func (r *Runtime) StopSandbox(_ context.Context, uid types.UID, grace time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sandboxes[uid]; s != nil {
		now := r.clock.Now()
		if s.stopping.IsZero() {
			s.stopping = now
		}
		if killed := now.Add(grace); s.killed.IsZero() || killed.Before(s.killed) {
			s.killed = killed
		}
		r.evaluate(s, now)
	}
	return nil
}

// RemoveSandbox implements runtime.Runtime.
func (r *Runtime) RemoveSandbox(_ context.Context, uid types.UID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sandboxes[uid]; s != nil {
		delete(r.addresses, s.ip)
		delete(r.sandboxes, uid)
	}
	return nil
}

// Watch implements runtime.Runtime. There is one watcher at a time.
func (r *Runtime) Watch(ctx context.Context, changed func(types.UID)) {
	r.mu.Lock()
	r.changed = changed
	r.arm()
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = nil
	if r.timer != nil {
		r.timer.Stop()
	}
}

// arm sets the timer to the earliest change. It is called with the lock held.
func (r *Runtime) arm() {
	if r.changed == nil {
		return
	}
	var next time.Time
	for _, s := range r.sandboxes {
		next = earlier(next, s.due)
	}
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if !next.IsZero() {
		r.timer = r.clock.AfterFunc(max(0, next.Sub(r.clock.Now())), func() { r.announce(next) })
	}
}

// announce calls changed for the sandboxes with a due change. A read of one returns its change
// after that.
func (r *Runtime) announce(now time.Time) {
	r.mu.Lock()
	changed := r.changed
	var uids []types.UID
	for uid, s := range r.sandboxes {
		if !s.due.IsZero() && !s.due.After(now) {
			s.due = time.Time{}
			uids = append(uids, uid)
		}
	}
	r.mu.Unlock()
	if changed == nil {
		return
	}
	for _, uid := range uids {
		changed(uid)
	}
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sum hashes a text, for identifiers.
func sum(text string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(text))
	return hash.Sum64()
}
