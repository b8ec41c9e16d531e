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

package prober

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// attempts is how often a probe is tried that could not be carried out, as when the runtime does not
// answer. Such an outcome does not count.
const attempts = 3

// Target is a running container.
type Target struct {
	UID  types.UID
	Spec *v1alpha1.Container
	// ID changes with each attempt of the container.
	ID string
	// IP is the address of the instance.
	IP        string
	StartedAt time.Time
	// Before is the health that was last reported of this attempt; zero if none was.
	Before Result
}

// Prober probes the containers of a host.
type Prober struct {
	executor runtime.Executor
	// changed is called with the instance of a container whose result has changed. It does not block.
	changed func(uid types.UID)
	// second is the unit of the times of probes: a second, except in tests.
	second time.Duration
	ctx    context.Context

	mu      sync.Mutex
	watched map[types.UID]map[string]*watched
}

// watched is a container with the goroutines of its probes.
type watched struct {
	target Target
	*tracker
	stop context.CancelFunc
}

// New creates a prober without containers. Its probes end with the context.
func New(ctx context.Context, executor runtime.Executor, changed func(uid types.UID)) *Prober {
	return &Prober{executor: executor, changed: changed, second: time.Second, ctx: ctx, watched: map[types.UID]map[string]*watched{}}
}

// Probes reports whether a container has a probe.
func Probes(spec *v1alpha1.Container) bool {
	return spec.StartupProbe != nil || spec.LivenessProbe != nil || spec.ReadinessProbe != nil
}

// Watch probes these containers of an instance and no others.
func (p *Prober) Watch(uid types.UID, targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, kept := p.watched[uid], map[string]*watched{}
	for _, target := range targets {
		if w := old[target.Spec.Name]; w != nil && w.target.ID == target.ID && w.target.IP == target.IP {
			kept[target.Spec.Name] = w
			continue
		}
		kept[target.Spec.Name] = p.start(target)
	}
	for name, w := range old {
		if kept[name] != w {
			w.stop()
		}
	}
	if p.watched[uid] = kept; len(kept) == 0 {
		delete(p.watched, uid)
	}
}

// Result returns the health of a container; false if the attempt is not probed yet.
func (p *Prober) Result(uid types.UID, name, id string) (Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.watched[uid][name]; w != nil && w.target.ID == id {
		return w.result, true
	}
	return Result{}, false
}

// start begins to probe a container. It is called with the lock held.
func (p *Prober) start(target Target) *watched {
	ctx, stop := context.WithCancel(p.ctx)
	w := &watched{target: target, tracker: newTracker(target.Spec, target.Before), stop: stop}
	for k := range kinds {
		if w.specs[k] != nil {
			go p.repeat(ctx, w, k)
		}
	}
	return w
}

// repeat carries out one probe of a container until the context ends.
func (p *Prober) repeat(ctx context.Context, w *watched, k kind) {
	spec := w.specs[k]
	period := time.Duration(max(spec.PeriodSeconds, 1)) * p.second
	wait := time.Until(w.target.StartedAt.Add(time.Duration(spec.InitialDelaySeconds) * p.second))
	if wait <= -period {
		// After a restart of the agent, the probes of all containers would come at once.
		wait = rand.N(period)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(period)
		p.once(ctx, w, k)
	}
}

// once carries out a probe and records its outcome.
func (p *Prober) once(ctx context.Context, w *watched, k kind) {
	p.mu.Lock()
	due := w.due(k)
	p.mu.Unlock()
	if !due {
		return
	}
	timeout := time.Duration(max(w.specs[k].TimeoutSeconds, 1)) * p.second
	success, output, err := p.try(ctx, w, k, timeout)
	for i := 1; err != nil && i < attempts && ctx.Err() == nil; i++ {
		success, output, err = p.try(ctx, w, k, timeout)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Carrying out a probe failed", "uid", w.target.UID, "container", w.target.Spec.Name, "probe", k.String(), "err", err)
		return
	}
	p.mu.Lock()
	changed := w.record(k, success, output)
	p.mu.Unlock()
	if changed {
		klog.FromContext(ctx).V(2).Info("Health of a container changed", "uid", w.target.UID, "container", w.target.Spec.Name, "probe", k.String(), "success", success)
		p.changed(w.target.UID)
	}
}
