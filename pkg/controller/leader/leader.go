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

// Package leader elects one of several replicas of the controllers by a Lease. Read Elect.
package leader

import (
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// Name of the user, after a prefix, that holds the lease if the server itself runs the
// controllers.
const Name = "leader-election"

// Lease is the name of the lease of the controllers of the fleet.
const Lease = "gatehouse-controllers"

// These are the defaults of kube-controller-manager: short enough that a crashed replica is
// replaced soon, and long enough for an overloaded server.
const (
	DefaultLeaseDuration = 15 * time.Second
	DefaultRenewDeadline = 10 * time.Second
	DefaultRetryPeriod   = 2 * time.Second
)

// Config configures an election.
type Config struct {
	// Client reaches the server that stores the lease.
	Client *rest.Config
	// Namespace and LeaseName identify the lease. The namespace must exist.
	Namespace, LeaseName string
	// Identity of this replica. Concurrent replicas must not share one; a replica that restarts
	// with the identity that still holds the lease need not wait for its end.
	Identity string
	// LeaseDuration is the time that others wait for a holder that no longer renews. RenewDeadline
	// is the time that a holder tries to renew before it stops, and must be shorter. RetryPeriod
	// is the time between attempts.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// WatchDog, if set, reports whether the lease is renewed in time.
	WatchDog *leaderelection.HealthzAdaptor
}

// Identity returns an identity that is unique to this process and begins with the host name.
func Identity() string {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	return hostname + "_" + string(uuid.NewUUID())
}

func (c Config) elector(lock resourcelock.Interface, callbacks leaderelection.LeaderCallbacks) (*leaderelection.LeaderElector, error) {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: c.LeaseName, Lock: lock, Callbacks: callbacks, WatchDog: c.WatchDog,
		LeaseDuration: c.LeaseDuration, RenewDeadline: c.RenewDeadline, RetryPeriod: c.RetryPeriod,
		// term releases the lease: client-go would do so before it calls OnStoppedLeading, and
		// with an unreachable server that takes longer than the lease is valid.
		ReleaseOnCancel: false,
	})
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	if c.WatchDog != nil {
		c.WatchDog.SetLeaderElection(elector)
	}
	return elector, nil
}

// Elect calls work while this replica holds the lease, until the context ends or work fails. work
// gets a context that ends when the lease is lost, and must return soon after; it is called again
// when the lease is acquired again.
//
// The lease is released when work has returned, so that the next replica need not wait. Elect
// returns the error of work, and errors of the configuration before work is called.
func Elect(ctx context.Context, c Config, work func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := term(ctx, c, work); err != nil {
			return err
		}
	}
	return nil
}

// term is one candidacy and, if it acquires the lease, one call of work.
func term(ctx context.Context, c Config, work func(context.Context) error) error {
	logger := klog.FromContext(ctx).WithName(Name)
	client, err := coordinationv1.NewForConfig(c.Client)
	if err != nil {
		return err
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: c.Namespace, Name: c.LeaseName},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: c.Identity},
	}
	// The election outlives ctx until work has returned.
	election, end := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logger))
	defer end()
	leading, worked := make(chan struct{}), make(chan error, 1)
	elector, err := c.elector(lock, leaderelection.LeaderCallbacks{
		OnStartedLeading: func(lease context.Context) {
			close(leading)
			defer end()
			while, stop := context.WithCancel(ctx)
			defer stop()
			defer context.AfterFunc(lease, stop)()
			if while.Err() != nil {
				worked <- nil
				return
			}
			worked <- work(while)
		},
		OnStoppedLeading: func() {},
		OnNewLeader: func(identity string) {
			logger.Info("Leader of the controllers changed", "leader", identity, "self", identity == c.Identity)
		},
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		select {
		case <-leading: // work returns when ctx ends, and that ends the election
		default:
			end()
		}
	})()
	elector.Run(election)
	var failure error
	select {
	case <-leading:
		failure = <-worked
	default: // the lease was not acquired, or as ctx ended, and then work is not called
	}
	release(context.WithoutCancel(ctx), c, lock)
	return failure
}

// release releases the lease if this replica still holds it. A failure is not an error: the lease
// expires.
func release(ctx context.Context, c Config, lock resourcelock.Interface) {
	ctx, cancel := context.WithTimeout(ctx, c.RetryPeriod)
	defer cancel()
	held, _, err := lock.Get(ctx)
	if err != nil || held.HolderIdentity != c.Identity {
		return
	}
	now := metav1.Now()
	if err := lock.Update(ctx, resourcelock.LeaderElectionRecord{
		LeaseDurationSeconds: 1, AcquireTime: now, RenewTime: now, LeaderTransitions: held.LeaderTransitions,
	}); err != nil {
		klog.FromContext(ctx).V(2).Info("Releasing the lease failed: other replicas wait until it expires", "err", err)
	}
}
