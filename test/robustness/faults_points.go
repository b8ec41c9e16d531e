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
	"fmt"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
)

// writePath are failpoints that every write passes: raft, its log, the database and bbolt.
var writePath = []string{
	"raftBeforeSave", "raftAfterSave", "walBeforeSync", "walAfterSync", "raftBeforeAdvance",
	"beforeApplyOneEntryNormal", "commitBeforePreCommitHook", "commitAfterPreCommitHook", "beforeCommit", "afterCommit",
	"beforeStartDBTxn", "afterStartDBTxn", "beforeWritebackBuf", "afterWritebackBuf", "beforeBucketPut",
	"beforeSyncDataPages", "beforeSyncMetaPage",
}

// panics has a member panic at one of the failpoints.
func panics(points ...string) func(*run) error {
	return func(r *run) error {
		n := r.pick(r.Storage)
		point := points[r.random.IntN(len(points))]
		r.strike("%s in %s", point, n.Name)
		return r.explode(n, point, nil)
	}
}

// explode sets a failpoint to a panic, does what leads to it, waits until the process has ended, and
// starts it again.
func (r *run) explode(n *cluster.Node, point string, trigger func() error) error {
	// The panic may come before the response.
	failed := n.Fail(r.ctx, point, `panic("planted")`)
	if trigger != nil {
		_ = trigger() // it ends with the process
	}
	ctx, cancel := context.WithTimeout(r.ctx, exit)
	defer cancel()
	if err := n.WaitExit(ctx); err != nil {
		return fmt.Errorf("the failpoint %s is not reached: %w (%v)", point, err, failed)
	}
	r.hold(time.Second)
	return n.Start(r.ctx)
}

func slowSync(choose target) func(*run) error {
	return func(r *run) error {
		n, err := choose(r)
		if err != nil {
			return err
		}
		milliseconds := 50 + r.random.IntN(450)
		r.strike("%s, %d ms", n.Name, milliseconds)
		if err := n.Fail(r.ctx, "walBeforeSync", fmt.Sprintf("sleep(%d)", milliseconds)); err != nil {
			return err
		}
		r.hold(6 * time.Second)
		return n.Fail(r.ctx, "walBeforeSync", "off")
	}
}

func compactionPanics(r *run) error {
	points := []string{
		"compactBeforeCommitScheduledCompact", "compactAfterCommitScheduledCompact", "compactBeforeSetFinishedCompact",
		"compactAfterSetFinishedCompact", "compactBeforeCommitBatch", "compactAfterCommitBatch", "compactAfterAcquiredBatchTxLock",
	}
	n := r.pick(r.Storage)
	point := points[r.random.IntN(len(points))]
	var status struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	if err := n.Etcd(r.ctx, "/v3/maintenance/status", map[string]any{}, &status); err != nil {
		return err
	}
	r.strike("%s, at %s", point, status.Header.Revision)
	return r.explode(n, point, func() error {
		return n.Etcd(r.ctx, "/v3/kv/compaction", map[string]any{"revision": status.Header.Revision, "physical": true}, &struct{}{})
	})
}

func defragPanics(r *run) error {
	points := []string{"defragBeforeCopy", "defragBeforeRename"}
	n := r.pick(r.Storage)
	point := points[r.random.IntN(len(points))]
	r.strike("%s", point)
	return r.explode(n, point, func() error {
		return n.Etcd(r.ctx, "/v3/maintenance/defragment", map[string]any{}, &struct{}{})
	})
}
