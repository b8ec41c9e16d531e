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
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Reasons of containers that the runtime cannot create.
const (
	reasonSandbox = "CreateSandboxError"
	reasonCreate  = "CreateContainerError"
	reasonConfig  = "CreateContainerConfigError"
)

// order is the start of a container, or only of the sandbox if spec is nil.
type order struct {
	instance *v1alpha1.Instance
	spec     *v1alpha1.Container
	attempt  int32
}

// trouble is a failed try to start an attempt of a container.
type trouble struct {
	runtime.WaitingError
	attempt  int32
	failures int32
	until    time.Time
}

// order returns the pending start of an attempt; nil if there is none.
func (p *pod) order(name string, attempt int32) *order {
	for _, o := range p.orders {
		if o.spec != nil && o.spec.Name == name && o.attempt == attempt {
			return o
		}
	}
	return nil
}

// RunSandbox implements runtime.Runtime.
func (r *Runtime) RunSandbox(_ context.Context, instance *v1alpha1.Instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[instance.UID]
	if p == nil {
		p = r.newPod(instance.UID)
	}
	if !p.working && !p.stopping && p.troubles[""] == nil {
		p.orders = append(p.orders, &order{instance: instance})
		r.work(p)
	}
	return nil
}

// StartContainer implements runtime.Runtime.
func (r *Runtime) StartContainer(_ context.Context, instance *v1alpha1.Instance, spec *v1alpha1.Container, attempt int32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[instance.UID]
	if p == nil {
		p = r.newPod(instance.UID)
	}
	switch {
	case p.stopping:
		return errStopping
	case p.unknown != nil:
		return p.unknown
	case p.order(spec.Name, attempt) != nil:
		return nil
	}
	now := r.clock.Now()
	for _, name := range []string{"", spec.Name} {
		if t := p.troubles[name]; t != nil && now.Before(t.until) && (name == "" || t.attempt == attempt) {
			return &t.WaitingError
		}
	}
	for _, c := range p.containers {
		switch {
		case c.Name != spec.Name || c.state == criv1.ContainerState_CONTAINER_CREATED:
		case c.State == runtime.ContainerRunning:
			return fmt.Errorf("container %s runs already, in attempt %d", spec.Name, c.Attempt)
		case c.Attempt >= attempt:
			return fmt.Errorf("container %s has attempt %d already", spec.Name, c.Attempt)
		}
	}
	p.orders = append(p.orders, &order{instance: instance, spec: spec, attempt: attempt})
	r.work(p)
	return nil
}

// work carries out the orders of a pod in a goroutine, one after the other. It is called with the
// lock held.
func (r *Runtime) work(p *pod) {
	if p.working {
		return
	}
	p.working = true
	r.background(func(ctx context.Context) {
		for {
			r.mu.Lock()
			if p.stopping {
				p.orders = nil
			}
			if len(p.orders) == 0 {
				p.working = false
				r.mu.Unlock()
				// What was last created may have to be stopped.
				r.refresh(ctx, p.uid)
				return
			}
			o := p.orders[0]
			r.mu.Unlock()
			r.starting <- struct{}{}
			failure := r.carryOut(ctx, p, o)
			<-r.starting
			// The effect is read before the order is dropped, so that the container is visible all the time.
			r.refresh(ctx, p.uid)
			r.mu.Lock()
			p.orders = slices.DeleteFunc(p.orders, func(other *order) bool { return other == o })
			r.settle(p, o, failure)
			r.announce(p.uid)
			r.mu.Unlock()
		}
	})
}

// settle records the result of an order. It is called with the lock held.
func (r *Runtime) settle(p *pod, o *order, failure *trouble) {
	name := ""
	if o.spec != nil {
		name = o.spec.Name
	}
	if failure == nil {
		delete(p.troubles, "")
		delete(p.troubles, name)
		return
	}
	if p.stopping {
		return
	}
	if failure.Reason == reasonSandbox {
		name, p.orders = "", nil
	}
	failure.attempt = o.attempt
	if last := p.troubles[name]; last != nil {
		failure.failures = last.failures + 1
	}
	delay := doubled(failure.failures)
	if failure.Reason == reasonConfig {
		delay = FirstBackOff // an object may be created at any time
	}
	failure.until = r.clock.Now().Add(delay)
	p.troubles[name] = failure
	r.logFailure(failure, "Starting a container failed, retrying", p.uid)
	r.after(delay, func() { r.announce(p.uid) })
}

// carryOut creates the sandbox if there is none that is ready, and creates and starts the
// container.
func (r *Runtime) carryOut(ctx context.Context, p *pod, o *order) *trouble {
	failed := func(reason string, err error) *trouble {
		return &trouble{WaitingError: runtime.WaitingError{Reason: reason, Err: fmt.Errorf("%s", text(err))}}
	}
	id, config, err := r.ensureSandbox(ctx, p, o.instance)
	if err != nil {
		return failed(reasonSandbox, err)
	}
	if o.spec == nil {
		return nil
	}
	failures, stale, unknown := r.earlier(p, o)
	for _, old := range unknown {
		if err := r.cri.StopContainer(ctx, old, 0); err != nil && !gone(err) {
			return failed(reasonCreate, err)
		}
	}
	for _, old := range stale {
		if err := r.cri.RemoveContainer(ctx, old); err != nil && !gone(err) {
			return failed(reasonCreate, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(config.LogDirectory, o.spec.Name), 0o700); err != nil {
		return failed(reasonCreate, err)
	}
	security, err := r.security(ctx, o.instance, o.spec)
	if err != nil {
		return failed(reasonConfig, err)
	}
	provided, err := r.provide(ctx, o)
	if err != nil {
		return failed(reasonConfig, err)
	}
	own := r.containerConfig(o, failures, security)
	addProvision(own, provided)
	created, err := r.cri.CreateContainer(ctx, id, own, config)
	if err != nil {
		return failed(reasonCreate, err)
	}
	r.mu.Lock()
	stopping := p.stopping
	r.mu.Unlock()
	if stopping {
		return nil // the container is removed with the rest
	}
	if err := r.cri.StartContainer(ctx, created); err != nil {
		return failed("RunContainerError", err)
	}
	return nil
}

// earlier returns the number of consecutive failures before an attempt, the containers of the same
// name that were never started, which it replaces, and those whose state is unknown.
func (r *Runtime) earlier(p *pod, o *order) (failures int32, stale, unknown []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last *container
	for id, c := range p.containers {
		switch {
		case c.Name != o.spec.Name:
			continue
		case c.state == criv1.ContainerState_CONTAINER_CREATED:
			stale = append(stale, id)
			continue
		case c.state == criv1.ContainerState_CONTAINER_UNKNOWN:
			unknown = append(unknown, id)
		}
		if last == nil || c.Attempt > last.Attempt {
			last = c
		}
	}
	if last != nil && last.Image == o.spec.Image && last.FinishedAt.Sub(last.StartedAt) < longRun {
		failures = last.Failures + 1
	}
	return failures, stale, unknown
}

// ensureSandbox returns the newest sandbox, or creates one if it is not ready.
func (r *Runtime) ensureSandbox(ctx context.Context, p *pod, instance *v1alpha1.Instance) (string, *criv1.PodSandboxConfig, error) {
	r.mu.Lock()
	newest, attempt := p.newest(), uint32(0)
	if newest != nil {
		attempt = newest.attempt
	}
	config := r.sandboxConfig(instance, attempt)
	if newest != nil && newest.ready {
		id := newest.id
		r.mu.Unlock()
		return id, config, nil
	}
	if newest != nil {
		config.Metadata.Attempt++
	}
	r.mu.Unlock()
	if err := os.MkdirAll(config.LogDirectory, 0o700); err != nil {
		return "", nil, err
	}
	id, err := r.cri.RunPodSandbox(ctx, config, "")
	if err != nil {
		return "", nil, err
	}
	r.refresh(ctx, p.uid)
	return id, config, nil
}
