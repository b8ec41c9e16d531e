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

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

const (
	mostApps = 5
	// mostReplicas of all apps exceed the capacity of the hosts, and lastReplicas fit in any
	// placement.
	mostReplicas = 12
	lastReplicas = 3
	// beats is the maximum number of heartbeats of hosts between two acts.
	beats = 7
)

// act is one disturbance or change.
type act struct {
	what string
	// pause is the number of heartbeats to wait before the act.
	pause int
	do    func(context.Context, *env) error
}

// plannedApp is an app in its state at some point of the plan.
type plannedApp struct {
	shape   appShape
	version int
	bad     bool
	paused  bool
}

// planner creates a plan that depends only on the seed.
type planner struct {
	*rand.Rand
	acts []act
	apps []*plannedApp
	made int
	// ends has the acts for later points of the plan.
	ends     map[int][]func()
	cordoned []string
	down     map[int]bool
}

// plan returns count acts, and then the acts that let the system converge.
func plan(seed int64, count int) []act {
	p := &planner{Rand: rand.New(rand.NewPCG(uint64(seed), 0)), ends: map[int][]func(){}, down: map[int]bool{}}
	for len(p.acts) < 2 {
		p.createApp()
	}
	for at := len(p.acts); at < count; at++ {
		for _, end := range p.ends[at] {
			end()
		}
		switch {
		case at == crowdComes:
			p.crowd()
		case at == crowdGoes:
			p.disperse()
		case at%9 == 4:
			p.disturbReplica(at)
		case at%7 == 3:
			p.disturbHosts(at)
		default:
			p.changeApps()
		}
	}
	if count > crowdComes && count <= crowdGoes {
		p.disperse()
	}
	p.finish()
	return p.acts
}

// A crowd comes and goes with every seed: without it a run may have few bindings.
const (
	crowdComes, crowdGoes = 12, 28
	crowdSize             = 30
)

func (p *planner) crowd() {
	shape := appShape{name: "crowd", cpu: "10m", memory: "8Mi", surge: intstr.FromInt32(1), unavailable: intstr.FromInt32(0)}
	p.add(fmt.Sprintf("a crowd of %d comes", crowdSize), func(ctx context.Context, s *env) error {
		return s.createApp(ctx, shape, "crowd:v1", crowdSize)
	})
}

func (p *planner) disperse() {
	p.add("the crowd goes", func(ctx context.Context, s *env) error {
		return s.deleteApp(ctx, "crowd", metav1.DeletePropagationBackground)
	})
}

func (p *planner) add(what string, do func(context.Context, *env) error) {
	p.acts = append(p.acts, act{what, 1 + p.IntN(beats), do})
}

// later adds an act that ends an earlier one at a point of the plan. It returns that point.
func (p *planner) later(at, within int, what string, do func(context.Context, *env) error) int {
	at += 1 + p.IntN(within)
	p.ends[at] = append(p.ends[at], func() { p.acts = append(p.acts, act{what, 1, do}) })
	return at
}

// always wraps a function that cannot fail.
func always(do func(*env)) func(context.Context, *env) error {
	return func(_ context.Context, s *env) error {
		do(s)
		return nil
	}
}

func (p *planner) disturbReplica(at int) {
	i := p.IntN(replicas)
	switch episode := (at / 9) % 5; episode {
	case 0:
		p.add(fmt.Sprintf("replica %d is killed", i), always(func(s *env) { s.killReplica(i) }))
		p.later(at, 8, fmt.Sprintf("replica %d is started", i), always(func(s *env) { s.startReplica(i) }))
	case 1, 3:
		p.add(fmt.Sprintf("replica %d cannot reach the server", i), always(func(s *env) { s.disconnect(s.replicas[i]) }))
		p.later(at, 16/episode, fmt.Sprintf("replica %d can reach the server again", i), always(func(s *env) { s.repair(s.replicas[i]) }))
	case 2:
		p.add("both replicas are stopped", always(func(s *env) {
			for i := range replicas {
				s.endReplica(i)
			}
		}))
		for i := range replicas {
			p.later(at, 6, fmt.Sprintf("replica %d is started", i), always(func(s *env) { s.startReplica(i) }))
		}
	case 4:
		p.add("both replicas are stopped and started, one after the other", always(func(s *env) {
			for i := range replicas {
				s.endReplica(i)
				s.startReplica(i)
			}
		}))
	}
}

func (p *planner) disturbHosts(at int) {
	i := p.IntN(len(groups))
	prefix := groups[i].prefix
	// One group is always alive, because its heartbeats are the clock.
	if episode := p.IntN(5); episode < 3 && len(p.down) < len(groups)-1 && !p.down[i] {
		p.down[i] = true
		back := func(do func(context.Context, *env) error) {
			until := p.later(at, 14, prefix+"* are back", do)
			p.ends[until] = append(p.ends[until], func() { delete(p.down, i) })
		}
		start := func(_ context.Context, s *env) error { return s.startGroup(i) }
		switch episode {
		case 0:
			p.add(prefix+"* die", always(func(s *env) { s.endGroup(i) }))
			back(start)
		case 1:
			p.add(prefix+"* die, and are deleted", func(ctx context.Context, s *env) error { return s.loseGroup(ctx, i) })
			back(start)
		case 2:
			p.add(prefix+"* cannot reach the server", always(func(s *env) { s.disconnect(s.groups[i]) }))
			back(always(func(s *env) { s.repair(s.groups[i]) }))
		}
		return
	}
	names := hostNames(i)
	name := names[p.IntN(len(names))]
	switch p.IntN(3) {
	case 0:
		p.add(name+" is deleted, whatever its agent says", func(ctx context.Context, s *env) error { return s.deleteHost(ctx, name) })
	case 1:
		p.cordoned = append(p.cordoned, name)
		p.add(name+" is cordoned", func(ctx context.Context, s *env) error { return s.cordon(ctx, name, true) })
	case 2:
		p.add("all connections of "+prefix+"* break", always(func(s *env) {
			if s.groups[i] != nil {
				s.groups[i].transport.flicker()
			}
		}))
	}
}

// disconnect and repair skip a process that was killed meanwhile.
func (s *env) disconnect(p *process) {
	if p != nil {
		p.transport.disconnect()
	}
}

func (s *env) repair(p *process) {
	if p != nil {
		p.transport.repair()
	}
}

// choose returns one of its arguments, all with the same probability.
func choose[T any](p *planner, of ...T) T { return of[p.IntN(len(of))] }

func (p *planner) createApp() {
	p.made++
	a := &plannedApp{version: 1, shape: appShape{
		name: fmt.Sprintf("app-%d", p.made),
		cpu:  choose(p, "150m", "300m", "500m"), memory: choose(p, "64Mi", "128Mi", "256Mi"),
		recreate: p.IntN(4) == 0, minReady: choose(p, int32(0), 0, 1),
		surge: choose(p, intstr.FromInt32(1), intstr.FromString("50%")), unavailable: choose(p, intstr.FromInt32(0), intstr.FromInt32(1), intstr.FromString("40%")),
	}}
	p.apps = append(p.apps, a)
	replicas := int32(1 + p.IntN(mostReplicas))
	shape, image := a.shape, a.image()
	p.add(fmt.Sprintf("%s is created with %s and %d replicas", shape.name, image, replicas), func(ctx context.Context, s *env) error {
		return s.createApp(ctx, shape, image, replicas)
	})
}

func (a *plannedApp) image() string {
	image := fmt.Sprintf("%s:v%d", a.shape.name, a.version)
	if a.bad {
		// Simulated hosts cannot pull an image with :bad in its name.
		image = fmt.Sprintf("%s:bad%d", a.shape.name, a.version)
	}
	return image
}

func (p *planner) changeApps() {
	if len(p.apps) == 0 || len(p.apps) < mostApps && p.IntN(6) == 0 {
		p.createApp()
		return
	}
	i := p.IntN(len(p.apps))
	a := p.apps[i]
	name := a.shape.name
	switch x := p.IntN(20); {
	case x < 6:
		replicas := int32(p.IntN(mostReplicas + 1))
		p.add(fmt.Sprintf("%s is scaled to %d", name, replicas), func(ctx context.Context, s *env) error { return s.scaleApp(ctx, name, replicas) })
	case x < 11:
		p.update(a, p.IntN(4) == 0)
	case x < 13 && !a.paused:
		p.add(name+" is rolled back", func(ctx context.Context, s *env) error { return s.rollBack(ctx, name) })
	case x < 15:
		p.pauseApp(a, !a.paused)
	case x < 16:
		p.apps = slices.Delete(p.apps, i, i+1)
		how := choose(p, metav1.DeletePropagationBackground, metav1.DeletePropagationForeground)
		p.add(fmt.Sprintf("%s is deleted in the %s", name, how), func(ctx context.Context, s *env) error { return s.deleteApp(ctx, name, how) })
	default:
		at, options := p.Float64(), choose(p, metav1.DeleteOptions{}, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		p.add(fmt.Sprintf("an instance is deleted, at %.2f of them", at), func(ctx context.Context, s *env) error { return s.deleteInstance(ctx, at, options) })
	}
}

func (p *planner) update(a *plannedApp, bad bool) {
	a.version++
	a.bad = bad
	name, image := a.shape.name, a.image()
	p.add(fmt.Sprintf("%s gets image %s", name, image), func(ctx context.Context, s *env) error { return s.setImage(ctx, name, image) })
}

func (p *planner) pauseApp(a *plannedApp, paused bool) {
	a.paused = paused
	name := a.shape.name
	p.add(fmt.Sprintf("%s is paused: %t", name, paused), func(ctx context.Context, s *env) error {
		return s.patchApp(ctx, name, map[string]any{"paused": paused})
	})
}

// finish ends the faults, restores everything except for some hosts that are lost with
// all their instances, and sets apps to a size that fits.
func (p *planner) finish() {
	from := len(p.acts)
	defer func() {
		for i := range p.acts[from:] {
			p.acts[from+i].pause = 1
		}
	}()
	lost := len(groups) - 1
	p.add(groups[lost].prefix+"* die, and are deleted for ever", func(ctx context.Context, s *env) error { return s.loseGroup(ctx, lost) })
	p.add("the faults are over", always(func(s *env) { s.faults.stop() }))
	p.add("all replicas are back", always(func(s *env) {
		for i := range replicas {
			s.repair(s.replicas[i])
			s.startReplica(i)
		}
	}))
	for i := range groups[:lost] {
		p.add(groups[i].prefix+"* are back", func(_ context.Context, s *env) error {
			s.repair(s.groups[i])
			return s.startGroup(i)
		})
	}
	for _, name := range p.cordoned {
		p.add(name+" is uncordoned", func(ctx context.Context, s *env) error { return s.cordon(ctx, name, false) })
	}
	for _, a := range p.apps {
		p.update(a, false)
		p.pauseApp(a, false)
		replicas, name := int32(1+p.IntN(lastReplicas)), a.shape.name
		p.add(fmt.Sprintf("%s is scaled to %d", name, replicas), func(ctx context.Context, s *env) error { return s.scaleApp(ctx, name, replicas) })
	}
}
