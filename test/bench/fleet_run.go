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

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// fleetRun is a server with its controllers and hosts, each a process, and the watches of the load
// generator.
type fleetRun struct {
	server                 *server
	controllers, simulator *program
	admin                  rest.Interface
	client                 versioned.Interface

	hosts     *seen[*fleet.Host]
	ready     int
	apps      *seen[*fleet.App]
	instances *instanceCounts
	stop      func()
}

func (b *fleetBench) startFleet(ctx context.Context, dir string) (f *fleetRun, err error) {
	f = &fleetRun{stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.server, err = b.startServer(ctx, dir, clusterControllers()); err != nil {
		return f, err
	}
	if _, err := f.server.waitReady(ctx); err != nil {
		return f, err
	}
	config, err := f.server.restConfig()
	if err != nil {
		return f, err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return f, err
	}
	f.admin = admin.Discovery().RESTClient()
	if config, err = b.userConfig(ctx, f.server); err != nil {
		return f, err
	}
	if f.client, err = versioned.NewForConfig(config); err != nil {
		return f, err
	}
	f.watch(ctx)
	f.controllers, err = start(ctx, "gatehouse controllers", nil, b.gatehouse, "controllers", "--kubeconfig", f.server.kubeconfig(), "--leader-elect-resource-namespace", namespace)
	return f, err
}

// watch begins to watch hosts, apps and instances, one watch each.
func (f *fleetRun) watch(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	f.stop = func() { cancel(); watching.Wait() }
	f.hosts = newSeen(func(old, now *fleet.Host) { f.ready += readiness(now) - readiness(old) })
	f.apps = newSeen(func(*fleet.App, *fleet.App) {})
	f.instances = countInstances()
	api := f.client.FleetV1alpha1()
	watching.Go(func() { follow(ctx, f.hosts, &fleet.Host{}, source[*fleet.HostList]{api.Hosts()}) })
	watching.Go(func() { follow(ctx, f.apps, &fleet.App{}, source[*fleet.AppList]{api.Apps(namespace)}) })
	watching.Go(func() {
		follow(ctx, f.instances, &fleet.Instance{}, source[*fleet.InstanceList]{api.Instances(namespace)})
	})
}

func readiness(host *fleet.Host) int {
	if host != nil && meta.IsStatusConditionTrue(host.Status.Conditions, fleet.HostConditionReady) {
		return 1
	}
	return 0
}

func (f *fleetRun) close() error {
	f.stop()
	var errs []error
	for _, p := range []*program{f.simulator, f.controllers} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	if f.server != nil {
		errs = append(errs, f.server.stop())
	}
	return errors.Join(errs...)
}

// said returns the last output of the programs, for a step that failed.
func (f *fleetRun) said() string {
	var b strings.Builder
	for _, p := range []*program{f.server.program, f.controllers, f.simulator} {
		if p != nil {
			said := p.said()
			fmt.Fprintf(&b, "\n%s said:\n%s", p.name, said[max(0, len(said)-2000):])
		}
	}
	return b.String()
}

// now reads all counters.
func (f *fleetRun) now(ctx context.Context) (m moment, err error) {
	if m.counters, err = readCounters(ctx, f.admin); err != nil {
		return m, err
	}
	for _, of := range []struct {
		program *program
		cpu     *time.Duration
		memory  *memoryUse
	}{
		{f.server.program, &m.cpu.server, &m.memory.server},
		{f.controllers, &m.cpu.controllers, &m.memory.controllers},
		{f.simulator, &m.cpu.simulator, &m.memory.simulator},
	} {
		if of.program == nil {
			continue
		}
		var cpuErr, memoryErr error
		*of.cpu, cpuErr = cpuTime(of.program.pid())
		*of.memory, memoryErr = memoryOf(of.program.pid())
		if err := errors.Join(cpuErr, memoryErr); err != nil {
			return m, fmt.Errorf("%s: %w", of.program.name, err)
		}
	}
	m.at = time.Now()
	return m, nil
}

// measure returns the period of a function. Its duration excludes the reading of the counters.
func (f *fleetRun) measure(ctx context.Context, do func() error) (p period, err error) {
	before, err := f.now(ctx)
	if err != nil {
		return p, err
	}
	if err := do(); err != nil {
		return p, err
	}
	took := time.Since(before.at)
	after, err := f.now(ctx)
	p = after.since(before)
	p.took = took
	return p, err
}

// register starts the hosts and waits until all are ready.
func (b *fleetBench) register(ctx context.Context, f *fleetRun, r *fleetResult) (err error) {
	if r.before, err = f.now(ctx); err != nil {
		return err
	}
	r.register, err = f.measure(ctx, func() error {
		f.simulator, err = start(ctx, "gatehouse simulate-hosts", nil, b.gatehouse, "simulate-hosts", "--data-dir", f.server.dir,
			"--count", strconv.Itoa(b.hosts), "--instances", strconv.Itoa(b.slots()),
			"--cpu", fmt.Sprintf("%dm", milliCPU*b.slots()), "--memory", fmt.Sprintf("%dMi", mebibyte*b.slots()))
		if err != nil {
			return err
		}
		return f.hosts.until(ctx, b.timeout, "all hosts ready", func() bool { return f.ready == b.hosts }, func() string {
			return fmt.Sprintf("%d of %d", f.ready, b.hosts)
		})
	})
	return err
}

// create applies the apps and waits until all their instances run.
func (b *fleetBench) create(ctx context.Context, f *fleetRun, r *fleetResult) (err error) {
	var began time.Time
	r.create, err = f.measure(ctx, func() error {
		began = time.Now()
		for i, size := range b.sizes() {
			if _, err := f.client.FleetV1alpha1().Apps(namespace).Create(ctx, newApp(appName(i), size), metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return f.instances.waitRunning(ctx, b.timeout, b.instances)
	})
	if err != nil {
		return err
	}
	times := f.instances.bindings()
	r.lastBound = times[len(times)-1].Sub(began)
	r.bindsPerSecond, r.bestBinds = rates(times, bindWindow)
	_, err = f.untilQuiet(ctx)
	return err
}

// bindWindow is the time over which the best rate of binding is taken.
const bindWindow = 10 * time.Second

func appName(i int) string { return nameOf("app", i) }

// newApp returns an app with the instances of the other measurements, but for any host.
func newApp(name string, replicas int) *fleet.App {
	labels := map[string]string{"app": name}
	spec := newFleetInstance(name).Spec
	return &fleet.App{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: fleet.AppSpec{
			Replicas: ptr.To(int32(replicas)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: fleet.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// newFleetInstance returns an instance that fits on every host within the size that hosts are made for.
func newFleetInstance(name string) *fleet.Instance {
	instance := newInstance(name)
	instance.Spec.HostSelector = nil
	instance.Spec.Containers[0].Resources.Requests = fleet.ResourceList{
		fleet.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI), fleet.ResourceMemory: *resource.NewQuantity(mebibyte<<20, resource.BinarySI),
	}
	return instance
}

// rollOut sets a new image in the first app and waits until its status is complete.
func (b *fleetBench) rollOut(ctx context.Context, f *fleetRun, r *fleetResult) (err error) {
	r.rollout, err = f.measure(ctx, func() error {
		const patch = `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.com/shop/checkout:2.14.4"}]`
		app, err := f.client.FleetV1alpha1().Apps(namespace).Patch(ctx, appName(0), types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			return err
		}
		now := func() *fleet.App { return f.apps.objects[keyOf(app)] }
		return f.apps.until(ctx, b.timeout, "rolled out", func() bool { return rolledOut(now(), app.Generation) }, func() string {
			return fmt.Sprintf("status %+v", now().Status)
		})
	})
	if err != nil {
		return err
	}
	r.settle, err = f.untilQuiet(ctx)
	return err
}

// rolledOut reports whether the status has observed the generation, and all replicas are new and
// available, with no old ones left.
func rolledOut(app *fleet.App, generation int64) bool {
	wanted, s := *app.Spec.Replicas, app.Status
	return s.ObservedGeneration >= generation && s.UpdatedReplicas == wanted && s.Replicas == wanted && s.AvailableReplicas == wanted
}

const (
	// quietLook is the interval of checks for writes.
	quietLook = 2 * time.Second
	// quietAfter is the number of consecutive checks without a write.
	quietAfter = 2
)

// untilQuiet waits until only leases are written: events are sent late, and instances
// take a while to stop.
func (f *fleetRun) untilQuiet(ctx context.Context) (p period, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return f.measure(ctx, func() error {
		last, err := readCounters(ctx, f.admin)
		for quiet := 0; err == nil && quiet < quietAfter; {
			if err := sleep(ctx, quietLook); err != nil {
				return fmt.Errorf("something is still written: %w", err)
			}
			var now counters
			if now, err = readCounters(ctx, f.admin); err == nil {
				quiet++
				if now.writes() != last.writes() {
					quiet = 0
				}
				last = now
			}
		}
		return err
	})
}

// restAwhile measures the cost of an idle fleet.
func (b *fleetBench) restAwhile(ctx context.Context, f *fleetRun, r *fleetResult) (err error) {
	r.rest, err = f.measure(ctx, func() error { return sleep(ctx, b.rest) })
	return err
}

// scheduler creates instances without a scheduler, then starts one: first with the
// agents, which report the status of their instances, then without.
func (b *fleetBench) scheduler(ctx context.Context, f *fleetRun, r *fleetResult) error {
	if b.direct == 0 {
		return nil
	}
	for _, c := range []struct {
		name   string
		agents bool
	}{{"agents report", true}, {"agents are gone", false}} {
		run, err := b.schedule(ctx, f, c.agents)
		if err != nil {
			return err
		}
		run.name = c.name
		r.schedulers = append(r.schedulers, run)
	}
	return nil
}

func (b *fleetBench) schedule(ctx context.Context, f *fleetRun, agents bool) (run schedulerRun, err error) {
	if err := f.controllers.stop(); err != nil {
		return run, err
	}
	f.controllers = nil
	prefix := "direct"
	if !agents {
		prefix = "alone"
		if err := f.simulator.stop(); err != nil {
			return run, err
		}
		f.simulator = nil
	}
	if _, err := drive(ctx, 16, b.direct, func(ctx context.Context, _, number int) error {
		_, err := f.client.FleetV1alpha1().Instances(namespace).Create(ctx, newFleetInstance(nameOf(prefix, number)), metav1.CreateOptions{})
		return err
	}); err != nil {
		return run, err
	}
	f.instances.begin()
	run.period, err = f.measure(ctx, func() error {
		f.controllers, err = start(ctx, "gatehouse controllers", nil, b.gatehouse, "controllers", "--kubeconfig", f.server.kubeconfig(), "--leader-elect=false", "--controllers=scheduler")
		if err != nil {
			return err
		}
		return f.instances.waitBound(ctx, b.timeout, b.direct)
	})
	if err != nil {
		return run, err
	}
	times := f.instances.bindings()
	run.took = times[len(times)-1].Sub(times[0])
	run.all, run.best = rates(times, bindWindow)
	if agents {
		err = f.instances.waitRunning(ctx, b.timeout, b.instances+b.direct)
	}
	return run, err
}
