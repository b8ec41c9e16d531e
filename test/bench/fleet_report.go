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
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

func (b *fleetBench) report(out io.Writer, r *fleetResult) {
	fmt.Fprintln(out, "## A fleet")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: %d simulated hosts, each with a certificate and a connection of its own, for %d instances each; %d apps with %d instances together, each asking for %dm of cpu and %d MiB; containers start within 0.5 to 1.5 s; leases of 40 s", b.hosts, b.slots(), len(b.sizes()), b.instances, milliCPU, mebibyte),
		"processes: `gatehouse up` with the cluster's controllers, `gatehouse controllers` with those of the fleet, elected, and `gatehouse simulate-hosts`; the load generator watches instances, apps and hosts, one watch each",
		"fsync: on; stored as protobuf; protobuf on the wire; managedFields: recorded",
		flowControlNote+"; hosts and controllers are users of their own as well",
		"times are the load generator's: from the first create of an app until its watch has told that all instances are Running and Ready; binds from the first to the last time that it told of a spec.hostName",
		"requests and events are apiserver_request_total and apiserver_watch_events_total, CPU and memory /proc's; the load generator's own three watches are part of the events")
	b.reportSteps(out, r)
	b.reportCost(out, r)
	b.reportRequests(out, r)
	b.reportEvents(out, r)
	b.reportWaits(out, r)
	b.reportScheduler(out, r)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
}

func tenths(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func (b *fleetBench) reportSteps(out io.Writer, r *fleetResult) {
	t := &table{header: []string{"step", "took", "per second"}}
	rate := func(count int, p period) string { return fmt.Sprintf("%.0f", perSecond(count, p.took)) }
	t.add(fmt.Sprintf("%d hosts register, all are Ready", b.hosts), tenths(r.register.took), rate(b.hosts, r.register))
	t.add(fmt.Sprintf("%d instances, from the first apply to all Running", b.instances), tenths(r.create.took), rate(b.instances, r.create))
	t.add("- of these bound, from the first apply", tenths(r.lastBound), fmt.Sprintf("%.0f, best 10 s %.0f", r.bindsPerSecond, r.bestBinds))
	t.add(fmt.Sprintf("rollout of %d replicas by the app's status, while %d others run", b.rollout, b.instances-b.rollout), tenths(r.rollout.took), rate(b.rollout, r.rollout))
	t.add("until nothing is written any more but leases", tenths(r.settle.took-quietAfter*quietLook), "-")
	t.write(out)
}

func (b *fleetBench) reportCost(out io.Writer, r *fleetResult) {
	t := &table{header: []string{"process", "CPU: register", "per host", "create", "per instance", "rollout", "per replica", "at rest", "memory: before", "hosts", "all run", "at rest"}}
	row := func(name string, cpu func(programs[time.Duration]) time.Duration, memory func(programs[memoryUse]) memoryUse) {
		each := func(p period, count int) string { return millis(cpu(p.cpu) / time.Duration(count)) }
		t.add(name, tenths(cpu(r.register.cpu)), each(r.register, b.hosts), tenths(cpu(r.create.cpu)), each(r.create, b.instances),
			tenths(cpu(r.rollout.cpu)), each(r.rollout, b.rollout), fmt.Sprintf("%.1f %%", 100*cpu(r.rest.cpu).Seconds()/r.rest.took.Seconds()),
			mebibytes(memory(r.before.memory).resident), mebibytes(memory(r.register.memory).resident), mebibytes(memory(r.create.memory).resident), mebibytes(memory(r.rest.memory).resident))
	}
	row("server", func(c programs[time.Duration]) time.Duration { return c.server }, func(m programs[memoryUse]) memoryUse { return m.server })
	row("controllers", func(c programs[time.Duration]) time.Duration { return c.controllers }, func(m programs[memoryUse]) memoryUse { return m.controllers })
	row("simulated hosts", func(c programs[time.Duration]) time.Duration { return c.simulator }, func(m programs[memoryUse]) memoryUse { return m.simulator })
	fmt.Fprintln(out, "CPU seconds, and resident memory at the end of each step:")
	fmt.Fprintln(out)
	t.write(out)
}

// seldom reports whether a row has values so small that it is omitted.
func seldom(values ...float64) bool { return slices.Max(values) < 0.005 }

func (b *fleetBench) reportRequests(out io.Writer, r *fleetResult) {
	fmt.Fprintln(out, "API requests. Refused are those answered with 400 or more (409 is a conflict), of all steps together; what is less than 0.005 of all is left out:")
	fmt.Fprintln(out)
	t := &table{header: []string{"request", "per host, register", "per instance, create", "per replica, rollout", "until quiet", "at rest, per second", "refused"}}
	steps := []period{r.register, r.create, r.rollout, r.settle, r.rest}
	add := func(name string, of func(period) float64, refused float64) {
		perHost, perInstance, perReplica, perSecond := of(r.register)/float64(b.hosts), of(r.create)/float64(b.instances), of(r.rollout)/float64(b.rollout), of(r.rest)/r.rest.took.Seconds()
		if !seldom(perHost, perInstance, perReplica, perSecond) {
			t.add(name, two(perHost), two(perInstance), two(perReplica), strconv.Itoa(int(of(r.settle))), two(perSecond), strconv.Itoa(int(refused)))
		}
	}
	var requests, refused []map[string]float64
	for _, step := range steps {
		requests, refused = append(requests, step.counters.requests), append(refused, step.counters.refused)
	}
	add("all", func(p period) float64 { return total(p.counters.requests) }, sumOver(refused, total))
	for _, kind := range byCount(requests...) {
		add(kind, func(p period) float64 { return p.counters.requests[kind] }, sumOver(refused, func(m map[string]float64) float64 { return m[kind] }))
	}
	t.write(out)
}

func sumOver(maps []map[string]float64, of func(map[string]float64) float64) (sum float64) {
	for _, m := range maps {
		sum += of(m)
	}
	return sum
}

func two(v float64) string { return fmt.Sprintf("%.2f", v) }

func (b *fleetBench) reportEvents(out io.Writer, r *fleetResult) {
	fmt.Fprintln(out, "Events sent to watches:")
	fmt.Fprintln(out)
	t := &table{header: []string{"events of", "per host, register", "per instance, create", "per replica, rollout", "until quiet", "at rest, per second"}}
	for _, kind := range byCount(r.register.counters.events, r.create.counters.events, r.rollout.counters.events, r.rest.counters.events) {
		of := func(p period, by float64) float64 { return p.counters.events[kind] / by }
		values := []float64{of(r.register, float64(b.hosts)), of(r.create, float64(b.instances)), of(r.rollout, float64(b.rollout)), of(r.rest, r.rest.took.Seconds())}
		if !seldom(values...) {
			t.add(kind, two(values[0]), two(values[1]), two(values[2]), strconv.Itoa(int(r.settle.counters.events[kind])), two(values[3]))
		}
	}
	t.write(out)
}

// reportWaits reports the waits of requests: in flow control, and for etcd.
func (b *fleetBench) reportWaits(out io.Writer, r *fleetResult) {
	fmt.Fprintln(out, "What requests wait for, means: their turn in flow control, by flow schema, and etcd, by operation:")
	fmt.Fprintln(out)
	t := &table{header: []string{"waiting for", "register", "create", "rollout", "at rest"}}
	rows := func(prefix string, of func(counters) map[string]mean) {
		counts := map[string]float64{}
		for _, p := range []period{r.register, r.create, r.rollout, r.rest} {
			for name, m := range of(p.counters) {
				counts[name] += m.count
			}
		}
		for _, name := range byCount(counts) {
			if counts[name] < 100 {
				continue // a few are not significant
			}
			t.add(prefix+name, of(r.register.counters)[name].String(), of(r.create.counters)[name].String(), of(r.rollout.counters)[name].String(), of(r.rest.counters)[name].String())
		}
	}
	rows("flow control: ", func(c counters) map[string]mean { return c.waited })
	rows("etcd: ", func(c counters) map[string]mean { return c.etcd })
	t.write(out)
}

func (b *fleetBench) reportScheduler(out io.Writer, r *fleetResult) {
	if len(r.schedulers) == 0 {
		return
	}
	fmt.Fprintf(out, "The scheduler by itself: %d instances without an app wait when it starts; %d others run. From its first to its last binding:\n\n", b.direct, b.instances)
	t := &table{header: []string{"meanwhile", "took", "binds/s", "best 10 s", "server CPU per bind", "scheduler CPU per bind", "etcd: update"}}
	for _, run := range r.schedulers {
		each := func(d time.Duration) string { return millis(d / time.Duration(b.direct)) }
		t.add(run.name, tenths(run.took), fmt.Sprintf("%.0f", run.all), fmt.Sprintf("%.0f", run.best), each(run.period.cpu.server), each(run.period.cpu.controllers), run.period.counters.etcd["update"].String())
	}
	t.write(out)
}
