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
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
	"github.com/gatehouse-dev/gatehouse/test/robustness/history"
	"github.com/gatehouse-dev/gatehouse/test/robustness/load"
	"github.com/gatehouse-dev/gatehouse/test/robustness/machine"
	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

const (
	// warmUp is the duration of undisturbed writes before a fault and after it.
	warmUp = 1500 * time.Millisecond
	// recovery bounds the wait for an acknowledged write after the end of a fault, and catchUp that
	// of watchers for the final objects.
	recovery = 60 * time.Second
	catchUp  = 30 * time.Second
	// The clients of a run. Few keys have many conflicts.
	writers, keys, ballast = 6, 8, 2000
)

// fault is one kind of fault, and the cluster that it is played on.
type fault struct {
	name string
	// how is what it does, for the list of faults.
	how   string
	shape cluster.Shape
	// play begins the fault, waits, and ends it.
	play func(*run) error
	// configure, if not nil, changes the clients.
	configure func(*load.Config)
	// command is one of gatehouse that the fault needs.
	command string
}

// missing returns the reason why the fault cannot be played here, or nothing.
func (f fault) missing(programs cluster.Programs) string {
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	switch {
	case f.command != "" && exec.Command(programs.Gatehouse, f.command, "--help").Run() != nil: // gone in a moment
		return "this gatehouse has no command " + f.command
	case f.shape.Disks && machine.MissingForDisks() != "":
		return machine.MissingForDisks()
	case f.shape.Failpoints && !exists(filepath.Join(programs.Failpoints, "etcd")):
		return "there are no programs with failpoints: run test/robustness/failpoints.sh " + programs.Failpoints
	case f.shape.Old && !exists(programs.Old):
		return "there is no older program: name one by -old"
	case f.shape.Replicas > 0 && !exists(programs.Etcd):
		return "there is no etcd: run make controlplane"
	}
	return ""
}

// run is a run in progress.
type run struct {
	fault
	*cluster.Cluster
	ctx    context.Context
	dir    string
	random *rand.Rand
	load   *load.Load
	// watchers is the number of watchers.
	watchers int
	// struck is when the fault began, and detail is what it has struck.
	struck time.Duration
	detail string
}

// strike marks the begin of the fault.
func (r *run) strike(format string, args ...any) {
	r.struck = r.load.Recorder.Now()
	r.detail = fmt.Sprintf(format, args...)
}

// hold waits for a random time between a half and the whole of d.
func (r *run) hold(d time.Duration) {
	select {
	case <-r.ctx.Done():
	case <-time.After(d/2 + time.Duration(r.random.Int64N(int64(d/2)))):
	}
}

// pick returns one of the nodes.
func (r *run) pick(nodes []*cluster.Node) *cluster.Node { return nodes[r.random.IntN(len(nodes))] }

// run plays a fault. What goes wrong in the run itself is a violation, too.
func (o *options) run(ctx context.Context, f fault, seed uint64) result {
	res := result{Fault: f.name, Shape: f.shape.String(), Seed: seed}
	dir, err := os.MkdirTemp("", "gh-robust-")
	if err != nil {
		res.Violations = []string{err.Error()}
		return res
	}
	r := &run{fault: f, ctx: ctx, dir: dir, random: rand.New(rand.NewPCG(seed, 0))}
	if r.Cluster, err = cluster.Start(ctx, dir, o.programs, f.shape); err != nil {
		res.Violations = append(res.Violations, "the start of the cluster: "+err.Error())
	} else {
		r.measure(seed, &res)
	}
	if err := r.Close(); err != nil {
		res.Violations = append(res.Violations, "the end of the cluster: "+err.Error())
	}
	if len(res.Violations) > 0 {
		if err := r.keep(filepath.Join(o.output, fmt.Sprintf("%s-%d", strings.ReplaceAll(f.name, "/", "-"), seed))); err != nil {
			res.Violations = append(res.Violations, "the files of the run are not kept: "+err.Error())
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		res.Violations = append(res.Violations, err.Error())
	}
	return res
}

// measure runs the clients during the fault, and checks what they have seen.
func (r *run) measure(seed uint64, res *result) {
	config := load.Config{Servers: r.servers(), TLS: r.TLS, Seed: seed, Writers: writers, Keys: keys, Ballast: ballast}
	if r.configure != nil {
		r.configure(&config)
	}
	fail := func(what string, err error) {
		if err != nil {
			res.Violations = append(res.Violations, what+": "+err.Error())
		}
	}
	r.watchers = len(config.Servers)
	r.load = load.Start(r.ctx, config)
	time.Sleep(warmUp)
	fail("the fault", r.play(r))
	res.Detail = r.detail
	healed := r.load.Recorder.Now()
	fail("after the fault", r.recover(healed))
	time.Sleep(warmUp)
	until := r.load.Recorder.Now()
	r.load.EndWriters()

	ctx, cancel := context.WithTimeout(r.ctx, catchUp)
	defer cancel()
	final, err := r.load.Final(ctx, r.servers())
	fail("the end", err)
	if err != nil {
		final = nil
	}
	res.Violations = append(res.Violations, r.load.EndWatchers(ctx, final)...)
	r.check(res, final, until)
}

// servers returns the servers of the API.
func (r *run) servers() []load.Server {
	var servers []load.Server
	for _, server := range r.Servers {
		servers = append(servers, load.Server{Name: server.Name, URL: server.URL})
	}
	return servers
}

// recover waits until a write that began after the fault is acknowledged.
func (r *run) recover(healed time.Duration) error {
	for r.load.Recorder.Acknowledged(healed) == 0 {
		if r.load.Recorder.Now() > healed+recovery {
			return fmt.Errorf("no write is acknowledged %v after its end", recovery)
		}
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// check checks the history of the run.
func (r *run) check(res *result, final map[string]watches.Object, until time.Duration) {
	operations := r.load.Recorder.All()
	returned := map[int64]time.Duration{}
	for _, o := range operations {
		if o.AcknowledgedWrite() {
			res.Acknowledged++
			returned[o.Revision] = o.Return
		}
	}
	res.Operations = len(operations)
	res.Unavailable = history.LongestGap(operations, r.struck, until, (*history.Operation).AcknowledgedWrite)
	for _, stream := range r.load.Streams() {
		res.Relists++
		res.Watches += stream.Watches
		res.Events += len(stream.Events)
		for _, event := range stream.Events {
			if at, ok := returned[event.Revision]; ok {
				res.WatchDelay = max(res.WatchDelay, event.At-at)
			}
		}
	}
	res.Relists -= r.watchers // their first lists

	lost, violations := r.load.Check(final)
	res.Lost = len(lost)
	res.Violations = append(res.Violations, violations...)
}

// keep saves the history and the logs of the run.
func (r *run) keep(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if r.load != nil {
		for name, content := range map[string]any{"operations.json": r.load.Recorder.All(), "streams.json": r.load.Streams()} {
			encoded, err := json.MarshalIndent(content, "", " ")
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), encoded, 0o644); err != nil {
				return err
			}
		}
	}
	logs, err := filepath.Glob(filepath.Join(r.dir, "*.log"))
	if err != nil {
		return err
	}
	for _, log := range logs {
		content, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(log)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
