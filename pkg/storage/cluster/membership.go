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
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

const (
	// joinTimeout bounds the wait of a joiner in the queue. It is shorter than the timeout of a request, so that
	// the joiner learns what it waits for; it then asks again.
	joinTimeout = 45 * time.Second
	// queueRetry is the interval between two attempts to add a member. etcd refuses a second learner, and any
	// change within 5 s after the last one.
	queueRetry = 200 * time.Millisecond

	// removePatience bounds the attempts to remove a member.
	removePatience = 8 * time.Second

	// DefaultPeerPort is the port for other members.
	DefaultPeerPort = 6444
	// defaultEvictAfter is the time after which a learner without progress is removed.
	defaultEvictAfter = 5 * time.Minute
)

// Config holds the inputs of a Cluster.
type Config struct {
	// Local is the member in this process.
	Local *embedded.Server
	// DataDir holds the state, and CertificateDir the keys that members share.
	DataDir, CertificateDir string
	// State is that of a lone member that gets peers: its name and its addresses.
	State State
	// Pin returns the pin of tokens, and SigningKey is false if a flag names the key of tokens.
	Pin        func() ([]byte, error)
	SigningKey bool
	// EncryptionFile is the configuration of encryption at rest; empty for none.
	EncryptionFile string
	// Renew renews the certificate for peers, with further hosts.
	Renew func(hosts []string) error
	// ReplaceDeadAfter is the time after which a dead voter is removed; 0 for never.
	ReplaceDeadAfter time.Duration
	// EvictAfter is the time after which a learner without progress is removed; 0 for five minutes.
	EvictAfter time.Duration
}

// Cluster is the membership of the etcd of this server.
type Cluster struct {
	Config
	client *clientv3.Client
	log    klog.Logger
	// queue has one place: joins are one after the other.
	queue chan struct{}
	// joinURL is the URL for --join; it is set before requests are served.
	joinURL string
}

// New returns a Cluster. Run ends it.
func New(ctx context.Context, config Config) *Cluster {
	if config.EvictAfter == 0 {
		config.EvictAfter = defaultEvictAfter
	}
	return &Cluster{
		Config: config, client: config.Local.NewClient(), log: klog.LoggerWithName(klog.FromContext(ctx), "cluster"), queue: make(chan struct{}, 1),
	}
}

// Invited is the response to an invitation.
type Invited struct {
	Token   string    `json:"token"`
	JoinURL string    `json:"joinURL"`
	Expires time.Time `json:"expires"`
	// Voters is the number of members that vote now.
	Voters   int      `json:"voters"`
	Warnings []string `json:"warnings,omitempty"`
}

// Invite makes an invitation for one joiner. The first one gives a lone member its peer listener. replaces is
// the name of a member that the joiner replaces; empty for none.
func (c *Cluster) Invite(ctx context.Context, replaces string) (*Invited, error) {
	if err := c.grow(ctx); err != nil {
		return nil, err
	}
	if replaces != "" {
		removed, err := c.removeInconsistent(ctx, replaces)
		if err != nil {
			return nil, err
		}
		if removed {
			replaces = "" // it is gone before its replacement comes
		}
	}
	now, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	i := invitation{Expires: time.Now().Add(InvitationLifetime).Truncate(time.Second)}
	voters := now.voters()
	if replaces != "" {
		old, err := now.named(replaces)
		if err != nil {
			return nil, err
		}
		i.Replaces = hexID(old.GetID())
	} else {
		voters++
	}
	pin, err := c.Pin()
	if err != nil {
		return nil, err
	}
	token := newToken(pin)
	i.Hash = hashOf(token.Secret)
	if err := c.storeInvitation(ctx, token.ID, i); err != nil {
		return nil, err
	}
	c.log.Info("Invited a member", "invitation", token.ID, "expires", i.Expires, "replaces", i.Replaces)
	return &Invited{Token: token.String(), JoinURL: c.joinURL, Expires: i.Expires, Voters: now.voters(), Warnings: c.warnings(voters)}, nil
}

// warnings are what a user should know before the cluster has a number of voters.
func (c *Cluster) warnings(voters int) []string {
	var found []string
	if warning := storage.QuorumOf(voters).Warning(); warning != "" {
		found = append(found, warning)
	}
	if u, err := url.Parse(c.joinURL); err == nil && isLoopback(u.Hostname()) {
		found = append(found, "this server listens on loopback only, so only a member on this machine can join: for others, restart it with --listen and the address of the machine")
	}
	return found
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// grow gives a lone member its listener.
func (c *Cluster) grow(ctx context.Context) error {
	if c.Local.Clustered() {
		return nil
	}
	state := c.State
	address, err := url.Parse(state.PeerURL)
	if err != nil {
		return err
	}
	if address.Port() == "0" {
		listen := state.PeerListen
		if listen == "" {
			listen = address.Host
		}
		found, err := embedded.Reserve(listen)
		if err != nil {
			return unavailable("--peer-url: " + err.Error())
		}
		_, port, _ := net.SplitHostPort(found)
		state.PeerURL = "https://" + net.JoinHostPort(address.Hostname(), port)
	}
	if err := c.Renew([]string{address.Hostname()}); err != nil {
		return err
	}
	if err := c.Local.Grow(ctx, *state.Member(), func() error { return state.Save(c.DataDir) }); err != nil {
		return unavailable(fmt.Sprintf("this server cannot get peers at %s: %v: restart it with --peer-url and a free address of this machine", state.PeerURL, err))
	}
	c.log.Info("Listening for other members", "peerURL", state.PeerURL)
	return c.storeRecord(ctx, hexID(c.Local.ID()), record{Name: state.Name, PeerURL: state.PeerURL})
}

// Remove removes a member by its name or ID.
func (c *Cluster) Remove(ctx context.Context, name string) error {
	now, err := c.members(ctx)
	if err != nil {
		return err
	}
	member, err := now.named(name)
	if err != nil {
		return err
	}
	if !member.GetIsLearner() && now.voters() == 1 {
		return conflict(fmt.Sprintf("%s is the only member that votes, and the data would be gone with it: invite another member first", name))
	}
	return patiently(ctx, func() error { return c.remove(ctx, member.GetID()) })
}

// patiently repeats a removal, which etcd refuses within 5 s after another change.
func patiently(ctx context.Context, remove func() error) error {
	for patience := time.Now().Add(removePatience); ; {
		err := remove()
		if !apierrors.IsConflict(err) || time.Now().After(patience) || ctx.Err() != nil {
			return err
		}
		time.Sleep(queueRetry)
	}
}

func (c *Cluster) remove(ctx context.Context, id uint64) error {
	if err := c.removeMember(ctx, id); err != nil {
		return err
	}
	return c.removeRecord(ctx, hexID(id))
}

func (c *Cluster) removeMember(ctx context.Context, id uint64) error {
	_, err := c.client.MemberRemove(ctx, id)
	switch {
	case errors.Is(err, rpctypes.ErrMemberNotEnoughStarted), errors.Is(err, rpctypes.ErrUnhealthy):
		return conflict(fmt.Sprintf("etcd refuses the removal (%v): without this member the others that respond would be no majority; start them, or add a member with \"gatehouse member replace\" first", err))
	case errors.Is(err, rpctypes.ErrMemberNotFound):
		return nil
	}
	return err
}

// removeDead removes a member that does not respond.
func (c *Cluster) removeDead(ctx context.Context, now *membership, member *etcdserverpb.Member) error {
	asking, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	if c.responds(asking, member) {
		return conflict(fmt.Sprintf("the member %s at %v runs: stop it, or join with another --member-name and --peer-url", now.name(member), member.GetPeerURLs()))
	}
	return c.remove(ctx, member.GetID())
}

// memberTimeout bounds the question whether a member runs.
const memberTimeout = 2 * time.Second

// responds reports whether a member runs. That an address accepts connections is no proof: the kernel does so for a
// stopped process, and a proxy for one that has ended. The certificate does not matter, since nothing is sent.
func (c *Cluster) responds(ctx context.Context, member *etcdserverpb.Member) bool {
	for _, address := range member.GetPeerURLs() {
		u, err := url.Parse(address)
		if err != nil {
			continue
		}
		dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
		if conn, err := dialer.DialContext(ctx, "tcp", u.Host); err == nil {
			_ = conn.Close()
			return true
		}
	}
	return false
}

// hexID writes an ID as etcdctl does.
func hexID(id uint64) string { return strconv.FormatUint(id, 16) }
