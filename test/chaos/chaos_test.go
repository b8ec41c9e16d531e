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
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	// actsVariable is the number of acts. With a seed it repeats a run, or starts a longer one:
	//
	//	GATEHOUSE_TEST_SEED=7 GATEHOUSE_CHAOS_ACTS=1000 go test ./test/chaos -v -timeout 1h
	actsVariable = "GATEHOUSE_CHAOS_ACTS"

	defaultActs = 45
)

// acts returns the number of acts of the environment, or the default.
func acts(t *testing.T) int {
	t.Helper()
	value := os.Getenv(actsVariable)
	if value == "" {
		return defaultActs
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s=%q is not a whole number", actsVariable, value)
	}
	return n
}

// TestEverythingComesToRestAfterChaos runs two replicas of the controllers, and hosts, over
// faulty connections, and kills and restarts them while apps are changed. The
// test watches and records every write. After the faults
//
//   - every app has exactly its replicas, and no object lacks its owner,
//   - no host has, or ever had, more instances than its capacity,
//   - no instance was ever bound twice, and no release ever had more instances than it wanted,
//   - only leases are written.
func TestEverythingComesToRestAfterChaos(t *testing.T) {
	seed, count := int64(kit.Seed(t)), acts(t)
	t.Logf("with %s=%d", actsVariable, count)
	ctx := t.Context()
	s := newEnv(t, seed)
	h := &history{}
	h.record(ctx, t, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return s.fleet.Instances("").List(ctx, o)
	}, s.fleet.Instances("").Watch)
	h.record(ctx, t, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return s.fleet.Releases("").List(ctx, o)
	}, s.fleet.Releases("").Watch)

	began := time.Now()
	for i := range replicas {
		s.startReplica(i)
	}
	for i := range groups {
		if err := s.startGroup(i); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range plan(seed, count) {
		if err := s.heartbeats.wait(ctx, a.pause); err != nil {
			t.Fatalf("no host lives: %v", err)
		}
		t.Logf("%6.1fs %d: %s", time.Since(began).Seconds(), i, a.what)
		if err := a.do(ctx, s); err != nil {
			t.Fatalf("%s: %v", a.what, err)
		}
	}
	s.comesToRest(ctx)
	t.Logf("%6.1fs: converged", time.Since(began).Seconds())
	s.staysAtRest(ctx)
	t.Logf("%6.1fs: still converged", time.Since(began).Seconds())
	s.comesToRest(ctx)
	s.remembers(ctx, h)
	r := h.check(t, s.lost())
	s.hadFaults(ctx, r)
}

// remembers waits until the history is complete.
func (s *env) remembers(ctx context.Context, h *history) {
	s.t.Helper()
	instances, err := s.fleet.Instances("").List(ctx, metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, i := range instances.Items {
		if err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, restsWithin, true, func(context.Context) (bool, error) { return h.knows(i.ResourceVersion), nil }); err != nil {
			s.t.Fatalf("the watch never sends %s: %v", i.Name, err)
		}
	}
}

// hadFaults fails the test if the run had too few faults to prove anything.
func (s *env) hadFaults(ctx context.Context, r *replay) {
	s.t.Helper()
	count := s.faults.count()
	for _, f := range []fault{conflict, tooMany, internal, unavailable, expired, unsent, unanswered, slow, cut} {
		if count[f] == 0 {
			s.t.Errorf("no request had the fault %q", f)
		}
	}
	lease, err := s.core.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, leader.Lease, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	if lease.Spec.LeaseTransitions == nil || *lease.Spec.LeaseTransitions < 2 || !strings.HasPrefix(*lease.Spec.HolderIdentity, "replica-") {
		s.t.Errorf("the replicas did not compete: the lease is %+v", lease.Spec)
	}
	if r.bindings < defaultActs || r.fullest < instancesPerHost-1 {
		s.t.Errorf("hosts had too little load: %d bindings, %d instances on the fullest", r.bindings, r.fullest)
	}
	s.t.Logf("%d bindings, %d instances on the fullest host, %d more than wanted at most, leaders %d, faults %v", r.bindings, r.fullest, r.excess, *lease.Spec.LeaseTransitions+1, count)
}
