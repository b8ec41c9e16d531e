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
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// JoinRequest is what a joiner sends.
type JoinRequest struct {
	Name    string `json:"name"`
	PeerURL string `json:"peerURL"`
	// Request is a certificate signing request in PEM.
	Request []byte `json:"request"`
}

// Joined is the response to a joiner. It holds the keys of the cluster, and is sent once per joiner and never
// recorded: audit and traces have no bodies of such requests.
type Joined struct {
	InvitedBy string `json:"invitedBy"`
	ClusterID string `json:"clusterID"`
	// Peers are the URLs of the other members.
	Peers []string `json:"peers"`
	// Voters is the number of members that vote once the joiner does.
	Voters     int                 `json:"voters"`
	Shared     certificates.Shared `json:"shared"`
	Encryption []byte              `json:"encryption,omitempty"`
	Warnings   []string            `json:"warnings,omitempty"`
}

// Join adds the joiner of an invitation as a learner. Joins are one after the other: etcd permits one learner,
// and no change within 5 s after the last one, so the others wait here. The same joiner may ask again, and is
// the same member then.
func (c *Cluster) Join(ctx context.Context, invitationID string, r JoinRequest) (*Joined, error) {
	host, err := r.validate()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	select {
	case c.queue <- struct{}{}:
		defer func() { <-c.queue }()
	case <-ctx.Done():
		return nil, unavailable("other members join at the moment: ask again")
	}
	i, err := c.claim(ctx, invitationID, r)
	if err != nil {
		return nil, err
	}
	now, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	if now, err = c.admit(ctx, i, now, r); err != nil {
		return nil, err
	}
	return c.answer(now, r, host)
}

// validate returns the host of the joiner.
func (r JoinRequest) validate() (host string, err error) {
	if errs := validation.IsDNS1123Subdomain(r.Name); len(errs) > 0 {
		return "", invalid(fmt.Sprintf("--member-name=%s: %s", r.Name, errs[0]))
	}
	u, err := url.Parse(r.PeerURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || u.Port() == "0" {
		return "", invalid(fmt.Sprintf("--peer-url=%s: write it as https://10.0.0.1:6444", r.PeerURL))
	}
	return u.Hostname(), nil
}

// claim marks an invitation as used by a joiner.
func (c *Cluster) claim(ctx context.Context, id string, r JoinRequest) (*invitation, error) {
	i, err := c.invitation(ctx, id)
	switch {
	case errors.Is(err, errNoInvitation):
		return nil, forbidden("the invitation has expired: invite again")
	case err != nil:
		return nil, err
	case i.usedBy(r.Name, r.PeerURL):
		return i, nil
	case i.Name != "":
		return nil, forbidden(fmt.Sprintf("the invitation was used by the member %s at %s: invite again, for each member one invitation", i.Name, i.PeerURL))
	}
	i.Name, i.PeerURL = r.Name, r.PeerURL
	return i, c.update(ctx, i)
}

// admit adds the joiner as a learner, unless it is a member already.
func (c *Cluster) admit(ctx context.Context, i *invitation, now *membership, r JoinRequest) (*membership, error) {
	if same := now.at(r.PeerURL); same != nil {
		_, recorded := now.records[hexID(same.GetID())]
		// Without a record it was added for this joiner by a server that then died. A learner of another
		// invitation is no substitute: it may have had data that this joiner lacks.
		if i.MemberID == hexID(same.GetID()) || !recorded && same.GetIsLearner() {
			return now, c.keep(ctx, i, same.GetID(), r)
		}
		if now.name(same) != r.Name {
			return nil, c.release(ctx, i, conflict(fmt.Sprintf("the member %s is at %s already: join with another --peer-url, or remove that member first", now.name(same), r.PeerURL)))
		}
		// The machine comes back without its data.
		if err := c.removeDead(ctx, now, same); err != nil {
			return nil, c.release(ctx, i, err)
		}
	} else if other, err := now.named(r.Name); err == nil && hexID(other.GetID()) != i.Replaces {
		return nil, c.release(ctx, i, conflict(fmt.Sprintf("the cluster has a member %s, at %v: join with another --member-name, or replace that member with \"gatehouse member replace %s\"", r.Name, other.GetPeerURLs(), r.Name)))
	}
	if err := c.removeReplacedIfDead(ctx, i, now); err != nil {
		return nil, c.release(ctx, i, err)
	}
	added, err := c.addLearner(ctx, r.PeerURL)
	if err != nil {
		return nil, err
	}
	c.log.Info("Added a learner", "name", r.Name, "peerURL", r.PeerURL, "id", hexID(added))
	if err := c.keep(ctx, i, added, r); err != nil {
		return nil, err
	}
	return c.members(ctx)
}

// removeReplacedIfDead removes the member that the joiner replaces if it does not respond: with one of three members
// dead, etcd permits no further one, and two of two are as safe as two of three. A member that runs is removed
// when the joiner votes.
func (c *Cluster) removeReplacedIfDead(ctx context.Context, i *invitation, now *membership) error {
	for _, old := range now.list {
		if hexID(old.GetID()) != i.Replaces {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, memberTimeout)
		defer cancel()
		if c.responds(asking, old) {
			return nil
		}
		c.log.Info("Removing a member that does not respond, because a replacement joins", "name", now.name(old))
		return c.remove(ctx, old.GetID())
	}
	return nil
}

// release makes an invitation usable again after a refusal.
func (c *Cluster) release(ctx context.Context, i *invitation, refusal error) error {
	i.Name, i.PeerURL = "", ""
	return errors.Join(refusal, c.update(ctx, i))
}

// keep records what belongs to a joiner.
func (c *Cluster) keep(ctx context.Context, i *invitation, id uint64, r JoinRequest) error {
	if err := c.storeRecord(ctx, hexID(id), record{Name: r.Name, PeerURL: r.PeerURL, Replaces: i.Replaces}); err != nil {
		return err
	}
	i.MemberID = hexID(id)
	return c.update(ctx, i)
}

// addLearner adds a learner as soon as etcd permits it.
func (c *Cluster) addLearner(ctx context.Context, peerURL string) (uint64, error) {
	var refusal error // the last one of etcd, which says more than the end of the context
	for {
		id, err := c.addIfFree(ctx, peerURL)
		switch {
		case err == nil:
			return id, nil
		case isTemporary(err):
			refusal = err
		case ctx.Err() == nil || refusal == nil:
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, unavailable(fmt.Sprintf("the cluster permits no further member yet (%v): ask again; \"gatehouse member list\" shows members that do not respond", refusal))
		case <-time.After(queueRetry):
		}
	}
}

// addIfFree adds a learner if there is none: etcd logs an error for each attempt that it refuses.
func (c *Cluster) addIfFree(ctx context.Context, peerURL string) (uint64, error) {
	now, err := c.members(ctx)
	if err != nil {
		return 0, err
	}
	if now.learner() {
		return 0, rpctypes.ErrTooManyLearners
	}
	if !c.Local.HasVersion() {
		return 0, rpctypes.ErrUnhealthy
	}
	added, err := c.client.MemberAddAsLearner(ctx, []string{peerURL})
	if errors.Is(err, rpctypes.ErrMemberNotFound) {
		return 0, errIDRemoved
	}
	if err != nil {
		return 0, err
	}
	return added.Member.GetID(), nil
}

// errIDRemoved is etcd's refusal of an ID that a removed member had. etcd makes the ID of a member from its peer URLs
// and the second of the addition, so that a member that is removed and added again within one second has the same ID.
// To clients etcd reports that the member was not found, which has no other cause for an addition.
var errIDRemoved = errors.New("a member with this peer URL was removed within the same second")

func isTemporary(err error) bool {
	return errors.Is(err, errIDRemoved) || errors.Is(err, rpctypes.ErrTooManyLearners) || errors.Is(err, rpctypes.ErrUnhealthy) || errors.Is(err, rpctypes.ErrMemberNotEnoughStarted) ||
		errors.Is(err, rpctypes.ErrLeaderChanged) || errors.Is(err, rpctypes.ErrNoLeader)
}

// answer returns what a joiner needs to start.
func (c *Cluster) answer(now *membership, r JoinRequest, host string) (*Joined, error) {
	authority, err := certificates.LoadCA(c.CertificateDir)
	if err != nil {
		return nil, err
	}
	peers, err := certificates.PeerAuthority(c.CertificateDir)
	if err != nil {
		return nil, err
	}
	signed, err := certificates.SignPeer(peers, r.Request, []string{host}, time.Now())
	if err != nil {
		return nil, invalid(err.Error())
	}
	joined := &Joined{
		InvitedBy: now.name(now.withID(c.Local.ID())), ClusterID: hexID(c.Local.ClusterID()), Voters: now.voters() + 1, Warnings: c.warnings(now.voters() + 1),
		Shared: certificates.Shared{CA: authority.CertPEM, CAKey: authority.KeyPEM, PeerCA: peers.CertPEM, PeerCAKey: peers.KeyPEM, Peer: signed},
	}
	if same := now.at(r.PeerURL); same != nil && !same.GetIsLearner() {
		joined.Voters--
	}
	if c.SigningKey {
		if joined.Shared.SigningKey, err = certificates.SigningKey(c.CertificateDir); err != nil {
			return nil, err
		}
	}
	if c.EncryptionFile != "" {
		if joined.Encryption, err = os.ReadFile(c.EncryptionFile); err != nil {
			return nil, fmt.Errorf("--encryption-provider-config: %w", err)
		}
	}
	for _, member := range now.list {
		if urls := member.GetPeerURLs(); len(urls) > 0 && urls[0] != r.PeerURL {
			joined.Peers = append(joined.Peers, urls...)
		}
	}
	return joined, nil
}
