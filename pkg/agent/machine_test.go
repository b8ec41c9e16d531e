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
	"fmt"
	"sync"
	"testing"
	"time"

	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	critesting "k8s.io/cri-api/pkg/apis/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

// fakeMachine is a machine with the official fake of a container runtime: it adds time, programs that
// exit or ignore SIGTERM, and reboots, and checks what every history must keep.
type fakeMachine struct {
	*critesting.FakeRuntimeService
	t     *testing.T
	clock *clocktesting.FakeClock
	done  chan struct{}

	mu sync.Mutex
	// down is set while the runtime does not answer; failing is the number of the call from now on that fails.
	down    bool
	failing int
	// stubborn programs ignore SIGTERM.
	stubborn bool
	// mayKill returns the time before which no container may be killed.
	mayKill func() time.Time
	// stops are the calls that wait for the end of a grace period; exits are closed at the end of a container.
	stops map[*waitingStop]bool
	exits map[string]chan struct{}
	// started counts the starts by container and attempt, and ended has the exit code of each.
	started map[string]int
	ended   map[string]int32
	// newest is the newest attempt that was started.
	newest int32
}

type waitingStop struct {
	id       string
	deadline time.Time
}

func newFakeMachine(t *testing.T, clock *clocktesting.FakeClock) *fakeMachine {
	m := &fakeMachine{
		FakeRuntimeService: critesting.NewFakeRuntimeService(), t: t, clock: clock, done: make(chan struct{}),
		stops: map[*waitingStop]bool{}, exits: map[string]chan struct{}{}, started: map[string]int{}, ended: map[string]int32{}, newest: -1,
		mayKill: func() time.Time { return time.Time{} },
	}
	t.Cleanup(func() { close(m.done) })
	return m
}

// connection is the connection of one process of the agent. It breaks when that is killed: after a number of
// calls, so that a kill can come between any two.
type connection struct {
	*fakeMachine
	mu    sync.Mutex
	left  int // -1 for no limit
	ended chan struct{}
}

func (m *fakeMachine) connect() *connection {
	return &connection{fakeMachine: m, left: -1, ended: make(chan struct{})}
}

// kill lets the connection break after more calls.
func (c *connection) kill(after int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = after
	if after == 0 {
		close(c.ended)
	}
}

var errDown = errors.New("connection refused")

// enter counts a call. The call of a killed process never returns.
func (c *connection) enter() error {
	c.mu.Lock()
	switch {
	case c.left == 0:
		c.mu.Unlock()
		<-c.done
		return errDown
	case c.left > 0:
		if c.left--; c.left == 0 {
			close(c.ended)
		}
	}
	c.mu.Unlock()
	c.fakeMachine.mu.Lock()
	defer c.fakeMachine.mu.Unlock()
	if c.failing > 0 {
		if c.failing--; c.failing == 0 {
			return errDown
		}
	}
	if c.down {
		return errDown
	}
	return nil
}

func (c *connection) ListPodSandbox(ctx context.Context, f *criv1.PodSandboxFilter) ([]*criv1.PodSandbox, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	return c.FakeRuntimeService.ListPodSandbox(ctx, f)
}

func (c *connection) ListContainers(ctx context.Context, f *criv1.ContainerFilter) ([]*criv1.Container, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	return c.FakeRuntimeService.ListContainers(ctx, f)
}

func (c *connection) RunPodSandbox(ctx context.Context, config *criv1.PodSandboxConfig, handler string) (string, error) {
	if err := c.enter(); err != nil {
		return "", err
	}
	return c.FakeRuntimeService.RunPodSandbox(ctx, config, handler)
}

func (c *connection) CreateContainer(ctx context.Context, id string, config *criv1.ContainerConfig, sandbox *criv1.PodSandboxConfig) (string, error) {
	if err := c.enter(); err != nil {
		return "", err
	}
	return c.FakeRuntimeService.CreateContainer(ctx, id, config, sandbox)
}

// attempt returns the key of the attempt of a container.
func attemptOf(c *critesting.FakeContainer) string {
	return fmt.Sprint(c.Metadata.Name, "/", c.Metadata.Attempt)
}

func (c *connection) StartContainer(ctx context.Context, id string) error {
	if err := c.enter(); err != nil {
		return err
	}
	if err := c.FakeRuntimeService.StartContainer(ctx, id); err != nil {
		return err
	}
	m := c.fakeMachine
	m.Lock()
	defer m.Unlock()
	started := m.Containers[id]
	started.StartedAt = m.clock.Now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exits[id] = make(chan struct{})
	m.newest = max(m.newest, int32(started.Metadata.Attempt))
	if m.started[attemptOf(started)]++; m.started[attemptOf(started)] > 1 {
		m.t.Errorf("attempt %s is started again", attemptOf(started))
	}
	for other, running := range m.Containers {
		if other != id && running.Metadata.Name == started.Metadata.Name && running.State == criv1.ContainerState_CONTAINER_RUNNING {
			m.t.Errorf("%s is started while %s runs", attemptOf(started), attemptOf(running))
		}
	}
	return nil
}

// exit ends a running container.
func (m *fakeMachine) exit(id string, code int32, reason string) {
	m.Lock()
	defer m.Unlock()
	c := m.Containers[id]
	if c == nil || c.State != criv1.ContainerState_CONTAINER_RUNNING {
		return
	}
	c.State, c.ExitCode, c.Reason, c.FinishedAt = criv1.ContainerState_CONTAINER_EXITED, code, reason, m.clock.Now().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[attemptOf(c)] = code
	close(m.exits[id])
}

// running returns the IDs of the running containers.
func (m *fakeMachine) running() (ids []string) {
	m.Lock()
	defer m.Unlock()
	for id, c := range m.Containers {
		if c.State == criv1.ContainerState_CONTAINER_RUNNING {
			ids = append(ids, id)
		}
	}
	return ids
}

// reboot ends everything, as a power failure.
func (m *fakeMachine) reboot() {
	for _, id := range m.running() {
		m.exit(id, 255, "Unknown")
	}
	m.Lock()
	defer m.Unlock()
	for _, s := range m.Sandboxes {
		s.State = criv1.PodSandboxState_SANDBOX_NOTREADY
	}
}

func (c *connection) StopContainer(_ context.Context, id string, seconds int64) error {
	if err := c.enter(); err != nil {
		return err
	}
	m := c.fakeMachine
	m.mu.Lock()
	exited, stop := m.exits[id], &waitingStop{id: id, deadline: m.clock.Now().Add(time.Duration(seconds) * time.Second)}
	stubborn := m.stubborn
	if exited != nil {
		m.stops[stop] = true
	}
	m.mu.Unlock()
	if exited == nil {
		return nil
	}
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.stops, stop)
	}()
	if !stubborn {
		m.exit(id, 0, "Completed")
		return nil
	}
	select {
	case <-exited:
		return nil
	case <-c.ended: // the process that waited was killed
		<-c.done
		return errDown
	case <-m.clock.After(time.Until(time.Now()) + stop.deadline.Sub(m.clock.Now())):
	}
	if now := m.clock.Now(); now.Before(m.mayKill()) {
		m.t.Errorf("container %s is killed at %s, before the end of its grace period at %s", id, now.Format(time.TimeOnly), m.mayKill().Format(time.TimeOnly))
	}
	m.exit(id, 137, "Error")
	return nil
}

// waiting returns the number of calls that wait for the clock.
func (m *fakeMachine) waiting() (n int) {
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for stop := range m.stops {
		select {
		case <-m.exits[stop.id]:
		default:
			if stop.deadline.After(now) {
				n++
			}
		}
	}
	return n
}

func (c *connection) StopPodSandbox(ctx context.Context, id string) error {
	if err := c.enter(); err != nil {
		return err
	}
	c.noneRunsIn(id, "stopped")
	return c.FakeRuntimeService.StopPodSandbox(ctx, id)
}

func (c *connection) RemovePodSandbox(ctx context.Context, id string) error {
	if err := c.enter(); err != nil {
		return err
	}
	c.noneRunsIn(id, "removed")
	c.Lock()
	for other, container := range c.Containers {
		if container.SandboxID == id {
			delete(c.Containers, other)
		}
	}
	c.Unlock()
	return c.FakeRuntimeService.RemovePodSandbox(ctx, id)
}

// noneRunsIn checks that a sandbox is ended after its containers: a runtime kills them without
// grace.
func (c *connection) noneRunsIn(id, what string) {
	c.Lock()
	defer c.Unlock()
	for _, container := range c.Containers {
		if container.SandboxID == id && container.State == criv1.ContainerState_CONTAINER_RUNNING {
			c.t.Errorf("the sandbox %s is %s while %s runs", id, what, attemptOf(container))
		}
	}
}

func (c *connection) RemoveContainer(ctx context.Context, id string) error {
	if err := c.enter(); err != nil {
		return err
	}
	c.Lock()
	if container := c.Containers[id]; container != nil && container.State == criv1.ContainerState_CONTAINER_RUNNING {
		c.t.Errorf("container %s is removed while it runs", attemptOf(container))
	}
	c.Unlock()
	return c.FakeRuntimeService.RemoveContainer(ctx, id)
}
