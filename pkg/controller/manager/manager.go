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
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/certificatesigner"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/tokencleaner"
)

const (
	// LeaseNamespace is the default namespace of the lease, and Lease its name.
	LeaseNamespace = metav1.NamespaceSystem
	Lease          = leader.Lease
	// InformersName is the name of the client of the fleet's shared informers.
	InformersName = informers.Name
	// TokenCleaner is the name of the controller that --enable-bootstrap-token-auth adds.
	TokenCleaner = tokencleaner.Name
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

// SyncedRunner is a Runner with informers.
type SyncedRunner interface {
	Runner
	// HasSynced reports whether the running informers have synced.
	HasSynced() bool
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

// term is the controllers of one term of leadership, or of a process without an election, and the
// informers that they share. Informers start only once, so each term constructs its own.
type term struct {
	Runners
	informers *informers.Shared
}

// HasSynced implements SyncedRunner.
func (t *term) HasSynced() bool { return t.informers.HasSynced() }

// newTerm constructs the selected controllers. identity returns the client configuration of a
// controller by its name, and informersName is the user of their informers.
func newTerm(descriptors []Descriptor, selected Selection, identity func(name string) *rest.Config, informersName string) (*term, error) {
	shared, err := informers.New(identity(informersName))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", informersName, err)
	}
	t := &term{informers: shared}
	for _, d := range descriptors {
		if !selected.Has(d.Name) {
			continue
		}
		c, err := d.New(identity(d.Name), shared)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		t.Runners = append(t.Runners, Run(c))
	}
	t.Runners = append(t.Runners, Run(shared))
	return t, nil
}

// elected runs the controllers of a term while this replica leads.
type elected struct {
	election leader.Config
	newTerm  func() (*term, error)
	first    *term

	lock    sync.Mutex
	running *term
}

// newElected constructs the controllers of the first term, so that a wrong configuration is an
// error before the election.
func newElected(election leader.Config, newTerm func() (*term, error)) (*elected, error) {
	first, err := newTerm()
	if err != nil {
		return nil, err
	}
	return &elected{election: election, newTerm: newTerm, first: first}, nil
}

// Run implements Runner. It releases the lease and returns an error if a term fails: a replica that
// only renewed the lease would keep the others from working.
func (e *elected) Run(ctx context.Context) error {
	return leader.Elect(ctx, e.election, func(ctx context.Context) error {
		current := e.first
		if e.first = nil; current == nil {
			var err error
			if current, err = e.newTerm(); err != nil {
				return fmt.Errorf("constructing the controllers: %w", err)
			}
		}
		e.setRunning(current)
		defer e.setRunning(nil)
		return current.Run(ctx)
	})
}

func (e *elected) setRunning(current *term) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.running = current
}

// HasSynced implements SyncedRunner. It is true while this replica waits for the lease.
func (e *elected) HasSynced() bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	return e.running == nil || e.running.HasSynced()
}

// Standalone is the input of NewStandalone.
type Standalone struct {
	Controllers Selection
	// EndedInstances is the number of ended instances to keep; 0 for all.
	EndedInstances int
	// RootCA has the certificates in PEM that verify the serving certificate.
	RootCA []byte
	// Authority signs certificates; nil if the server does not have its key.
	Authority *certificatesigner.Authority
	// Backup makes backups while this replica leads, whatever controllers are selected; nil for none. Without a
	// controller of the fleet there is no election, and every replica makes backups.
	Backup backup.Job
	// Replica is the identity of this server in the election.
	Replica string
	// Identity returns the client configuration of a controller, or of another of ClientNames.
	Identity func(name string) *rest.Config
}

// NewStandalone constructs the controllers that run in a standalone server. The role with the name
// of a controller's user has its rights; see rbac.BootstrapObjects.
func NewStandalone(s Standalone) (Runners, error) {
	every, err := newTerm(StandaloneDescriptors(s.RootCA, s.Authority), s.Controllers, s.Identity, informers.StandaloneName)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(FleetControllers(), s.Controllers.Has) {
		backups, err := s.backups()
		return append(backups, every), err
	}
	fleet := FleetDescriptors(hostlifecycle.DefaultOptions(), s.EndedInstances)
	one, err := newElected(leader.Config{
		Client: s.Identity(leader.Name), Namespace: LeaseNamespace, LeaseName: leader.Lease, Identity: s.Replica,
		LeaseDuration: leader.DefaultLeaseDuration, RenewDeadline: leader.DefaultRenewDeadline, RetryPeriod: leader.DefaultRetryPeriod,
	}, func() (*term, error) {
		t, err := newTerm(fleet, s.Controllers, s.Identity, informers.Name)
		if err != nil {
			return nil, err
		}
		backups, err := s.backups()
		t.Runners = append(t.Runners, backups...)
		return t, err
	})
	return Runners{every, one}, err
}

// backups constructs the controller of backups, if there are any.
func (s Standalone) backups() (Runners, error) {
	if s.Backup == nil {
		return nil, nil
	}
	controller, err := backup.New(s.Identity(backup.Name), s.Backup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", backup.Name, err)
	}
	return Runners{controller}, nil
}

// NewSeparate constructs the controllers of gatehouse controllers. config connects to the server as a
// user that may impersonate the controllers, which have userPrefix before their names. The watchdog
// reports whether the lease is renewed in time; it is nil without an election.
func NewSeparate(config *rest.Config, userPrefix string, o Options) (SyncedRunner, *leaderelection.HealthzAdaptor, error) {
	construct := func() (*term, error) {
		return newTerm(SeparateDescriptors(hostlifecycle.DefaultOptions(), o.EndedInstances), o.Controllers, impersonating(config, userPrefix), informers.Name)
	}
	if !o.LeaderElect {
		all, err := construct()
		return all, nil, err
	}
	election := o.Election
	election.Client, election.Identity = electionConfig(config), leader.Identity()
	election.WatchDog = leaderelection.NewLeaderHealthzAdaptor(election.RenewDeadline)
	one, err := newElected(election, construct)
	return one, election.WatchDog, err
}

// RunFleet runs one replica of the controllers of the fleet until the context ends, with the times
// of a test and with a configuration that may have the test's transport. The election's Client is
// created from config.
func RunFleet(ctx context.Context, config *rest.Config, userPrefix string, election leader.Config, hosts hostlifecycle.Options) error {
	election.Client = electionConfig(config)
	replica, err := newElected(election, func() (*term, error) {
		return newTerm(FleetDescriptors(hosts, endedinstances.DefaultThreshold), Selection{AllControllers}, impersonating(config, userPrefix), informers.Name)
	})
	if err != nil {
		return err
	}
	return replica.Run(ctx)
}

// RunStandalone runs the controllers that only a standalone server runs until the context ends, as
// impersonated users, for tests that count their requests. They publish the authority that the
// configuration trusts.
func RunStandalone(ctx context.Context, config *rest.Config, userPrefix string) error {
	every, err := newTerm(StandaloneDescriptors(config.CAData, nil), Selection{AllControllers}, impersonating(config, userPrefix), informers.StandaloneName)
	if err != nil {
		return err
	}
	return every.Run(ctx)
}
