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
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
	"github.com/gatehouse-dev/gatehouse/test/robustness/load"
)

// plants returns the defects that the checks have to find.
func plants() []fault {
	return []fault{{
		name: "unsynced-write", how: "etcd acknowledges writes that it has not synced, and the power is cut",
		shape: cluster.Shape{Members: 1, Replicas: 1, Disks: true, EtcdArgs: []string{"--unsafe-no-fsync"}},
		play:  unsynced,
	}, {
		name: "skipped-event", how: "something between server and watchers drops one event",
		shape:     lone,
		play:      func(r *run) error { r.strike("one event is dropped"); r.hold(3 * time.Second); return nil },
		configure: func(c *load.Config) { c.WrapWatcher = load.Skip(100) },
	}, {
		name: "lost-on-failover", how: "a member forgets what it has acknowledged, and elects a leader that never had it",
		shape: etcd3,
		play:  lostOnFailover,
	}}
}

// unsynced cuts the power a while after the last sync, which is one of the plant's.
func unsynced(r *run) error {
	n := r.Storage[0]
	if err := n.Disk.Sync(); err != nil {
		return err
	}
	r.hold(3 * time.Second)
	r.strike("etcd --unsafe-no-fsync, and a power cut")
	if err := errors.Join(n.Kill(), n.Disk.Lose()); err != nil {
		return err
	}
	return n.Start(r.ctx)
}

// lostOnFailover has two of three members acknowledge writes while the third one is down. Then the
// leader dies, and the other one comes back with its files of before: it and the third one are a
// majority without these writes.
func lostOnFailover(r *run) error {
	leads, err := leader(r)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(r.Storage), func(n *cluster.Node) bool { return n == leads })
	forgetful, behind := others[0], others[1]
	before := forgetful.DataDir + ".before"
	if err := errors.Join(forgetful.Kill(), os.CopyFS(before, os.DirFS(forgetful.DataDir)), forgetful.Start(r.ctx), behind.Kill()); err != nil {
		return err
	}
	r.hold(3 * time.Second)
	r.strike("%s dies, and %s has forgotten what it acknowledged", leads.Name, forgetful.Name)
	if err := errors.Join(leads.Kill(), forgetful.Kill(), os.RemoveAll(forgetful.DataDir), os.Rename(before, forgetful.DataDir)); err != nil {
		return fmt.Errorf("the plant: %w", err)
	}
	return errors.Join(forgetful.Launch(), behind.Launch(), forgetful.WaitReady(r.ctx), behind.WaitReady(r.ctx))
}
