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
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	// busyInterval and idleInterval are the pauses between two polls: while clients read or watch members, and
	// otherwise, when the polls are for the metrics and for the first read. A poll of a lone embedded etcd takes
	// a millisecond.
	busyInterval = time.Second
	idleInterval = 15 * time.Second
	// busyFor is the time after a read for which the short pause applies.
	busyFor = 10 * time.Second
	// freshFor is the age of observations from which a read waits for the next ones. It is longer than the pause
	// and a poll in which a member does not respond, so that reads in a row do not wait.
	freshFor = 3 * time.Second
	// memberTimeout bounds the requests to one member in a poll. A status needs neither the disk nor other
	// members, so one that takes longer is a failure.
	memberTimeout = time.Second
	// retriesBeforeNewClient is the number of failures after which a client is replaced, which reads the TLS
	// files again.
	retriesBeforeNewClient = 10
)

// Local is an etcd member in this process: see embedded.Server.
type Local interface {
	// NewClient returns a client that calls etcd's functions, without a connection.
	NewClient() *clientv3.Client
	// Metrics returns etcd's own metrics.
	Metrics() metrics.Gatherer
}

// Config holds the inputs of a Poller.
type Config struct {
	// Local is the member in this process; nil for none.
	Local Local
	// External are the addresses and TLS files of etcd. The TLS files are used for members besides Local, too.
	External storage.Connection
}

// endpoint is an address at which a member responds.
type endpoint interface {
	// probe asks the member. The context has a deadline.
	probe(ctx context.Context) (*answer, error)
	close()
}

// answer is what a member said of itself, and of its cluster.
type answer struct {
	status *etcdserverpb.StatusResponse
	// members are those of the cluster; empty from a learner, which has no answer to this question.
	members []*etcdserverpb.Member
	// at is the time of the response, and took its duration.
	at   time.Time
	took time.Duration
	// fsyncs are the durations of the writes of the log since the member started, unless unavailable says why
	// they are not known.
	fsyncs      histogram
	unavailable string
}

func (a *answer) member() uint64 { return a.status.GetHeader().GetMemberId() }

// localURL stands for the member in this process where other members have a URL.
const localURL = ""

// Poller observes the members. All its fields but the last ones belong to the goroutine of Run.
type Poller struct {
	config Config
	open   func(ctx context.Context, url string) (endpoint, error)
	log    klog.Logger

	// endpoints are the opened ones by URL, failures the failures of each since its last response, and owners the
	// members that responded there.
	endpoints map[string]endpoint
	failures  map[string]int
	owners    map[string]uint64
	// observed has what is known of the members by ID.
	observed map[uint64]*observation
	// listed are the members of the cluster, in the last response of a member.
	listed  []*etcdserverpb.Member
	cluster uint64

	store
	// lastRead is the time of the last read in nanoseconds, and followers the number of watches.
	lastRead  atomic.Int64
	followers atomic.Int32
	// wake ends the pause between two polls.
	wake chan struct{}

	mu sync.Mutex
	// published is the time at which the last poll ended, and next is closed at the end of the next one.
	published time.Time
	next      chan struct{}
	// unknown is why no member is known.
	unknown error
	// responding and voters are the numbers of voters in the last poll.
	responding, voters int
}

// observation is what is known of a member.
type observation struct {
	// last is the last response; nil for none.
	last   *answer
	fsyncs history
	// err is why there was no response in the last poll.
	err error
}

// New returns a Poller. Run starts it.
func New(ctx context.Context, config Config) *Poller {
	p := &Poller{
		config: config, log: klog.LoggerWithName(klog.FromContext(ctx), "etcd"),
		endpoints: map[string]endpoint{}, failures: map[string]int{}, owners: map[string]uint64{}, observed: map[uint64]*observation{},
		wake: make(chan struct{}, 1), next: make(chan struct{}), unknown: errors.New("no member of etcd was asked yet"),
	}
	p.open = p.openURL
	p.changed = make(chan struct{})
	return p
}

// Run polls until the context ends.
func (p *Poller) Run(ctx context.Context) {
	defer func() {
		for _, e := range p.endpoints {
			e.close()
		}
	}()
	for {
		p.poll(ctx)
		pause := time.NewTimer(p.pause(time.Now()))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		case <-p.wake:
			pause.Stop()
		}
	}
}

// pause returns the time until the next poll.
func (p *Poller) pause(now time.Time) time.Duration {
	if p.followers.Load() > 0 || now.Sub(time.Unix(0, p.lastRead.Load())) < busyFor {
		return busyInterval
	}
	return idleInterval
}

// Fresh waits until the observations are at most three seconds old, and returns an error if no member is known. All
// callers wait for the same poll, which a member that does not respond delays by a second.
func (p *Poller) Fresh(ctx context.Context) error {
	p.lastRead.Store(time.Now().UnixNano())
	p.mu.Lock()
	fresh, next := time.Since(p.published) < freshFor, p.next
	p.mu.Unlock()
	if !fresh {
		p.wakeUp()
		// Members that are new to the poller are asked after the others.
		limit := time.NewTimer(3 * memberTimeout)
		defer limit.Stop()
		select {
		case <-next:
		case <-limit.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unknown
}

// Responding returns the number of voters that responded to the last poll, and the number of all voters. A voter
// that responds without a leader counts.
func (p *Poller) Responding() (responding, voters int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.responding, p.voters
}

func (p *Poller) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Follow makes the poller poll each second until the returned function is called.
func (p *Poller) Follow() (stop func()) {
	p.followers.Add(1)
	p.wakeUp()
	return sync.OnceFunc(func() { p.followers.Add(-1) })
}
