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

package chaos

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
)

// Timeouts of minutes are seconds here. A lease outlives its holder's work by a second, in which the
// requests of the holder arrive.
const (
	leaseDuration = 3 * time.Second
	renewDeadline = 2 * time.Second
	retryPeriod   = 300 * time.Millisecond

	replicas = 2
	// instancesPerHost is so small that hosts get full.
	instancesPerHost = 6
)

// groups are hosts that fail together, with their sizes.
var groups = []struct {
	prefix string
	hosts  int
}{{"alder-", 3}, {"birch-", 3}, {"cedar-", 2}}

// lifecycle returns options that do not halt evictions as long as one host is left.
func lifecycle() hostlifecycle.Options {
	o := hostlifecycle.DefaultOptions()
	o.Grace, o.StartupGrace, o.MonitorPeriod = 2*time.Second, 4*time.Second, 250*time.Millisecond
	o.Toleration, o.Quarantine = time.Second, time.Second
	o.EvictionRate, o.SecondaryEvictionRate, o.UnhealthyThreshold = 20, 20, 1
	return o
}

func hosts(group int, seed int64) simulation.Options {
	o := simulation.DefaultOptions()
	o.NamePrefix, o.Count, o.Seed, o.Version = groups[group].prefix, groups[group].hosts, seed, "chaos"
	o.CPU, o.Memory, o.Instances = resource.MustParse("2"), resource.MustParse("2Gi"), instancesPerHost
	o.LeaseDuration, o.ReportInterval = 2*time.Second, time.Second
	o.StartDelay, o.StopDelay = 200*time.Millisecond, 200*time.Millisecond
	o.FailureRate, o.FailureAfter = 0.1, time.Second
	return o
}

// process is a running replica or group of hosts that can be ended.
type process struct {
	transport *faultTransport
	end       func()
}

// env is a server with all its processes.
type env struct {
	t      *testing.T
	faults *faults
	server *rest.Config
	fleet  fleetclient.FleetV1alpha1Interface
	core   kubernetes.Interface

	// heartbeats of hosts and renewals of the lease are the clocks of the test.
	heartbeats, renewals *gauge

	replicas [replicas]*process
	groups   []*process
	born     int
	// transports are all transports, including those of ended processes.
	transports []*faultTransport
}

func newEnv(t *testing.T, seed int64) *env {
	t.Helper()
	server := servertesting.Start(t)
	client, err := versioned.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := &env{
		t: t, faults: &faults{seed: seed, did: map[fault]int{}}, server: server.Config, fleet: client.FleetV1alpha1(), core: core,
		heartbeats: newGauge(), renewals: newGauge(), groups: make([]*process, len(groups)),
	}
	t.Cleanup(s.end)
	return s
}

func (s *env) end() {
	for i := range s.replicas {
		s.endReplica(i)
	}
	for i := range s.groups {
		s.endGroup(i)
	}
}

func (s *env) newTransport(name string) *faultTransport {
	l := newTransport(name, s.faults, func(k kind) {
		switch {
		case k.method != http.MethodPut:
		case k.resource == "hostleases":
			s.heartbeats.add()
		case k.resource == "leases":
			s.renewals.add()
		}
	})
	s.transports = append(s.transports, l)
	return l
}

// start runs a function until its end is called, which waits for it.
func start(l *faultTransport, run func(context.Context)) *process {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return &process{transport: l, end: func() {
		cancel()
		<-done
	}}
}

// startReplica starts the controllers of `gatehouse controllers`, unless they run.
func (s *env) startReplica(i int) {
	if s.replicas[i] != nil {
		return
	}
	s.born++
	name := fmt.Sprintf("replica-%d", i)
	election := leader.Config{
		Namespace: metav1.NamespaceSystem, LeaseName: leader.Lease, Identity: fmt.Sprintf("%s.%d", name, s.born),
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
	}
	l := s.newTransport(fmt.Sprintf("%s.%d", name, s.born))
	s.replicas[i] = start(l, func(ctx context.Context) {
		if err := manager.RunFleet(ctx, l.config(s.server), authentication.ControllerUserPrefix, election, lifecycle()); err != nil {
			s.t.Error(err)
		}
	})
}

// endReplica ends a replica, which releases its lease.
func (s *env) endReplica(i int) {
	if s.replicas[i] != nil {
		s.replicas[i].end()
		s.replicas[i] = nil
	}
}

// killReplica blocks all requests, including the release of the lease.
func (s *env) killReplica(i int) {
	if s.replicas[i] != nil {
		s.replicas[i].transport.disconnect()
		s.endReplica(i)
	}
}

// startGroup starts the hosts of a group, unless they run.
func (s *env) startGroup(i int) error {
	if s.groups[i] != nil {
		return nil
	}
	l := s.newTransport(groups[i].prefix)
	config := l.config(s.server)
	played, err := simulation.New(hosts(i, s.faults.seed), func(host string) (*rest.Config, error) {
		own := rest.CopyConfig(config)
		own.UserAgent = host
		own.ContentType, own.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
		own.Impersonate = rest.ImpersonationConfig{UserName: v1alpha1.HostUserPrefix + host, Groups: []string{v1alpha1.HostsGroup}}
		return own, nil
	})
	if err != nil {
		return err
	}
	s.groups[i] = start(l, played.Run)
	return nil
}

// endGroup simulates a power failure.
func (s *env) endGroup(i int) {
	if s.groups[i] != nil {
		s.groups[i].transport.disconnect()
		s.groups[i].end()
		s.groups[i] = nil
	}
}

// loseGroup ends a group and deletes its hosts, as an operator does with lost ones.
func (s *env) loseGroup(ctx context.Context, i int) error {
	s.endGroup(i)
	for _, name := range hostNames(i) {
		if err := s.deleteHost(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// hostNames returns the names of the hosts of a group.
func hostNames(group int) []string {
	o := hosts(group, 0)
	var names []string
	for number := 1; number <= o.Count; number++ {
		names = append(names, o.HostName(number))
	}
	return names
}

// lost returns the instances that were created without a response to the client.
func (s *env) lost() map[types.UID]bool {
	lost := map[types.UID]bool{}
	for _, l := range s.transports {
		l.sent.Wait()
		l.mu.Lock()
		for uid := range l.lost {
			lost[uid] = true
		}
		l.mu.Unlock()
	}
	return lost
}

// gauge is a counter with a wait for its increase.
type gauge struct {
	mu      sync.Mutex
	n       int
	changed chan struct{}
}

func newGauge() *gauge { return &gauge{changed: make(chan struct{})} }

func (g *gauge) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *gauge) now() (int, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n, g.changed
}

// wait waits until the count has increased by more.
func (g *gauge) wait(ctx context.Context, more int) error { return g.after(more)(ctx) }

// after returns a function that waits until the count has increased by more from now.
func (g *gauge) after(more int) func(context.Context) error {
	n, _ := g.now()
	return func(ctx context.Context) error { return g.reach(ctx, n+more) }
}

func (g *gauge) reach(ctx context.Context, until int) error {
	for n, changed := g.now(); n < until; n, changed = g.now() {
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
