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

package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/clusterroleaggregation"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/garbagecollector"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/namespace"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/quota"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/release"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/scheduler"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
)

// controller is a client that runs beside the server, in its process, and reaches it through
// the front door as any other.
type controller interface {
	// Run works until the context ends, and returns when nothing of it works any more.
	Run(context.Context)
}

// controllers are several that run side by side.
type controllers []controller

// constructor makes a controller. Its name is the controller's and, with a prefix, its user's.
type constructor struct {
	name string
	// make takes what the controller writes with, and the informers that it may share.
	make func(*rest.Config, externalversions.SharedInformerFactory) (controller, error)
}

// construct fits a constructor of a package, whose controllers have informers of their own, to
// the others.
func construct[C controller](name string, of func(*rest.Config) (C, error)) constructor {
	return sharing(name, func(config *rest.Config, _ externalversions.SharedInformerFactory) (C, error) { return of(config) })
}

// sharing fits a constructor of a package, whose controllers share informers, to the others.
func sharing[C controller](name string, of func(*rest.Config, externalversions.SharedInformerFactory) (C, error)) constructor {
	return constructor{name, func(config *rest.Config, shared externalversions.SharedInformerFactory) (controller, error) {
		return of(config, shared)
	}}
}

// clusterControllers are those that a cluster has of its own, and that a standalone server
// runs itself. What two of them write at the same time does no harm: every replica runs them.
func clusterControllers() []constructor {
	return []constructor{
		construct(namespace.Name, namespace.New),
		construct(garbagecollector.Name, garbagecollector.New),
		construct(clusterroleaggregation.Name, clusterroleaggregation.New),
		construct(serviceaccount.Name, serviceaccount.New),
		construct(quota.Name, quota.New),
	}
}

// fleetControllers move our own kinds along. They count on being the only ones: one replica
// runs them at a time.
func fleetControllers(hosts hostlifecycle.Options, endedInstances int) []constructor {
	return []constructor{
		sharing(app.Name, app.New),
		sharing(release.Name, release.New),
		sharing(scheduler.Name, scheduler.New),
		sharing(hostlifecycle.Name, func(config *rest.Config, shared externalversions.SharedInformerFactory) (*hostlifecycle.Controller, error) {
			return hostlifecycle.New(config, shared, hosts)
		}),
		sharing(endedinstances.Name, func(config *rest.Config, shared externalversions.SharedInformerFactory) (*endedinstances.Controller, error) {
			return endedinstances.New(config, shared, endedInstances)
		}),
	}
}

// separateControllers are those that `gatehouse controllers` has. In a cluster counts are kept
// by kube-controller-manager, and in front of a standalone server by that server.
func separateControllers(endedInstances int) []constructor {
	return append(fleetControllers(hostlifecycle.DefaultOptions(), endedInstances), construct(quota.Name, quota.NewForCluster))
}

// newControllers makes those that are selected. identity gives each a configuration of its
// own: it is authenticated and authorized by its name, and may do what its role says.
func newControllers(all []constructor, selected options.Controllers, identity func(name string) *rest.Config, shared externalversions.SharedInformerFactory) (controllers, error) {
	var made controllers
	for _, c := range all {
		if !selected.Has(c.name) {
			continue
		}
		one, err := c.make(identity(c.name), shared)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		made = append(made, one)
	}
	return made, nil
}

// newTerm makes those that are selected for one term, and the informers that they share.
func newTerm(all []constructor, selected options.Controllers, identity func(name string) *rest.Config) (controllers, error) {
	shared, err := informers.New(identity(informers.Name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", informers.Name, err)
	}
	made, err := newControllers(all, selected, identity, shared)
	if err != nil {
		return nil, err
	}
	return append(made, shared), nil
}

// Run returns when the context has ended and the last of them has stopped.
func (c controllers) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, one := range c {
		wg.Go(func() { one.Run(ctx) })
	}
	wg.Wait()
}

// controllerConfig is how a controller reaches the server: as a user of its own, known by a
// token of this process.
func controllerConfig(loopback *rest.Config, name, token string) *rest.Config {
	config := clientConfig(rest.AnonymousClientConfig(loopback), name)
	config.BearerToken = token
	return config
}

// clientConfig is how all our own clients speak: nothing holds them back but the server's own
// flow control, and their kinds travel in protobuf where they can.
func clientConfig(config *rest.Config, name string) *rest.Config {
	config.UserAgent = "gatehouse/" + name
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1
	// As kube-controller-manager does. Else long lists, and from Kubernetes 1.37 on
	// (WatchListCompression) also the events of a watch that begins with what is there, are
	// compressed for a network that is near.
	config.DisableCompression = true
	return config
}

// elected controllers work while this replica leads.
type elected struct {
	election leader.Config
	make     func() (controllers, error)
	// first are those of the first term.
	first controllers
}

// newElected finds out at once whether they can be made: in Run it would be too late to say.
func newElected(election leader.Config, make func() (controllers, error)) (*elected, error) {
	first, err := make()
	return &elected{election, make, first}, err
}

// term makes the controllers of one term: their informers start only once.
func (e *elected) term() (controllers, error) {
	if first := e.first; first != nil {
		e.first = nil
		return first, nil
	}
	return e.make()
}

// Run implements controller.
func (e *elected) Run(ctx context.Context) {
	err := leader.Elect(ctx, e.election, func(ctx context.Context) {
		all, err := e.term()
		if err != nil {
			klog.FromContext(ctx).Error(err, "No controllers")
			<-ctx.Done()
			return
		}
		all.Run(ctx)
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "No controllers")
	}
}

// These are what kube-controller-manager has: short enough that nobody waits for long when a
// replica dies, and long enough for a server that is busy.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// leaseNamespace is where the lease is that decides which replica runs the controllers.
	leaseNamespace = metav1.NamespaceSystem
)

// standaloneControllers are none in the aggregated mode, where the cluster has its own, and
// those of the fleet run in a process of their own. Each may do what the role of its name
// says; see rbac.BootstrapObjects.
func standaloneControllers(o options.CompletedOptions, server *apiserver.Server, identities *authentication.Controllers) (controllers, error) {
	if o.Aggregated() {
		return nil, nil
	}
	fleet := fleetControllers(hostlifecycle.DefaultOptions(), o.EndedInstances)
	tokens := map[string]string{}
	for _, name := range clientNames() {
		tokens[name] = identities.Mint(name)
	}
	identity := func(name string) *rest.Config {
		return controllerConfig(server.Generic.LoopbackClientConfig, name, tokens[name])
	}
	all, err := newControllers(clusterControllers(), o.Controllers, identity, nil)
	if err != nil || !slices.ContainsFunc(options.FleetControllers(), o.Controllers.Has) {
		return all, err
	}
	one, err := newElected(leader.Config{
		Client: identity(leader.Name), Namespace: leaseNamespace, LeaseName: leader.Lease, Identity: replicaIdentity(o),
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
	}, func() (controllers, error) { return newTerm(fleet, o.Controllers, identity) })
	return append(all, one), err
}

// clientsInside are the controllers, and the simulated hosts where there are any.
func clientsInside(o options.CompletedOptions, server *apiserver.Server, bundle *certificates.Bundle, identities *authentication.Controllers) (controllers, error) {
	all, err := standaloneControllers(o, server, identities)
	if err != nil || o.SimulateHosts == 0 {
		return all, err
	}
	hosts, err := simulatedHosts(o, server, bundle.CA)
	return append(all, hosts), err
}

// clientNames are the names of all controllers, and of what reads and is elected for them.
func clientNames() []string {
	names := []string{informers.Name, leader.Name}
	for _, c := range slices.Concat(clusterControllers(), fleetControllers(hostlifecycle.DefaultOptions(), 0)) {
		names = append(names, c.name)
	}
	return names
}

// controllerUsers are the users that controllers are known as, wherever they run.
func controllerUsers() []string {
	var users []string
	for _, name := range clientNames() {
		users = append(users, authentication.ControllerUserPrefix+name)
	}
	return users
}

// replicaIdentity tells replicas apart. One with an etcd of its own is the only one, and knows
// itself again after a crash, so that it need not wait for the end of its own lease.
func replicaIdentity(o options.CompletedOptions) string {
	if o.EmbeddedEtcd() {
		return "gatehouse-with-embedded-etcd"
	}
	return leader.Identity()
}
