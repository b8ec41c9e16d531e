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

// Package leader lets one of several replicas of the controllers work at a time: the one that
// holds a Lease. Read Elect.
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

// Name is the user's, with a prefix, that holds the lease where the server itself runs the
// controllers.
const Name = "leader-election"

// Lease is the name of the lease of Gatehouse's own controllers.
const Lease = "gatehouse-controllers"

// Config is an election.
type Config struct {
	// Client reaches the server that has the lease.
	Client *rest.Config
	// Namespace and LeaseName are of the lease. The namespace must exist.
	Namespace, LeaseName string
	// Identity of this replica. Two that run at the same time must not share one; a replica
	// that comes back under the name that still holds the lease need not wait for its end.
	Identity string
	// LeaseDuration is how long others wait for a holder that no longer renews; RenewDeadline
	// is how long a holder tries to renew before it stops by itself, and must be shorter;
	// RetryPeriod is the time between attempts.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// WatchDog, where there is one, learns whether the lease is renewed in time.
	WatchDog *leaderelection.HealthzAdaptor
}

// Identity is one for this process and no other, after the host that it runs on.
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
		// term releases: client-go would do it before it tells the holder that the lease is
		// lost, and where the server is away that takes longer than the lease is good.
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

// Elect works while it leads, and waits to lead while somebody else does, until the context
// ends. work gets a context that ends when the lease is lost, and must return soon after: it
// is called anew when the lease is won again.
//
// The lease is given up when work has returned, so that the next one need not wait. Errors
// are of the configuration only, and come before work is called.
func Elect(ctx context.Context, c Config, work func(context.Context)) error {
	for ctx.Err() == nil {
		if err := term(ctx, c, work); err != nil {
			return err
		}
	}
	return nil
}

// term is one candidacy, and the leadership that comes of it.
func term(ctx context.Context, c Config, work func(context.Context)) error {
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
	leading, worked := make(chan struct{}), make(chan struct{})
	elector, err := c.elector(lock, leaderelection.LeaderCallbacks{
		OnStartedLeading: func(lease context.Context) {
			close(leading)
			defer close(worked)
			defer end()
			while, stop := context.WithCancel(ctx)
			defer stop()
			defer context.AfterFunc(lease, stop)()
			if while.Err() == nil {
				work(while)
			}
		},
		OnStoppedLeading: func() {},
		OnNewLeader: func(identity string) {
			logger.Info("The controllers have a leader", "leader", identity, "self", identity == c.Identity)
		},
	})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		select {
		case <-leading: // work sees the end of ctx, and its return is the end of the election
		default:
			end()
		}
	})()
	elector.Run(election)
	select {
	case <-leading:
		<-worked
	default: // never won, or at the very moment of the end, and then nothing is worked at
	}
	release(context.WithoutCancel(ctx), c, lock)
	return nil
}

// release gives the lease up where this replica still holds it. That it cannot be is no
// error: the lease ends by itself.
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
		klog.FromContext(ctx).V(2).Info("The lease of the controllers is not given up, and others wait for its end", "err", err)
	}
}
