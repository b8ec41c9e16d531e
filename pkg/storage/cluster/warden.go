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

package cluster

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	wardenInterval  = 2 * time.Second
	wardenTimeout   = 10 * time.Second
	renewalInterval = 12 * time.Hour
	// minVoters is the number of voters below which no dead member is removed: two need both.
	minVoters = 3
)

// Run does what the leader does by itself until the context ends: it removes learners that have stopped, members
// that were replaced, and dead members if that is asked for. Every member renews its certificate for peers.
func (c *Cluster) Run(ctx context.Context) {
	defer func() { _ = c.client.Close() }()
	w := &warden{seen: map[uint64]time.Time{}}
	renewed := time.Now()
	ticker := time.NewTicker(wardenInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if time.Since(renewed) > renewalInterval {
			renewed = time.Now()
			if err := c.Renew(nil); err != nil {
				c.log.Error(err, "Renewing the certificate for peers failed")
			}
		}
		bounded, cancel := context.WithTimeout(ctx, wardenTimeout)
		if err := c.tend(bounded, w, time.Now()); err != nil && ctx.Err() == nil {
			c.log.Error(err, "Tending the members failed, trying again")
		}
		cancel()
	}
}

// warden is what the leader remembers.
type warden struct {
	// seen is when each member was last active.
	seen map[uint64]time.Time
}

// tend removes at most one member.
func (c *Cluster) tend(ctx context.Context, w *warden, now time.Time) error {
	progress := c.Local.Progress()
	if progress == nil || !c.Local.Clustered() {
		// A new leader begins to count.
		clear(w.seen)
		return nil
	}
	for id, p := range progress {
		if _, known := w.seen[id]; p.Active || !known {
			w.seen[id] = now
		}
	}
	for id := range w.seen {
		if _, member := progress[id]; !member {
			delete(w.seen, id)
		}
	}
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	if evicted, err := c.evict(ctx, w, members, now); evicted || err != nil {
		return err
	}
	if removed, err := c.removeReplaced(ctx, members); removed || err != nil {
		return err
	}
	return c.removeDeadVoter(ctx, w, members, now)
}

// evict removes a learner that has not responded for a while, and makes its invitation usable again.
func (c *Cluster) evict(ctx context.Context, w *warden, members *membership, now time.Time) (bool, error) {
	for _, member := range members.list {
		seen, known := w.seen[member.GetID()]
		if !member.GetIsLearner() || !known || now.Sub(seen) < c.EvictAfter {
			continue
		}
		c.log.Info("Removing a learner that does not respond; its invitation can be used again", "severity", "warn", "name", members.name(member), "since", now.Sub(seen).Round(time.Second))
		if err := c.remove(ctx, member.GetID()); err != nil {
			return false, err
		}
		return true, c.reopen(ctx, hexID(member.GetID()))
	}
	return false, nil
}

// removeReplaced removes a member whose replacement votes.
func (c *Cluster) removeReplaced(ctx context.Context, members *membership) (bool, error) {
	for _, member := range members.list {
		r := members.records[hexID(member.GetID())]
		if r.Replaces == "" || member.GetIsLearner() {
			continue
		}
		for _, old := range members.list {
			if hexID(old.GetID()) == r.Replaces {
				c.log.Info("Removing a member that was replaced", "name", members.name(old), "by", r.Name)
				return true, c.remove(ctx, old.GetID())
			}
		}
	}
	return false, nil
}

// removeDeadVoter removes a voter that has been dead for --replace-dead-after, if the others are a safe cluster
// without it.
func (c *Cluster) removeDeadVoter(ctx context.Context, w *warden, members *membership, now time.Time) error {
	if c.ReplaceDeadAfter == 0 || members.learner() {
		return nil
	}
	var dead []*etcdserverpb.Member
	for _, member := range members.list {
		if seen, known := w.seen[member.GetID()]; known && now.Sub(seen) >= wardenInterval*2 {
			dead = append(dead, member)
		}
	}
	if !mayRemoveDead(members.voters(), len(dead)) {
		return nil
	}
	for _, member := range dead {
		if now.Sub(w.seen[member.GetID()]) >= c.ReplaceDeadAfter {
			c.log.Info("Removing a member that does not respond, because of --replace-dead-after", "severity", "warn", "name", members.name(member))
			return c.remove(ctx, member.GetID())
		}
	}
	return nil
}

// mayRemoveDead reports whether one of the dead voters may be removed: never below three voters, never more than
// the others can lose, and only if those that respond are the quorum of the rest.
func mayRemoveDead(voters, dead int) bool {
	if dead == 0 || voters-1 < minVoters || dead > (voters-1)/2 {
		return false
	}
	return voters-dead >= storage.QuorumOf(voters-1).Needed
}
