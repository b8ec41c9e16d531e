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

package manager

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// The times of the election are those of kube-controller-manager: short enough for a quick
// replacement of a failed replica, and long enough for a busy server.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

const (
	// LeaseNamespace is the namespace of the lease where no flag names one, and Lease its name.
	LeaseNamespace = metav1.NamespaceSystem
	Lease          = leader.Lease
	// InformersName is the name of the client of the shared informers.
	InformersName = informers.Name
)

// Controller is a client of the server that works until the context ends.
type Controller interface {
	// Run returns when the context has ended and all its goroutines have returned.
	Run(context.Context)
}

// Runner works until the context ends or it fails.
type Runner interface {
	Run(context.Context) error
}

// Run adapts a controller to a Runner.
func Run(c Controller) Runner { return runner{c} }

type runner struct{ controller Controller }

// Run implements Runner.
func (r runner) Run(ctx context.Context) error {
	r.controller.Run(ctx)
	return nil
}

// Runners run side by side.
type Runners []Runner

// Run implements Runner. It returns when all have returned; the first error ends the others.
func (all Runners) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() {
			if errs[i] = one.Run(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// elected runs controllers while this replica leads.
type elected struct {
	election  leader.Config
	construct func() (Runners, error)
	// first has the controllers of the first term.
	first Runners
}

// newElected constructs the controllers of the first term, so that a wrong configuration is an
// error before the election.
func newElected(election leader.Config, construct func() (Runners, error)) (*elected, error) {
	first, err := construct()
	return &elected{election, construct, first}, err
}

// term returns the controllers of one term. Their informers start only once.
func (e *elected) term() (Runners, error) {
	if first := e.first; first != nil {
		e.first = nil
		return first, nil
	}
	return e.construct()
}

// Run implements Runner. Where a term fails, it releases the lease and returns the error.
func (e *elected) Run(ctx context.Context) error {
	candidacy, end := context.WithCancel(ctx)
	defer end()
	var failed error
	err := leader.Elect(candidacy, e.election, func(term context.Context) {
		all, err := e.term()
		if err == nil {
			err = all.Run(term)
		}
		if err != nil {
			failed = err
			end()
		}
	})
	return errors.Join(err, failed)
}

// Standalone is the input of NewStandalone.
type Standalone struct {
	Controllers Selection
	// EndedInstances is the number of ended instances to keep; 0 for all.
	EndedInstances int
	// Replica is the identity of this server in the election.
	Replica string
	// Identity returns the client configuration of a controller, or of another of ClientNames.
	Identity func(name string) *rest.Config
}

// NewStandalone constructs the controllers that run in a standalone server. The role with the name
// of a controller has its permissions; see rbac.BootstrapObjects.
func NewStandalone(s Standalone) (Runners, error) {
	all, err := construct(clusterControllers(), s.Controllers, s.Identity, nil)
	if err != nil || !slices.ContainsFunc(FleetControllers(), s.Controllers.Has) {
		return all, err
	}
	fleet := fleetControllers(hostlifecycle.DefaultOptions(), s.EndedInstances)
	one, err := newElected(leader.Config{
		Client: s.Identity(leader.Name), Namespace: LeaseNamespace, LeaseName: leader.Lease, Identity: s.Replica,
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
	}, func() (Runners, error) { return constructTerm(fleet, s.Controllers, s.Identity) })
	return append(all, one), err
}

// NewSeparate constructs the controllers of gatehouse controllers. config leads to the server as a
// user that may impersonate the controllers, whose names begin with userPrefix. The watchdog
// reports whether the lease is renewed in time; it is nil without an election.
func NewSeparate(config *rest.Config, userPrefix string, o Options) (Runner, *leaderelection.HealthzAdaptor, error) {
	term := func() (Runners, error) {
		return constructTerm(separateControllers(hostlifecycle.DefaultOptions(), o.EndedInstances), o.Controllers, impersonating(config, userPrefix))
	}
	if !o.LeaderElect {
		all, err := term()
		return all, nil, err
	}
	election := o.Election
	election.Client, election.Identity = electionConfig(config), leader.Identity()
	election.WatchDog = leaderelection.NewLeaderHealthzAdaptor(election.RenewDeadline)
	one, err := newElected(election, term)
	return one, election.WatchDog, err
}

// RunFleet runs one replica of the controllers of the fleet until the context ends, with the times
// of a test and with a configuration whose transport a test may disturb. The election's Client is
// made from config.
func RunFleet(ctx context.Context, config *rest.Config, userPrefix string, election leader.Config, hosts hostlifecycle.Options) error {
	election.Client = electionConfig(config)
	replica, err := newElected(election, func() (Runners, error) {
		return constructTerm(fleetControllers(hosts, endedinstances.DefaultThreshold), Selection{AllControllers}, impersonating(config, userPrefix))
	})
	if err != nil {
		return err
	}
	return replica.Run(ctx)
}
