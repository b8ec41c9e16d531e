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

package cri

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

// StopContainer implements runtime.Runtime.
func (r *Runtime) StopContainer(_ context.Context, uid types.UID, name string, grace time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pods[uid]; p != nil {
		for id, c := range p.containers {
			if c.Name == name && c.state == criv1.ContainerState_CONTAINER_RUNNING {
				r.stop(p, id, r.clock.Now().Add(grace))
			}
		}
	}
	return nil
}

// StopSandbox implements runtime.Runtime.
func (r *Runtime) StopSandbox(_ context.Context, uid types.UID, grace time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pods[uid]; p != nil {
		r.setStopping(p, grace)
		r.advance(p)
	}
	return nil
}

// RemoveSandbox implements runtime.Runtime.
func (r *Runtime) RemoveSandbox(_ context.Context, uid types.UID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[uid]
	if p == nil && r.options.Provider != nil {
		r.background(func(context.Context) { r.release(uid) })
	}
	if p == nil || p.removing {
		return nil
	}
	if !p.stopping {
		grace := time.Duration(0)
		if newest := p.newest(); newest != nil {
			grace = newest.grace
		}
		r.setStopping(p, grace)
	}
	p.removing, p.troubles = true, map[string]*trouble{}
	r.advance(p)
	return nil
}

// setStopping is called with the lock held.
func (r *Runtime) setStopping(p *pod, grace time.Duration) {
	if killAt := r.clock.Now().Add(grace); !p.stopping || killAt.Before(p.killAt) {
		p.killAt = killAt
	}
	p.stopping = true
}

// stop stops a container by a time. It does nothing if that is under way already. It is called with
// the lock held.
func (r *Runtime) stop(p *pod, id string, killAt time.Time) {
	if at, ok := p.stops[id]; ok && !killAt.Before(at) {
		return
	}
	p.stops[id] = killAt
	grace := max(0, killAt.Sub(r.clock.Now()))
	r.background(func(ctx context.Context) {
		err := r.cri.StopContainer(ctx, id, int64(math.Ceil(grace.Seconds())))
		r.refresh(ctx, p.uid)
		done := func() {
			if p.stops[id].Equal(killAt) {
				delete(p.stops, id)
			}
			r.advance(p)
			r.announce(p.uid)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil && !gone(err) {
			r.logFailure(err, "Stopping a container failed, retrying", p.uid)
			r.after(pause, done)
			return
		}
		done()
	})
}

// advance takes the next steps of a pod that is being stopped: it ends the containers, then the
// sandbox, and removes all if that was requested. It is called with the lock held, after each
// step.
func (r *Runtime) advance(p *pod) {
	if !p.stopping || p.working || p.unknown != nil {
		return
	}
	ended := true
	for id, c := range p.containers {
		switch c.state {
		case criv1.ContainerState_CONTAINER_RUNNING:
			ended = false
			r.stop(p, id, p.killAt)
		case criv1.ContainerState_CONTAINER_CREATED, criv1.ContainerState_CONTAINER_UNKNOWN:
			ended = false
			r.tear(p, func(ctx context.Context) error { return r.cri.RemoveContainer(ctx, id) })
		}
	}
	switch newest := p.newest(); {
	case !ended || newest == nil:
	case p.removing:
		sandboxes := append([]sandbox(nil), p.sandboxes...)
		r.tear(p, func(ctx context.Context) error {
			if err := r.remove(ctx, sandboxes); err != nil {
				return err
			}
			r.release(p.uid)
			return nil
		})
	case newest.ready:
		id := newest.id
		r.tear(p, func(ctx context.Context) error { return r.cri.StopPodSandbox(ctx, id) })
	}
}

// tear runs one step at a time that ends a part of the pod, and tries it again after a failure. It is
// called with the lock held.
func (r *Runtime) tear(p *pod, step func(ctx context.Context) error) {
	if p.tearing {
		return
	}
	p.tearing = true
	r.background(func(ctx context.Context) {
		err := step(ctx)
		again := func() {
			p.tearing = false
			r.advance(p)
		}
		if err == nil || gone(err) {
			r.mu.Lock()
			p.tearing = false
			r.mu.Unlock()
			r.refresh(ctx, p.uid) // advances
			r.mu.Lock()
			defer r.mu.Unlock()
			r.announce(p.uid)
			return
		}
		r.refresh(ctx, p.uid)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logFailure(err, "Ending a sandbox failed, retrying", p.uid)
		r.after(pause, again)
	})
}

// release removes what was prepared for an instance. After a failure, Sandboxes has the instance
// still, and the agent removes it again.
func (r *Runtime) release(uid types.UID) {
	if r.options.Provider == nil {
		return
	}
	if err := r.options.Provider.Release(uid); err != nil {
		r.logFailure(err, "Removing the volumes of an instance failed, retrying", uid)
	}
}

// remove removes sandboxes, their containers and their logs.
func (r *Runtime) remove(ctx context.Context, sandboxes []sandbox) error {
	for i := range sandboxes {
		s := &sandboxes[i]
		if err := r.cri.StopPodSandbox(ctx, s.id); err != nil && !gone(err) {
			return err
		}
		if err := r.cri.RemovePodSandbox(ctx, s.id); err != nil && !gone(err) {
			return err
		}
		// The annotation comes from the runtime, so a directory elsewhere is not removed.
		if s.logDir != "" && filepath.Base(s.logDir) == s.logDir {
			if err := os.RemoveAll(filepath.Join(r.options.LogDir, s.logDir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect removes the dead containers that are neither the newest nor the previous of their name, and
// sandboxes of earlier attempts without a container. It is called with the lock held.
func (r *Runtime) collect(p *pod) {
	if p.stopping || p.working || p.tearing {
		return
	}
	all := &runtime.Sandbox{}
	for _, c := range p.containers {
		all.Containers = append(all.Containers, c.Container)
	}
	var dead []string
	used := map[string]bool{}
	for id, c := range p.containers {
		newest, previous := all.Newest(c.Name)
		kept := newest.ID == id || previous != nil && previous.ID == id
		if !kept && c.state == criv1.ContainerState_CONTAINER_EXITED {
			dead = append(dead, id)
			continue
		}
		used[c.sandbox] = true
	}
	var old []string
	for i := range p.sandboxes {
		if s := &p.sandboxes[i]; i > 0 && !used[s.id] {
			old = append(old, s.id)
		}
	}
	if len(dead)+len(old) == 0 {
		return
	}
	logs := make([]string, 0, len(dead))
	for _, id := range dead {
		logs = append(logs, p.containers[id].LogPath)
	}
	r.tear(p, func(ctx context.Context) error { return r.removeDead(ctx, dead, logs, old) })
}

func (r *Runtime) removeDead(ctx context.Context, containers, logs, sandboxes []string) error {
	var errs []error
	failed := func(err error) {
		if err != nil && !gone(err) {
			errs = append(errs, err)
		}
	}
	for i, id := range containers {
		failed(r.cri.RemoveContainer(ctx, id))
		if within(r.options.LogDir, logs[i]) {
			removeLogs(logs[i])
		}
	}
	for _, id := range sandboxes {
		failed(r.cri.StopPodSandbox(ctx, id))
		failed(r.cri.RemovePodSandbox(ctx, id))
	}
	return errors.Join(errs...)
}
