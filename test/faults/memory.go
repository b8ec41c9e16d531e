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
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// memoryFaults returns memory limits that clients exceed.
func memoryFaults() []fault {
	return []fault{{
		name: "memory", how: "128 MiB (cgroup, set while the server runs, which does not see it), and 64 clients that list 16 MB of config maps", root: true, hold: 20 * time.Second, size: 200_000,
		strike: limitMemory,
		lift:   (*run).disperse,
	}, {
		name: "memory-cgroup", how: "256 MiB (cgroup, from the start), and the same clients", root: true, hold: 20 * time.Second, size: 200_000,
		prepare: startInGroup, strike: listMuch, lift: (*run).disperse,
	}, {
		name: "memory-flag", how: "--memory-limit=256Mi, and the same clients", hold: 20 * time.Second, size: 200_000,
		args: []string{"--memory-limit=256Mi"}, strike: listMuch, lift: (*run).disperse,
	}, {
		name: "memory-ulimit", how: "256 MiB (ulimit -d) without --memory-limit, and the same clients", tools: []string{"prlimit"}, hold: 20 * time.Second, size: 200_000,
		wrap: []string{"prlimit", fmt.Sprintf("--data=%d", 256<<20)}, strike: listMuch, lift: (*run).disperse,
	}}
}

// group is a control group with a memory limit.
type group struct{ dir, limit string }

// newGroup creates a control group with a limit in bytes, and removes it at the end.
func newGroup(r *run, bytes int64) (group, error) {
	g := group{filepath.Join("/sys/fs/cgroup/memory", filepath.Base(r.dir)), "memory.limit_in_bytes"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		g = group{filepath.Join("/sys/fs/cgroup", filepath.Base(r.dir)), "memory.max"}
	}
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return g, err
	}
	r.cleanups = append(r.cleanups, func() { _ = os.Remove(g.dir) })
	return g, g.set(g.limit, bytes)
}

func (g group) set(file string, number int64) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(fmt.Sprint(number)), 0o600)
}

// limitMemory puts the server in a control group, and makes clients send large requests.
func limitMemory(r *run) error {
	g, err := newGroup(r, 128<<20)
	if err != nil {
		return err
	}
	if err := g.set("cgroup.procs", int64(r.server.cmd.Process.Pid)); err != nil {
		return err
	}
	r.crowd = append(r.crowd, sync.OnceValue(func() error { return g.set(g.limit, 8<<30) }))
	return listMuch(r)
}

// startInGroup starts the server in a control group.
func startInGroup(r *run) error {
	g, err := newGroup(r, 256<<20)
	r.wrap = []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}
	return err
}

// listMuch makes clients list all objects repeatedly.
func listMuch(r *run) error {
	client, err := httpClient(r.server.config)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	r.crowd = append(r.crowd, sync.OnceValue(func() error { close(stop); return nil }))
	host := r.server.config.Host
	for range 64 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					code, _, err := send(client, http.MethodGet, host+path, "")
					r.listed(code, err)
				}
			}
		}()
	}
	return nil
}

// listed counts the responses to the lists of listMuch.
func (r *run) listed(code int, err error) {
	r.lists.Lock()
	defer r.lists.Unlock()
	if r.lists.outcomes == nil {
		r.lists.outcomes = map[string]int{}
	}
	r.lists.outcomes[outcome(code, err)]++
}
