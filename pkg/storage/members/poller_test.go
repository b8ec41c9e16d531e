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

package members

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// fakeMember is a member of a fakeCluster.
type fakeMember struct {
	id      uint64
	name    string
	learner bool
	// urls are those that it advertises, and also those at which it responds, too.
	urls, also []string
	// stopped members do not respond, and down ones refuse connections.
	stopped, down bool
	index         uint64
	errors        []string
	unavailable   string
}

// fakeCluster is a cluster whose members respond at URLs. leader is 0 for none.
type fakeCluster struct {
	mu      sync.Mutex
	leader  uint64
	members []*fakeMember
	// asked counts the questions at each URL.
	asked map[string]int
}

// fakeEndpoint is a URL of a fakeCluster.
type fakeEndpoint struct {
	cluster *fakeCluster
	url     string
}

func (f *fakeEndpoint) close() {}

// probe implements endpoint.
func (f *fakeEndpoint) probe(ctx context.Context) (*answer, error) {
	f.cluster.mu.Lock()
	defer f.cluster.mu.Unlock()
	f.cluster.asked[f.url]++
	for _, m := range f.cluster.members {
		switch {
		case !slices.Contains(m.urls, f.url) && !slices.Contains(m.also, f.url):
			continue
		case m.stopped:
			f.cluster.mu.Unlock()
			<-ctx.Done()
			f.cluster.mu.Lock()
			return nil, ctx.Err()
		case m.down:
			return nil, errors.New("connection refused")
		}
		return f.cluster.answer(m), nil
	}
	return nil, errors.New("no such host")
}

// answer returns what the member says.
func (c *fakeCluster) answer(m *fakeMember) *answer {
	a := &answer{
		status: &etcdserverpb.StatusResponse{
			Header: &etcdserverpb.ResponseHeader{MemberId: m.id, ClusterId: 0xc0ffee}, Leader: c.leader, RaftIndex: m.index, RaftTerm: 2,
			Version: "3.7.3", DbSize: 100, DbSizeInUse: 50, DbSizeQuota: 1000, IsLearner: m.learner, Errors: m.errors,
		},
		at: time.Now(), took: time.Millisecond, unavailable: m.unavailable,
	}
	if c.leader == 0 {
		a.status.Errors = append(slices.Clone(m.errors), "etcdserver: no leader")
	}
	if m.learner { // as etcd refuses it
		return a
	}
	for _, other := range c.members {
		listed := &etcdserverpb.Member{ID: other.id, Name: other.name, ClientURLs: other.urls, IsLearner: other.learner}
		a.members = append(a.members, listed)
	}
	return a
}

// observe returns a poller of the cluster.
func (c *fakeCluster) observe(t *testing.T, endpoints ...string) *Poller {
	t.Helper()
	c.asked = map[string]int{}
	p := New(t.Context(), Config{External: storage.Connection{Endpoints: endpoints}})
	p.open = func(_ context.Context, url string) (endpoint, error) { return &fakeEndpoint{c, url}, nil }
	return p
}

// change changes the cluster.
func (c *fakeCluster) change(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// lines returns a line for each member.
func lines(p *Poller) []string {
	var all []string
	p.List(func(m *diagnostics.StorageMember) {
		behind := "?"
		if m.Behind != nil {
			behind = fmt.Sprint(*m.Behind)
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s behind %s %s", m.MemberName, m.Role, m.Health, behind, m.Error)))
	})
	return all
}

// sentence returns the sentence about the cluster.
func sentence(p *Poller) (message string) {
	p.List(func(m *diagnostics.StorageMember) { message = m.Cluster.Message })
	return message
}

// of returns a cluster of n members, whose first one is the leader, and their URLs.
func of(n int) (*fakeCluster, []string) {
	c := &fakeCluster{leader: 1}
	var urls []string
	for i := range n {
		url := fmt.Sprintf("https://etcd-%d:2379", i)
		urls = append(urls, url)
		c.members = append(c.members, &fakeMember{id: uint64(i + 1), name: fmt.Sprintf("etcd-%d", i), urls: []string{url}, index: 100})
	}
	return c, urls
}

func TestEachMemberIsDescribedAndTheClusterSaysHowManyMayFail(t *testing.T) {
	for _, row := range []struct {
		name    string
		members int
		change  func(c *fakeCluster)
		lines   []string
		message string
	}{
		{"three members work", 3, func(*fakeCluster) {},
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Healthy behind 0", "etcd-2 Follower Healthy behind 0"},
			"3 voters, all healthy; writes need 2, so 1 may fail"},
		{"a stopped follower hides no other member", 3, func(c *fakeCluster) { c.members[2].stopped = true },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Healthy behind 0", "etcd-2 Follower Unreachable behind 100 no response within 1s"},
			"3 voters, 2 healthy; writes need 2, so none may fail"},
		{"a follower is slow", 3, func(c *fakeCluster) { c.members[1].index = 60 },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Healthy behind 40", "etcd-2 Follower Healthy behind 0"},
			"3 voters, all healthy; writes need 2, so 1 may fail"},
		{"the quorum is lost", 3, func(c *fakeCluster) { c.leader, c.members[0].down, c.members[1].down = 0, true, true },
			[]string{"etcd-0 Follower Unreachable behind ? connection refused", "etcd-1 Follower Unreachable behind ? connection refused", "etcd-2 Follower Unhealthy behind ? no leader"},
			"3 voters, 0 healthy; writes need 2: the quorum is lost, and writes fail"},
		{"one of five members is down", 5, func(c *fakeCluster) { c.members[4].down = true },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Healthy behind 0", "etcd-2 Follower Healthy behind 0", "etcd-3 Follower Healthy behind 0", "etcd-4 Follower Unreachable behind 100 connection refused"},
			"5 voters, 4 healthy; writes need 3, so 1 more may fail"},
		{"an even number is no better", 2, func(*fakeCluster) {},
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Healthy behind 0"},
			"2 voters, all healthy; writes need 2, so none may fail. 2 etcd members need a quorum of 2 and tolerate 0 failures, as 1 does with one machine fewer that can fail: use 1 member, or 3 to tolerate 1 failure"},
		{"a learner has no vote", 2, func(c *fakeCluster) { c.members[1].learner = true },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Learner Healthy behind 0"},
			"1 voter, all healthy, and 1 learner; writes need 1, so none may fail"},
		{"a member with a full database votes", 1, func(c *fakeCluster) { c.members[0].errors = []string{"memberID:1  alarm:NOSPACE"} },
			[]string{"etcd-0 Leader Unhealthy behind 0 the database has reached its quota, so writes are refused"},
			"1 voter, all healthy; writes need 1, so none may fail"},
		{"a lone member with inconsistent data needs a backup", 1, func(c *fakeCluster) { c.members[0].errors = []string{"memberID:1  alarm:CORRUPT"} },
			[]string{"etcd-0 Leader Unhealthy behind 0 the data are inconsistent, so requests are refused: restore a backup"},
			"1 voter, all healthy; writes need 1, so none may fail"},
		{"one of three members with inconsistent data is replaced", 3, func(c *fakeCluster) { c.members[0].errors = []string{"memberID:2  alarm:CORRUPT"} },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Unhealthy behind 0 the data differ from those of other members, so requests are refused: replace the member, which gets theirs", "etcd-2 Follower Healthy behind 0"},
			"3 voters, all healthy; writes need 2, so 1 may fail"},
		{"a member was added and is not started", 3, func(c *fakeCluster) { c.members[2].urls, c.members[2].name = nil, "" },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Healthy behind 0", "Follower Unreachable behind 100 the member has not started: it advertises no URL for clients"},
			"3 voters, 2 healthy; writes need 2, so none may fail"},
		{"two members advertise the same URL", 2, func(c *fakeCluster) { c.members[1].urls = c.members[0].urls },
			[]string{"etcd-0 Leader Healthy behind 0", "etcd-1 Follower Unreachable behind 100 another member responds at https://etcd-0:2379"},
			"2 voters, 1 healthy; writes need 2: the quorum is lost, and writes fail. 2 etcd members need a quorum of 2 and tolerate 0 failures, as 1 does with one machine fewer that can fail: use 1 member, or 3 to tolerate 1 failure"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, urls := of(row.members)
			p := c.observe(t, urls[0])
			p.poll(t.Context())
			c.change(func() {
				row.change(c)
				for _, m := range c.members {
					m.index += 100 // only those that respond are seen to move
				}
			})
			p.poll(t.Context()) // members may have new URLs from here on
			p.poll(t.Context())
			if got := lines(p); !slices.Equal(got, row.lines) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.lines, "\n"))
			}
			if got := sentence(p); got != row.message {
				t.Errorf("got  %s\nwant %s", got, row.message)
			}
		})
	}
}

func TestVotersThatRespondAreCounted(t *testing.T) {
	c, urls := of(4)
	c.members[3].learner = true
	p := c.observe(t, urls[0])
	count := func(what string, responding, voters int) {
		t.Helper()
		if got, of := p.Responding(); got != responding || of != voters {
			t.Errorf("%s, %d of %d respond, want %d of %d", what, got, of, responding, voters)
		}
	}
	count("before the first poll", 0, 0)
	p.poll(t.Context())
	count("beside a learner", 3, 3)
	c.change(func() { c.leader, c.members[0].down, c.members[1].stopped = 0, true, true })
	p.poll(t.Context())
	count("without a leader", 1, 3)
}

func TestNoMemberIsAskedTwiceInAPoll(t *testing.T) {
	c, urls := of(3)
	c.members[0].also = []string{"https://localhost:2379"}
	c.members[1].also = []string{"https://balancer:2379"}
	p := c.observe(t, "https://localhost:2379", "https://balancer:2379", urls[0])
	p.poll(t.Context())
	c.change(func() { c.asked = map[string]int{} })
	p.poll(t.Context())
	if want := map[string]int{"https://localhost:2379": 1, "https://balancer:2379": 1, urls[2]: 1}; !maps.Equal(c.asked, want) {
		t.Errorf("asked %v, want %v", c.asked, want)
	}
}

func TestMembersThatNoFlagNamesAreAskedAtTheirURLs(t *testing.T) {
	c, urls := of(2)
	p := c.observe(t, urls[0])
	p.poll(t.Context())
	if got := lines(p); len(got) != 2 || got[1] != "etcd-1 Follower Healthy behind 0" {
		t.Errorf("got %v", got)
	}
	c.change(func() {
		c.members = append(c.members, &fakeMember{id: 9, name: "new", urls: []string{"https://new:2379"}, index: 100})
	})
	p.poll(t.Context())
	if got := lines(p); len(got) != 3 || got[2] != "new Follower Healthy behind 0" {
		t.Errorf("after a member has joined: %v", got)
	}
	// The member that the flag names is down.
	c.change(func() { c.leader, c.members[0].down = 2, true })
	p.poll(t.Context())
	if got := lines(p); len(got) != 3 || got[0] != "etcd-0 Follower Unreachable behind 0 connection refused" || got[1] != "etcd-1 Leader Healthy behind 0" {
		t.Errorf("while the only given member is down: %v", got)
	}
	c.change(func() { c.members = slices.Delete(c.members, 2, 3) })
	p.poll(t.Context())
	if got := lines(p); len(got) != 2 || p.endpoints["https://new:2379"] != nil || p.observed[9] != nil {
		t.Errorf("after it has left: %v, %v", got, p.endpoints)
	}
}

func TestReadersWaitForTheSamePollAndNotForAMemberThatIsStopped(t *testing.T) {
	c, urls := of(3)
	c.members[2].stopped = true
	p := c.observe(t, urls...)
	var done sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		done.Wait()
	}()
	done.Go(func() { p.Run(ctx) })
	var readers sync.WaitGroup
	var failed atomic.Int32
	for range 100 {
		readers.Go(func() {
			if err := p.Fresh(t.Context()); err != nil || len(lines(p)) != 3 {
				failed.Add(1)
			}
		})
	}
	readers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed.Load() > 0 || c.asked[urls[0]] > 3 {
		t.Errorf("%d of 100 readers failed, and the member was asked %d times", failed.Load(), c.asked[urls[0]])
	}
}

func TestPollsAreRareWhileNoClientReads(t *testing.T) {
	c, urls := of(1)
	p := c.observe(t, urls...)
	now := time.Now()
	if got := p.pause(now); got != idleInterval {
		t.Errorf("without a reader %v", got)
	}
	stop := p.Follow()
	if got := p.pause(now); got != busyInterval {
		t.Errorf("with a watch %v", got)
	}
	stop()
	stop()
	if got := p.pause(now); got != idleInterval {
		t.Errorf("after the watch %v", got)
	}
	p.lastRead.Store(now.UnixNano())
	if got := p.pause(now.Add(busyFor - 1)); got != busyInterval {
		t.Errorf("after a read %v", got)
	}
	if got := p.pause(now.Add(busyFor)); got != idleInterval {
		t.Errorf("long after a read %v", got)
	}
}

func TestAnEtcdThatHasNeverRespondedIsAnError(t *testing.T) {
	c, urls := of(1)
	c.members[0].down = true
	p := c.observe(t, urls...)
	p.poll(t.Context())
	if err := p.Fresh(t.Context()); err == nil || !strings.Contains(err.Error(), urls[0]+": connection refused") {
		t.Errorf("got %v", err)
	}
	c.change(func() { c.members[0].down = false })
	p.poll(t.Context())
	if err := p.Fresh(t.Context()); err != nil {
		t.Errorf("after a response: %v", err)
	}
}
