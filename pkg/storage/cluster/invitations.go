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
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// The keys of the cluster are outside those of the API: no object is made of them, and no watch has them.
	prefix           = "/gatehouse/cluster/"
	invitationPrefix = prefix + "invitations/"
	memberPrefix     = prefix + "members/"

	// InvitationLifetime is the time in which an invitation can be used.
	InvitationLifetime = time.Hour
)

// invitation is what etcd has of an invitation: not its secret.
type invitation struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
	// Replaces is the ID of the member that the joiner replaces; empty for none.
	Replaces string `json:"replaces,omitempty"`
	// Name and PeerURL are those of the joiner that has used it, and MemberID its ID as soon as it is a member.
	Name     string `json:"name,omitempty"`
	PeerURL  string `json:"peerURL,omitempty"`
	MemberID string `json:"memberID,omitempty"`

	id       string
	revision int64
}

func (i *invitation) usedBy(name, peerURL string) bool { return i.Name == name && i.PeerURL == peerURL }

// record is what etcd has of a member besides its own list, which lacks the name of a member that has not
// published it yet.
type record struct {
	Name    string `json:"name"`
	PeerURL string `json:"peerURL"`
	// Replaces is the ID of the member to remove once this one votes.
	Replaces string `json:"replaces,omitempty"`
}

var errNoInvitation = errors.New("there is no such invitation")

// storeInvitation keeps an invitation until it expires.
func (c *Cluster) storeInvitation(ctx context.Context, id string, i invitation) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	lease, err := c.client.Grant(ctx, int64(InvitationLifetime.Seconds()))
	if err != nil {
		return err
	}
	_, err = c.client.Put(ctx, invitationPrefix+id, string(data), clientv3.WithLease(lease.ID))
	return err
}

// invitation returns an invitation. Without a linearizable read it may be one that was used a moment ago.
func (c *Cluster) invitation(ctx context.Context, id string, options ...clientv3.OpOption) (*invitation, error) {
	found, err := c.client.Get(ctx, invitationPrefix+id, options...)
	if err != nil {
		return nil, err
	}
	if len(found.Kvs) == 0 {
		return nil, errNoInvitation
	}
	i := &invitation{id: id, revision: found.Kvs[0].ModRevision}
	if err := json.Unmarshal(found.Kvs[0].Value, i); err != nil {
		return nil, fmt.Errorf("the invitation %s cannot be read: %w", id, err)
	}
	if time.Now().After(i.Expires) {
		return nil, errNoInvitation
	}
	return i, nil
}

// update writes a changed invitation, unless another server has changed it.
func (c *Cluster) update(ctx context.Context, i *invitation) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	key := invitationPrefix + i.id
	done, err := c.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", i.revision)).
		Then(clientv3.OpPut(key, string(data), clientv3.WithIgnoreLease())).Commit()
	if err != nil {
		return err
	}
	if !done.Succeeded {
		return conflict("the invitation was used at the same moment by another joiner: invite again")
	}
	i.revision = done.Header.Revision
	return nil
}

// reopen makes the invitations usable again by which an evicted learner has joined.
func (c *Cluster) reopen(ctx context.Context, memberID string) error {
	all, err := c.client.Get(ctx, invitationPrefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range all.Kvs {
		i := &invitation{id: strings.TrimPrefix(string(kv.Key), invitationPrefix), revision: kv.ModRevision}
		if json.Unmarshal(kv.Value, i) != nil || i.MemberID != memberID {
			continue
		}
		i.Name, i.PeerURL, i.MemberID = "", "", ""
		if err := c.update(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// records returns the records of members by ID.
func (c *Cluster) records(ctx context.Context) (map[string]record, error) {
	all, err := c.client.Get(ctx, memberPrefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	found := map[string]record{}
	for _, kv := range all.Kvs {
		r := record{}
		if json.Unmarshal(kv.Value, &r) == nil {
			found[strings.TrimPrefix(string(kv.Key), memberPrefix)] = r
		}
	}
	return found, nil
}

func (c *Cluster) storeRecord(ctx context.Context, id string, r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = c.client.Put(ctx, memberPrefix+id, string(data))
	return err
}

func (c *Cluster) removeRecord(ctx context.Context, id string) error {
	_, err := c.client.Delete(ctx, memberPrefix+id)
	return err
}
