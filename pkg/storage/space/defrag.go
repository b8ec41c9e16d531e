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

package space

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// moveTimeout bounds the wait for another leader.
	moveTimeout = 10 * time.Second
	// caughtUpTimeout bounds the wait until a member that was defragmented has what the others wrote meanwhile.
	caughtUpTimeout = time.Minute
)

// errBlocks is the refusal to defragment a lone member.
var errBlocks = errors.New("etcd has one member, which responds to no request while it is defragmented, about a second per 30 MB: repeat the command with --allow-blocking, or restart the server: an embedded etcd with more than 256 MiB to regain is defragmented at the start")

// Defragment defragments one member after the other, the leader last and after another member has become leader. It
// refuses while a member is unhealthy or a learner exists, because the member that is defragmented does not respond
// meanwhile. A lone member is defragmented only if blocking is set, or if etcd refuses writes anyway.
func (e *Etcd) Defragment(ctx context.Context, blocking bool, notes io.Writer) error {
	members, err := e.Members(ctx)
	if err != nil {
		return err
	}
	order, err := plan(members, blocking)
	if err != nil {
		return err
	}
	for i := range members {
		if members[i].Elsewhere {
			fmt.Fprintf(notes, "member %s is not defragmented: %v\n", &members[i], members[i].Err)
		}
	}
	for i, m := range order {
		if i > 0 { // the state may have changed since
			if members, err = e.Members(ctx); err == nil {
				_, err = plan(members, blocking)
			}
			if err != nil {
				return fmt.Errorf("%d of %d members are defragmented: %w", i, len(order), err)
			}
		}
		if err := e.defragmentOne(ctx, m, members, notes); err != nil {
			return fmt.Errorf("%d of %d members are defragmented: %w", i, len(order), err)
		}
	}
	return nil
}

// plan returns the members that can be reached from here in the order in which they are defragmented, or the reason
// why none may be.
func plan(members []Member, blocking bool) ([]Member, error) {
	var followers, leaders []Member
	voters := 0
	for _, m := range members {
		switch {
		case m.Learner:
			return nil, fmt.Errorf("member %s is a learner, which is still receiving data: repeat the command when it votes", &m)
		case m.Corrupt:
			return nil, fmt.Errorf("the data of member %s are inconsistent: replace it first", &m)
		case m.Err != nil && !m.Elsewhere:
			return nil, fmt.Errorf("member %s is unhealthy (%w), so no other member may be blocked: repeat the command when it responds, or remove it from the cluster", &m, m.Err)
		}
		voters++
		switch {
		case m.Elsewhere:
		case m.Leader:
			leaders = append(leaders, m)
		default:
			followers = append(followers, m)
		}
	}
	if voters == 1 && !blocking && !anyNoSpace(members) {
		return nil, errBlocks
	}
	return append(followers, leaders...), nil
}

// request defragments a member by a request.
func (e *Etcd) request(ctx context.Context, m Member) error {
	client, err := e.client(ctx, m.Endpoint)
	if err != nil {
		return err
	}
	_, err = client.Defragment(ctx, m.Endpoint)
	return err
}

// defragmentOne defragments one member, which is not the leader of others meanwhile.
func (e *Etcd) defragmentOne(ctx context.Context, m Member, members []Member, notes io.Writer) error {
	if err := e.yield(ctx, m.ID, members, notes); err != nil {
		return err
	}
	began := time.Now()
	if err := e.defragment(ctx, m); err != nil {
		return fmt.Errorf("defragmenting member %s: %w", &m, err)
	}
	after, err := e.caughtUp(ctx, m)
	if err != nil {
		return err
	}
	fmt.Fprintf(notes, "member %s (%s): %s before, %s after, %v\n", &m, after.Role(), Bytes(m.Size), Bytes(after.Size), time.Since(began).Round(time.Millisecond))
	return nil
}

// yield makes another voter leader if the member is it.
func (e *Etcd) yield(ctx context.Context, id uint64, members []Member, notes io.Writer) error {
	var from *Member
	var errs []error
	for i := range members {
		if members[i].ID == id && members[i].Leader {
			from = &members[i]
		}
	}
	if from == nil || len(members) == 1 {
		return nil
	}
	client, err := e.client(ctx, from.Endpoint)
	if err != nil {
		return err
	}
	for i := range members {
		to := &members[i]
		if to.ID == id || to.Learner || to.Err != nil && !to.Elsewhere {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, moveTimeout)
		_, err := client.MoveLeader(bounded, to.ID)
		cancel()
		if err == nil {
			fmt.Fprintf(notes, "member %s is the leader in place of %s\n", to, from)
			return nil
		}
		errs = append(errs, fmt.Errorf("member %s does not become leader: %w", to, err))
	}
	return errors.Join(append([]error{fmt.Errorf("member %s is the leader and no other can take its place", from)}, errs...)...)
}

// caughtUp waits until a member has applied what the cluster had committed when the wait began.
func (e *Etcd) caughtUp(ctx context.Context, m Member) (Member, error) {
	ctx, cancel := context.WithTimeout(ctx, caughtUpTimeout)
	defer cancel()
	target := uint64(0)
	for {
		members, err := e.Members(ctx)
		for _, now := range members {
			target = max(target, now.committed)
		}
		for _, now := range members {
			if now.ID == m.ID && now.Err == nil && now.applied >= target {
				return now, nil
			}
		}
		select {
		case <-ctx.Done():
			return Member{}, errors.Join(fmt.Errorf("member %s was defragmented and has not caught up within %v", &m, caughtUpTimeout), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
