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
	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
	"github.com/gatehouse-dev/gatehouse/test/robustness/load"
)

// Clusters of the faults.
var (
	lone   = cluster.Shape{Members: 1}
	three  = cluster.Shape{Members: 3}
	five   = cluster.Shape{Members: 5}
	etcd1  = cluster.Shape{Members: 1, Replicas: 1}
	etcd3  = cluster.Shape{Members: 3, Replicas: 2}
	etcd5  = cluster.Shape{Members: 5, Replicas: 2}
	shapes = [][]cluster.Shape{{lone, three, etcd3}, {three, etcd3, five, etcd5}}
)

// kind is a fault for several clusters.
type kind struct {
	name, how string
	clusters  []cluster.Shape
	play      func(*run) error
	configure func(*load.Config)
	command   string
}

// kinds returns all faults. Neighbours differ, so that a few runs see different kinds.
func kinds() []kind {
	anywhere, together := shapes[0], shapes[1]
	return []kind{
		{"killed", "SIGKILL of a member; started again within seconds", anywhere, killed(storage), nil, ""},
		{"leader-killed", "SIGKILL of etcd's leader", together, killed(leader), nil, ""},
		{"failpoint", "a panic at a random place of a member's write path", failpoints(anywhere), panics(writePath...), nil, ""},
		{"leader-partitioned", "the leader's bytes to and from all others are held back", together, partitioned(leader), nil, ""},
		{"power-cut", "SIGKILL of a member, and its disk loses what was not synced", disks(anywhere), powerCut(storage), nil, ""},
		{"server-killed", "SIGKILL of one of the API servers", []cluster.Shape{etcd3}, killed(server), nil, ""},
		{"stopped", "SIGSTOP of a member, then SIGCONT", anywhere, stopped(storage), nil, ""},
		{"joins-killed", "two members join, and a member or joiner is killed meanwhile", []cluster.Shape{lone}, joinsKilled, nil, ""},
		{"follower-partitioned", "a follower's bytes to and from all others are held back", together, partitioned(follower), nil, ""},
		{"disk-full", "another program fills a member's disk", disks(anywhere), diskFull(storage), nil, ""},
		{"majority-killed", "SIGKILL of the majority at once", together, majorityKilled, nil, ""},
		{"servers-restarted", "SIGTERM and a start, one API server after the other", []cluster.Shape{etcd3, three}, rolling(servers, false), nil, ""},
		{"slow-sync", "each sync of a member's log takes longer", failpoints(anywhere), slowSync(storage), nil, ""},
		{"leader-stopped", "SIGSTOP of etcd's leader, then SIGCONT", together, stopped(leader), nil, ""},
		{"member-replaced", "SIGKILL of a member, and another one in its place", []cluster.Shape{three}, replaced, nil, ""},
		{"leader-deaf", "the leader hears no other member, and they hear the leader", together, deaf, nil, ""},
		{"compaction-killed", "a panic in a compaction", failpoints([]cluster.Shape{etcd1}), compactionPanics, nil, ""},
		{"damaged-page", "a page of a stopped member's database is overwritten", []cluster.Shape{lone, three}, damagedPage, nil, ""},
		{"delayed", "all bytes between members arrive later", together, delayed, nil, ""},
		{"truncated-log", "the newest log of a stopped member loses its end", []cluster.Shape{three}, truncatedLog, nil, ""},
		{"members-restarted", "SIGTERM and a start, one member after the other", []cluster.Shape{etcd3}, rolling(storages, false), nil, ""},
		{"defrag-killed", "a panic in a defragmentation", failpoints([]cluster.Shape{etcd1}), defragPanics, nil, ""},
		{"rotation-killed", "the key of encryption is rotated, and the server or the command is killed meanwhile", []cluster.Shape{lone}, rotationKilled, rewrites, ""},
		{"backup-killed", "a backup is made, and the server or the command is killed meanwhile", []cluster.Shape{lone}, backupKilled, nil, "backup"},
		{"all-killed", "SIGKILL of every member at once", together, allKilled, nil, ""},
		{"slow-sync-leader", "each sync of the leader's log takes longer", failpoints([]cluster.Shape{three, etcd3}), slowSync(leader), nil, ""},
		{"restore-killed", "a restore is killed and repeated, and the server starts on its result", []cluster.Shape{lone}, restoreKilled, nil, "restore"},
		{"space-killed", "compactions and defragmentations, and a member is killed meanwhile", []cluster.Shape{three}, spaceKilled, nil, "storage"},
		{"upgraded", "SIGTERM of an older program and a start of this one, one server after the other", old([]cluster.Shape{lone, etcd3}), rolling(servers, true), nil, ""},
	}
}

// faults returns each kind on its first cluster, then each on its second one, and so on.
func faults() []fault {
	var all []fault
	for i, more := 0, true; more; i++ {
		more = false
		for _, k := range kinds() {
			if i < len(k.clusters) {
				more = true
				shape := k.clusters[i]
				all = append(all, fault{k.name + "/" + shape.Short(), k.how, shape, k.play, k.configure, k.command})
			}
		}
	}
	return all
}

// each returns changed copies of the shapes.
func each(shapes []cluster.Shape, change func(*cluster.Shape)) []cluster.Shape {
	var changed []cluster.Shape
	for _, shape := range shapes {
		change(&shape)
		changed = append(changed, shape)
	}
	return changed
}

func disks(shapes []cluster.Shape) []cluster.Shape {
	return each(shapes, func(s *cluster.Shape) { s.Disks = true })
}

func failpoints(shapes []cluster.Shape) []cluster.Shape {
	return each(shapes, func(s *cluster.Shape) { s.Failpoints = true })
}

func old(shapes []cluster.Shape) []cluster.Shape {
	return each(shapes, func(s *cluster.Shape) { s.Old = true })
}

// rewrites allows for new versions of objects that no client has written.
func rewrites(c *load.Config) { c.Rewrites = true }
