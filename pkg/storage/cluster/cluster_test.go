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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// newCluster returns the membership of a lone etcd.
func newCluster(t *testing.T, change func(*Config)) *Cluster {
	t.Helper()
	dir := t.TempDir()
	made, err := certificates.Ensure(filepath.Join(dir, "pki"), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := certificates.EnsurePeer(made.Dir, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := certificates.EnsureSigningKey(made.Dir); err != nil {
		t.Fatal(err)
	}
	etcd, err := embedded.Start(t.Context(), embedded.Config{
		DataDir: filepath.Join(dir, "etcd"),
		PeerTLS: &embedded.PeerTLS{CAFile: trust.CAFile, CertFile: trust.CertFile, KeyFile: trust.KeyFile, CommonName: certificates.PeerCommonName},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := etcd.Close(); err != nil {
			t.Error(err)
		}
	})
	config := Config{
		Local: etcd, DataDir: dir, CertificateDir: made.Dir, State: State{Name: "a", PeerURL: "https://127.0.0.1:0"}, SigningKey: true,
		Pin:   func() ([]byte, error) { return PinOf(made.CA.Cert, made.Serving.Cert), nil },
		Renew: func([]string) error { return nil },
	}
	if change != nil {
		change(&config)
	}
	c := New(t.Context(), config)
	t.Cleanup(func() { _ = c.client.Close() })
	c.joinURL = "https://127.0.0.1:6443"
	return c
}

// invited returns the ID and the bearer of a new invitation.
func invited(t *testing.T, c *Cluster) Token {
	t.Helper()
	i, err := c.Invite(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := ParseToken(i.Token)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// joinRequest returns the request of a joiner.
func joinRequest(t *testing.T, name, peerURL string) JoinRequest {
	t.Helper()
	csr, err := certificates.RequestPeer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return JoinRequest{Name: name, PeerURL: peerURL, Request: csr}
}

func TestOnlyTheTokenOfAnInvitationAuthenticates(t *testing.T) {
	c := newCluster(t, nil)
	token := invited(t, c)
	for _, test := range []struct{ name, bearer, want string }{
		{"its own", token.bearer(), JoinerUserPrefix + token.ID},
		{"another secret", token.bearer() + "x", ""},
		{"an invitation that does not exist", newToken(token.Pin).bearer(), ""},
		{"another kind of token", "abcdef.0123456789abcdef", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, ok, err := c.AuthenticateToken(t.Context(), test.bearer)
			if err != nil || ok != (test.want != "") {
				t.Fatalf("authenticated %v: %v", ok, err)
			}
			if ok && (found.User.GetName() != test.want || len(found.User.GetGroups()) != 1) {
				t.Errorf("authenticated %v", found.User.(*user.DefaultInfo))
			}
		})
	}
	stored, err := c.client.Get(t.Context(), invitationPrefix+token.ID)
	if err != nil || len(stored.Kvs) != 1 || stored.Kvs[0].Lease == 0 || strings.Contains(string(stored.Kvs[0].Value), token.Secret) {
		t.Errorf("etcd has the secret of an invitation, or has it for ever: %v, %v", stored, err)
	}
}

func TestAJoinerGetsTheSharedKeysAndIsOneMember(t *testing.T) {
	encryption := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(encryption, []byte("kind: EncryptionConfiguration\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, func(config *Config) { config.EncryptionFile = encryption })
	token, wanted := invited(t, c), joinRequest(t, "b", "https://127.0.0.1:7001")
	var first *Joined
	for range 2 {
		joined, err := c.Join(t.Context(), token.ID, wanted)
		if err != nil {
			t.Fatal(err)
		}
		if len(joined.Peers) != 1 || joined.InvitedBy != "a" || joined.Voters != 2 || len(joined.Warnings) == 0 {
			t.Errorf("the joiner gets %+v", joined)
		}
		if string(joined.Encryption) != "kind: EncryptionConfiguration\n" || len(joined.Shared.SigningKey) == 0 || len(joined.Shared.CAKey) == 0 {
			t.Error("the joiner lacks a shared key")
		}
		if first == nil {
			first = joined
		}
	}
	now, err := c.members(t.Context())
	if err != nil || len(now.list) != 2 || now.voters() != 1 {
		t.Errorf("the cluster has the members %v: %v", now, err)
	}
	for _, refused := range []struct {
		name, id string
		r        JoinRequest
		want     func(error) bool
	}{
		{"another joiner with the same invitation", token.ID, joinRequest(t, "c", "https://127.0.0.1:7002"), apierrors.IsForbidden},
		{"an invitation that does not exist", "000000000000", wanted, apierrors.IsForbidden},
		{"the name of another member", invited(t, c).ID, joinRequest(t, "b", "https://127.0.0.1:7002"), apierrors.IsConflict},
		{"the address of another member", invited(t, c).ID, joinRequest(t, "c", "https://127.0.0.1:7001"), apierrors.IsConflict},
		{"a name that is none", token.ID, joinRequest(t, "B_", "https://127.0.0.1:7002"), apierrors.IsBadRequest},
		{"an address without TLS", token.ID, joinRequest(t, "c", "http://127.0.0.1:7002"), apierrors.IsBadRequest},
		{"an address without a port", token.ID, joinRequest(t, "c", "https://127.0.0.1"), apierrors.IsBadRequest},
	} {
		t.Run(refused.name, func(t *testing.T) {
			if _, err := c.Join(t.Context(), refused.id, refused.r); !refused.want(err) {
				t.Errorf("the join ends with %v", err)
			}
		})
	}
}

func TestALearnerThatNeverRespondsIsEvictedAndItsInvitationUsable(t *testing.T) {
	c := newCluster(t, func(config *Config) { config.EvictAfter = time.Minute })
	token := invited(t, c)
	if _, err := c.Join(t.Context(), token.ID, joinRequest(t, "b", "https://127.0.0.1:7001")); err != nil {
		t.Fatal(err)
	}
	w, now := &warden{seen: map[uint64]time.Time{}}, time.Now()
	learners := func() int {
		members, err := c.members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(members.list) - members.voters()
	}
	if c.Local.Progress() == nil {
		t.Skip("raft's status is that of another etcd of this process")
	}
	kit.Eventually(t, "the leader notices that the learner does not respond", func(context.Context) bool {
		for _, p := range c.Local.Progress() {
			if p.Learner {
				return !p.Active
			}
		}
		return false
	})
	for _, after := range []time.Duration{0, 30 * time.Second} {
		if err := c.tend(t.Context(), w, now.Add(after)); err != nil || learners() != 1 {
			t.Fatalf("after %v there are %d learners: %v", after, learners(), err)
		}
	}
	if err := c.tend(t.Context(), w, now.Add(2*time.Minute)); err != nil || learners() != 0 {
		t.Fatalf("after two minutes there are %d learners: %v", learners(), err)
	}
	if _, err := c.Join(t.Context(), token.ID, joinRequest(t, "c", "https://127.0.0.1:7002")); err != nil {
		t.Errorf("the invitation is not usable again: %v", err)
	}
}

func TestAMemberThatWasRemovedInTheSameSecondJoinsAgain(t *testing.T) {
	c := newCluster(t, nil)
	invited(t, c)
	// One second has many of these pairs, so that at least one of them is within a second.
	ids := map[uint64]bool{}
	for range 3 {
		id, err := c.addLearner(t.Context(), "https://127.0.0.1:7001")
		if err != nil {
			t.Fatal(err)
		}
		if ids[id] {
			t.Fatalf("the member has the ID of a removed one, %s", hexID(id))
		}
		ids[id] = true
		if err := c.remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

// alarm sets the alarm for inconsistent data of a member, as etcd does after a comparison of the members.
func alarm(t *testing.T, c *Cluster, id uint64) {
	t.Helper()
	remote := c.Local.NewClient() // of a member with peers: it has a connection
	defer remote.Close()
	set := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: id, Alarm: etcdserverpb.AlarmType_CORRUPT}
	if _, err := etcdserverpb.NewMaintenanceClient(remote.ActiveConnection()).Alarm(t.Context(), set); err != nil {
		t.Fatal(err)
	}
}

func TestAMemberWithInconsistentDataIsReplaced(t *testing.T) {
	c := newCluster(t, nil)
	if _, err := c.Join(t.Context(), invited(t, c).ID, joinRequest(t, "b", "https://127.0.0.1:7001")); err != nil {
		t.Fatal(err)
	}
	now, err := c.members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := now.at("https://127.0.0.1:7001").GetID()
	alarm(t, c, id)
	if problem := c.Local.Alarm(); problem == nil || !strings.Contains(problem.Error(), "gatehouse member replace "+hexID(id)) {
		t.Errorf("the problem is %v", problem)
	}
	if _, err := c.Invite(t.Context(), hexID(c.Local.ID())); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "gatehouse member replace "+hexID(id)) {
		t.Errorf("the replacement of another member ends with %v", err)
	}
	i, err := c.Invite(t.Context(), hexID(id))
	if err != nil {
		t.Fatal(err)
	}
	token, err := ParseToken(i.Token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Join(t.Context(), token.ID, joinRequest(t, "b", "https://127.0.0.1:7002")); err != nil {
		t.Errorf("its replacement does not join: %v", err)
	}
	if now, err = c.members(t.Context()); err != nil || now.withID(id) != nil || now.at("https://127.0.0.1:7002") == nil || len(now.list) != 2 {
		t.Errorf("the members are %v: %v", now, err)
	}
	if problem := c.Local.Alarm(); problem != nil {
		t.Errorf("the alarm is still set: %v", problem)
	}
}

func TestNoMemberIsReplacedWithoutOneThatHasTheData(t *testing.T) {
	for name, of := range map[string]func(*Cluster) uint64{
		"the only voter is inconsistent":               func(c *Cluster) uint64 { return c.Local.ID() },
		"etcd does not know which member is incorrect": func(*Cluster) uint64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, nil)
			invited(t, c)
			alarm(t, c, of(c))
			if _, err := c.Invite(t.Context(), hexID(c.Local.ID())); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `"gatehouse restore"`) {
				t.Errorf("the replacement ends with %v", err)
			}
			if problem := c.Local.Alarm(); problem == nil || !strings.Contains(problem.Error(), `"gatehouse restore"`) {
				t.Errorf("the problem is %v", problem)
			}
		})
	}
}

func TestTheOnlyVoterIsNotRemoved(t *testing.T) {
	c := newCluster(t, nil)
	invited(t, c)
	for name, want := range map[string]func(error) bool{"a": apierrors.IsConflict, "b": apierrors.IsNotFound} {
		if err := c.Remove(t.Context(), name); !want(err) {
			t.Errorf("the removal of %s ends with %v", name, err)
		}
	}
}

func TestAClientOfALoneMemberGoesOnWithPeers(t *testing.T) {
	c := newCluster(t, nil)
	before := c.Local.NewClient()
	defer before.Close()
	watched := before.Watch(t.Context(), "/test/", clientv3.WithPrefix())
	if _, err := before.Put(t.Context(), "/test/a", "1"); err != nil {
		t.Fatal(err)
	}
	invited(t, c)
	kit.Eventually(t, "the watch in the process ends", func(context.Context) bool {
		select {
		case _, open := <-watched:
			return !open
		default:
			return false
		}
	})
	if _, err := before.Put(t.Context(), "/test/b", "2"); err != nil {
		t.Error(err)
	}
	again := before.Watch(t.Context(), "/test/", clientv3.WithPrefix(), clientv3.WithRev(1))
	seen := 0
	for response := range again {
		if seen += len(response.Events); seen == 2 {
			break
		}
	}
	if remote := c.Local.NewClient(); len(remote.Endpoints()) != 1 {
		t.Errorf("a new client has the endpoints %v, want the socket", remote.Endpoints())
	} else {
		_ = remote.Close()
	}
}

func TestAResetLeavesADirectoryThatCanJoin(t *testing.T) {
	dir := t.TempDir()
	etcd := filepath.Join(dir, "etcd")
	if err := os.MkdirAll(filepath.Join(etcd, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (&State{Name: "a", PeerURL: "https://127.0.0.1:7001"}).Save(dir); err != nil {
		t.Fatal(err)
	}
	aside, err := Reset(dir, etcd)
	if err != nil || aside != etcd+".removed" {
		t.Fatalf("the data is in %q: %v", aside, err)
	}
	state, err := Load(dir)
	if _, gone := os.Stat(etcd); state != nil || err != nil || !errors.Is(gone, os.ErrNotExist) {
		t.Errorf("the directory still has %v, %v, %v", state, err, gone)
	}
	if aside, err = Reset(dir, etcd); err != nil || aside != "" {
		t.Errorf("a second reset finds %q: %v", aside, err)
	}
}

func TestADamagedStateNamesItsCure(t *testing.T) {
	for name, content := range map[string]string{"no JSON": "{", "empty": "", "without a name": "{}"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, StateName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "gatehouse member reset") {
				t.Errorf("the state is judged %v", err)
			}
		})
	}
}
