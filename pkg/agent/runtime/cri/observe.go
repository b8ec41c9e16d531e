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
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

// pod has the sandboxes and containers of one instance, as last read, and the pending operations.
type pod struct {
	uid types.UID
	// sandboxes are in the order of their attempts, the newest first.
	sandboxes []sandbox
	// containers are by their ID.
	containers map[string]*container
	// read is the number of the read that they are from; unknown is the error of a later read that
	// followed an operation, so that its effect is not known.
	read    uint64
	unknown error

	// working is set while a goroutine starts containers, those of orders.
	working bool
	orders  []*order
	// troubles are the failed tries to start, by container.
	troubles map[string]*trouble

	// stopping is set by StopSandbox and RemoveSandbox; all ends by killAt.
	stopping bool
	killAt   time.Time
	// removing is set by RemoveSandbox, and tearing while a goroutine stops or removes sandboxes.
	removing, tearing bool
	// stops are the ends of the grace periods of containers that are being stopped, by ID.
	stops map[string]time.Time
}

type sandbox struct {
	id      string
	attempt uint32
	ready   bool
	ip      string
	logDir  string
	grace   time.Duration
}

type container struct {
	runtime.Container
	sandbox string
	state   criv1.ContainerState
}

// newPod is called with the lock held.
func (r *Runtime) newPod(uid types.UID) *pod {
	p := &pod{uid: uid, containers: map[string]*container{}, troubles: map[string]*trouble{}, stops: map[string]time.Time{}}
	r.pods[uid] = p
	return p
}

// newest returns the newest sandbox; nil if there is none.
func (p *pod) newest() *sandbox {
	if len(p.sandboxes) == 0 {
		return nil
	}
	return &p.sandboxes[0]
}

// report describes a pod: the containers of all its sandboxes, and those that are about to start. A
// container that was created and is not about to start is left out: it was left by an earlier process of the
// agent, and the next start replaces it. It returns nil if nothing is left. It is called with the
// lock held.
func (r *Runtime) report(p *pod) *runtime.Sandbox {
	newest := p.newest()
	if newest == nil && !p.working {
		return nil
	}
	out := &runtime.Sandbox{Stopping: p.stopping}
	if newest != nil {
		out.IP = newest.ip
		out.Failed = !newest.ready && !p.working && !p.stopping
	}
	for _, c := range p.containers {
		if c.state != criv1.ContainerState_CONTAINER_CREATED && p.order(c.Name, c.Attempt) == nil {
			reported := c.Container
			reported.ID = r.name + "://" + c.ID
			out.Containers = append(out.Containers, reported)
		}
	}
	for _, o := range p.orders {
		if o.spec != nil {
			out.Containers = append(out.Containers, runtime.Container{Name: o.spec.Name, Attempt: o.attempt, Image: o.spec.Image, State: runtime.ContainerCreated})
		}
	}
	return out
}

// labels selects the sandboxes and containers of a host, or of one of its instances.
func labels(host string, uid types.UID) map[string]string {
	selector := map[string]string{hostLabel: host}
	if uid != "" {
		selector[uidLabel] = string(uid)
	}
	return selector
}

// list reads the sandboxes and containers of one instance, or of all if uid is empty. It fetches the
// details of those that have changed since known.
func (r *Runtime) list(ctx context.Context, uid types.UID) (map[types.UID]*pod, error) {
	ctx = quiet(ctx)
	selector := labels(r.options.HostName, uid)
	sandboxes, err := r.cri.ListPodSandbox(ctx, &criv1.PodSandboxFilter{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	containers, err := r.cri.ListContainers(ctx, &criv1.ContainerFilter{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	found := map[types.UID]*pod{}
	get := func(labels map[string]string) *pod {
		uid := types.UID(labels[uidLabel])
		if found[uid] == nil {
			found[uid] = &pod{uid: uid, containers: map[string]*container{}}
		}
		return found[uid]
	}
	for _, listed := range sandboxes {
		p := get(listed.Labels)
		s, err := r.readSandbox(ctx, p.uid, listed)
		if err != nil && !gone(err) {
			return nil, err
		}
		if err == nil {
			p.sandboxes = append(p.sandboxes, s)
		}
	}
	for _, listed := range containers {
		p := get(listed.Labels)
		c, err := r.readContainer(ctx, p.uid, listed)
		if err != nil && !gone(err) {
			return nil, err
		}
		if err == nil {
			p.containers[listed.Id] = c
		}
	}
	for _, p := range found {
		slices.SortFunc(p.sandboxes, func(a, b sandbox) int { return int(b.attempt) - int(a.attempt) })
	}
	return found, nil
}

// readSandbox returns a listed sandbox. Its address is read once.
func (r *Runtime) readSandbox(ctx context.Context, uid types.UID, listed *criv1.PodSandbox) (sandbox, error) {
	seconds, _ := strconv.ParseInt(listed.Annotations[graceAnnotation], 10, 64)
	s := sandbox{
		id: listed.Id, attempt: listed.GetMetadata().GetAttempt(), ready: listed.State == criv1.PodSandboxState_SANDBOX_READY,
		logDir: listed.Annotations[logDirAnnotation], grace: time.Duration(seconds) * time.Second,
	}
	r.mu.Lock()
	if p := r.pods[uid]; p != nil {
		for i := range p.sandboxes {
			if p.sandboxes[i].id == s.id {
				s.ip = p.sandboxes[i].ip
			}
		}
	}
	r.mu.Unlock()
	if s.ip != "" || !s.ready {
		return s, nil
	}
	response, err := r.cri.PodSandboxStatus(ctx, s.id, false)
	if err != nil {
		return s, err
	}
	s.ip = response.GetStatus().GetNetwork().GetIp()
	return s, nil
}

// readContainer returns a listed container. Its details are read once in each state.
func (r *Runtime) readContainer(ctx context.Context, uid types.UID, listed *criv1.Container) (*container, error) {
	r.mu.Lock()
	p, known := r.pods[uid], (*container)(nil)
	if p != nil {
		known = p.containers[listed.Id]
	}
	r.mu.Unlock()
	if known != nil && known.state == listed.State {
		return known, nil
	}
	response, err := r.cri.ContainerStatus(ctx, listed.Id, false)
	if err != nil {
		return nil, err
	}
	status := response.GetStatus()
	failures, _ := strconv.ParseInt(listed.Annotations[failuresAnnotation], 10, 32)
	c := &container{sandbox: listed.PodSandboxId, state: status.GetState(), Container: runtime.Container{
		Name: listed.Labels[containerLabel], Attempt: int32(listed.GetMetadata().GetAttempt()), Failures: int32(failures),
		ID: listed.Id, Image: listed.Annotations[imageAnnotation], ImageID: status.GetImageRef(), LogPath: status.GetLogPath(),
		StartedAt: timeOf(status.GetStartedAt()),
	}}
	switch status.GetState() {
	case criv1.ContainerState_CONTAINER_CREATED:
		c.State = runtime.ContainerCreated
	case criv1.ContainerState_CONTAINER_RUNNING:
		c.State = runtime.ContainerRunning
	default:
		// The runtime does not know what became of a container in the state unknown: it is stopped before
		// the next attempt.
		c.State, c.FinishedAt = runtime.ContainerExited, timeOf(status.GetFinishedAt())
		if c.FinishedAt.IsZero() {
			c.FinishedAt = r.clock.Now()
		}
		if c.StartedAt.IsZero() {
			c.StartedAt = c.FinishedAt
		}
		c.ExitCode, c.Reason, c.Message = status.GetExitCode(), status.GetReason(), status.GetMessage()
		describeEnd(c)
	}
	return c, nil
}

// describeEnd completes the end of a container, for runtimes that leave the reason out.
func describeEnd(c *container) {
	if c.state == criv1.ContainerState_CONTAINER_UNKNOWN {
		c.ExitCode, c.Reason = exitUnknown, reasonUnknown
	}
	switch {
	case c.Reason != "":
	case c.ExitCode == 0:
		c.Reason = "Completed"
	default:
		c.Reason = "Error"
	}
}

// exitUnknown and reasonUnknown are the end of a container whose end the runtime has missed.
const (
	exitUnknown   = 255
	reasonUnknown = "Unknown"
)

// timeOf returns a time in nanoseconds since 1970; zero for none.
func timeOf(nanoseconds int64) time.Time {
	if nanoseconds <= 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

// number returns the number of a read that begins now.
func (r *Runtime) number() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	return r.reads
}

// refresh reads one instance. After a failure its state is unknown until it was read.
func (r *Runtime) refresh(ctx context.Context, uid types.UID) {
	read := r.number()
	found, err := r.list(ctx, uid)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[uid]
	if err != nil {
		if p != nil && p.read < read {
			p.read, p.unknown = read, unavailable(err)
		}
		return
	}
	r.apply(uid, found[uid], read)
}

// relist reads all instances.
func (r *Runtime) relist(ctx context.Context) {
	read := r.number()
	found, err := r.list(ctx, "")
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return // the error is that of the context
	}
	if err != nil {
		if r.down == nil {
			r.logFailure(err, "Listing sandboxes failed, retrying", "")
		}
		r.down = unavailable(err)
		return
	}
	recovered := errors.Is(r.down, runtime.ErrUnavailable) || !r.listed
	r.listed, r.down = true, nil
	for uid := range r.pods {
		if found[uid] == nil {
			found[uid] = nil
		}
	}
	for uid, p := range found {
		r.apply(uid, p, read)
	}
	if recovered && r.changed != nil {
		r.changed("")
	}
}

// apply stores what a read has found of an instance, announces a change, and continues what waits for
// it. It is called with the lock held.
func (r *Runtime) apply(uid types.UID, found *pod, read uint64) {
	p := r.pods[uid]
	if p == nil {
		if found == nil {
			return
		}
		p = r.newPod(uid)
	}
	if p.read > read {
		return
	}
	if found == nil {
		found = &pod{}
	}
	change := p.unknown != nil || !slices.Equal(p.sandboxes, found.sandboxes) || len(p.containers) != len(found.containers)
	for id, c := range found.containers {
		change = change || p.containers[id] != c
	}
	p.read, p.unknown, p.sandboxes, p.containers = read, nil, found.sandboxes, found.containers
	if p.containers == nil {
		p.containers = map[string]*container{}
	}
	r.advance(p)
	r.collect(p)
	if len(p.sandboxes) == 0 && len(p.containers) == 0 && !p.working && !p.tearing && len(p.orders) == 0 && len(p.troubles) == 0 {
		delete(r.pods, uid)
		r.forgetPulls(uid)
	}
	if change {
		r.announce(uid)
	}
}
