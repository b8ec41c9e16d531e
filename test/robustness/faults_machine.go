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

// rolling restarts nodes one after the other, with the current program if upgrade is set.
func rolling(choose func(*run) []*cluster.Node, upgrade bool) func(*run) error {
	return func(r *run) error {
		nodes := choose(r)
		r.strike("%d processes", len(nodes))
		for _, n := range nodes {
			if err := n.Terminate(); err != nil {
				return err
			}
			if upgrade {
				r.Upgrade(n)
			}
			if err := n.Start(r.ctx); err != nil {
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
		if err := n.Disk.Free(); err != nil {
			return err
		}
		// A server that ends by itself may still be about to.
		if err := n.WaitReady(r.ctx); err == nil || n.Running() {
			return err
		}
		r.detail += fmt.Sprintf(", which ended: %s", n.LastLine())
		return n.Start(r.ctx)
	}
}
