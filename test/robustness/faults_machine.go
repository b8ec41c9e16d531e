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
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
	"github.com/gatehouse-dev/gatehouse/test/robustness/machine"
)

// exit bounds the wait for a process that a fault ends.
const exit = 20 * time.Second

// Clusters of the faults.
var (
	lone  = cluster.Shape{Members: 1}
	three = cluster.Shape{Members: 3, Replicas: 2}
	five  = cluster.Shape{Members: 5, Replicas: 2}
)

// faults returns all faults. Neighbours differ, so that a few runs see different kinds.
func faults() []fault {
	return []fault{
		{"killed", "SIGKILL; started again within a second", lone, killed(storage), nil},
		{"leader-killed", "SIGKILL of etcd's leader", three, killed(leader), nil},
		{"failpoint", "a panic at a random place of etcd's write path", failpoints(lone), panics(writePath...), nil},
		{"leader-partitioned", "the leader's bytes to and from all others are held back", three, partitioned(leader), nil},
		{"power-cut", "SIGKILL, and the disk loses what was not synced", disks(lone), powerCut(storage), nil},
		{"server-killed", "SIGKILL of one of the API servers", three, killed(server), nil},
		{"stopped", "SIGSTOP, then SIGCONT", lone, stopped(storage), nil},
		{"member-failpoint", "a panic at a random place of a member's write path", failpoints(three), panics(writePath...), nil},
		{"follower-partitioned", "a follower's bytes to and from all others are held back", three, partitioned(follower), nil},
		{"disk-full", "another program fills the disk", disks(lone), diskFull(storage), nil},
		{"majority-killed", "SIGKILL of the majority at once", five, majorityKilled, nil},
		{"servers-restarted", "SIGTERM and a start, one API server after the other", three, rolling(servers), nil},
		{"slow-sync", "each sync of the log takes longer", failpoints(lone), slowSync(storage), nil},
		{"leader-stopped", "SIGSTOP of etcd's leader, then SIGCONT", three, stopped(leader), nil},
		{"leader-deaf", "the leader hears no other member, and they hear the leader", three, deaf, nil},
		{"compaction-killed", "a panic in a compaction", failpoints(cluster.Shape{Members: 1, Replicas: 1}), compactionPanics, nil},
		{"member-power-cut", "SIGKILL of a member, whose disk loses what was not synced", disks(three), powerCut(storage), nil},
		{"delayed", "all bytes between members arrive later", three, delayed, nil},
		{"members-restarted", "SIGTERM and a start, one member after the other", three, rolling(storages), nil},
		{"defrag-killed", "a panic in a defragmentation", failpoints(cluster.Shape{Members: 1, Replicas: 1}), defragPanics, nil},
		{"member-disk-full", "another program fills the disk of a member", disks(three), diskFull(storage), nil},
		{"all-killed", "SIGKILL of every member at once", three, allKilled, nil},
		{"member-slow-sync", "each sync of the leader's log takes longer", failpoints(three), slowSync(leader), nil},
		{"five-leader-killed", "SIGKILL of etcd's leader", five, killed(leader), nil},
	}
}

func disks(s cluster.Shape) cluster.Shape {
	s.Disks = true
	return s
}

func failpoints(s cluster.Shape) cluster.Shape {
	s.Failpoints = true
	return s
}

// target chooses the node that a fault strikes.
type target func(*run) (*cluster.Node, error)

func storage(r *run) (*cluster.Node, error) { return r.pick(r.Storage), nil }
func server(r *run) (*cluster.Node, error)  { return r.pick(r.Servers), nil }

func leader(r *run) (*cluster.Node, error) {
	ctx, cancel := context.WithTimeout(r.ctx, exit)
	defer cancel()
	return r.Leader(ctx)
}

func follower(r *run) (*cluster.Node, error) {
	leads, err := leader(r)
	if err != nil {
		return nil, err
	}
	return r.pick(slices.DeleteFunc(slices.Clone(r.Storage), func(n *cluster.Node) bool { return n == leads })), nil
}

func servers(r *run) []*cluster.Node  { return r.Servers }
func storages(r *run) []*cluster.Node { return r.Storage }

func killed(choose target) func(*run) error {
	return func(r *run) error {
		n, err := choose(r)
		if err != nil {
			return err
		}
		r.strike("%s", n.Name)
		if err := n.Kill(); err != nil {
			return err
		}
		r.hold(2 * time.Second)
		return n.Start(r.ctx)
	}
}

func stopped(choose target) func(*run) error {
	return func(r *run) error {
		n, err := choose(r)
		if err != nil {
			return err
		}
		r.strike("%s", n.Name)
		if err := n.Pause(); err != nil {
			return err
		}
		r.hold(6 * time.Second)
		return n.Continue()
	}
}

func majorityKilled(r *run) error {
	shuffled := slices.Clone(r.Storage)
	r.random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	return killAll(r, shuffled[:len(shuffled)/2+1])
}

func allKilled(r *run) error { return killAll(r, r.Storage) }

func killAll(r *run, nodes []*cluster.Node) error {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	r.strike("%v", names)
	for _, n := range nodes {
		if err := n.Kill(); err != nil {
			return err
		}
	}
	r.hold(2 * time.Second)
	for _, n := range nodes {
		if err := n.Launch(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.WaitReady(r.ctx); err != nil {
			return err
		}
	}
	return nil
}

func rolling(choose func(*run) []*cluster.Node) func(*run) error {
	return func(r *run) error {
		nodes := choose(r)
		r.strike("%d processes", len(nodes))
		for _, n := range nodes {
			if err := errors.Join(n.Terminate(), n.Start(r.ctx)); err != nil {
				return err
			}
			r.hold(time.Second)
		}
		return nil
	}
}

func partitioned(choose target) func(*run) error {
	return func(r *run) error {
		n, err := choose(r)
		if err != nil {
			return err
		}
		r.strike("%s", n.Name)
		r.Network.Isolate([]string{n.Name}, machine.Rule{Cut: true})
		r.hold(6 * time.Second)
		r.Network.Heal()
		return nil
	}
}

func deaf(r *run) error {
	n, err := leader(r)
	if err != nil {
		return err
	}
	r.strike("%s", n.Name)
	for _, other := range r.Storage {
		r.Network.Set(other.Name, n.Name, machine.Rule{Cut: true})
	}
	r.hold(6 * time.Second)
	r.Network.Heal()
	return nil
}

func delayed(r *run) error {
	delay := time.Duration(20+r.random.IntN(180)) * time.Millisecond
	r.strike("by %v", delay)
	for _, n := range r.Storage {
		r.Network.Isolate([]string{n.Name}, machine.Rule{Delay: delay})
	}
	r.hold(6 * time.Second)
	r.Network.Heal()
	return nil
}

func powerCut(choose target) func(*run) error {
	return func(r *run) error {
		n, err := choose(r)
		if err != nil {
			return err
		}
		r.strike("%s", n.Name)
		if err := errors.Join(n.Kill(), n.Disk.Lose()); err != nil {
			return err
		}
		r.hold(time.Second)
		return n.Start(r.ctx)
	}
}

func diskFull(choose target) func(*run) error {
	return func(r *run) error {
		n, err := choose(r)
		if err != nil {
			return err
		}
		if err := n.Disk.Fill(); err != nil {
			return err
		}
		r.strike("%s", n.Name)
		r.hold(10 * time.Second)
		ended := !n.Running()
		if err := n.Disk.Free(); err != nil {
			return err
		}
		if ended {
			r.detail += fmt.Sprintf(", which ended: %s", n.LastLine())
			return n.Start(r.ctx)
		}
		return nil
	}
}
