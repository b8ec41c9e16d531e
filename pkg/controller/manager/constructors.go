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
	"fmt"
	"slices"

	"k8s.io/client-go/rest"

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

// constructor constructs one controller. Its name is the controller's and, with a prefix, its
// user's.
type constructor struct {
	name string
	// construct takes the configuration of the controller's client, and the shared informers.
	construct func(*rest.Config, externalversions.SharedInformerFactory) (Controller, error)
}

// separate adapts the constructor of a controller that has informers of its own.
func separate[C Controller](name string, construct func(*rest.Config) (C, error)) constructor {
	return sharing(name, func(config *rest.Config, _ externalversions.SharedInformerFactory) (C, error) {
		return construct(config)
	})
}

// sharing adapts the constructor of a controller that uses the shared informers.
func sharing[C Controller](name string, construct func(*rest.Config, externalversions.SharedInformerFactory) (C, error)) constructor {
	return constructor{name, func(config *rest.Config, shared externalversions.SharedInformerFactory) (Controller, error) {
		return construct(config, shared)
	}}
}

// clusterControllers returns the controllers that a cluster has itself, for a standalone server.
// Concurrent writes of two of them do no harm: every replica runs them.
func clusterControllers() []constructor {
	return []constructor{
		separate(namespace.Name, namespace.New),
		separate(garbagecollector.Name, garbagecollector.New),
		separate(clusterroleaggregation.Name, clusterroleaggregation.New),
		separate(serviceaccount.Name, serviceaccount.New),
		separate(quota.Name, quota.New),
	}
}

// fleetControllers returns the controllers of the kinds of the fleet. One replica at a time runs
// them.
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

// separateControllers returns the controllers of gatehouse controllers. kube-controller-manager
// counts objects in a cluster, and the server itself in the standalone mode, so the controller of
// quotas counts only what neither does.
func separateControllers(hosts hostlifecycle.Options, endedInstances int) []constructor {
	return append(fleetControllers(hosts, endedInstances), separate(quota.Name, quota.NewForCluster))
}

// construct constructs the selected controllers. identity returns the client configuration of a
// controller by its name: each acts as a user of its own with a role of its own.
func construct(all []constructor, selected Selection, identity func(name string) *rest.Config, shared externalversions.SharedInformerFactory) (Runners, error) {
	var made Runners
	for _, c := range all {
		if !selected.Has(c.name) {
			continue
		}
		one, err := c.construct(identity(c.name), shared)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		made = append(made, Run(one))
	}
	return made, nil
}

// constructTerm constructs the selected controllers for one term of leadership, with the informers
// that they share.
func constructTerm(all []constructor, selected Selection, identity func(name string) *rest.Config) (Runners, error) {
	shared, err := informers.New(identity(informers.Name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", informers.Name, err)
	}
	made, err := construct(all, selected, identity, shared)
	if err != nil {
		return nil, err
	}
	return append(made, Run(shared)), nil
}

// ClientNames returns the names of all controllers, of their shared informers and of the election.
func ClientNames() []string {
	names := []string{informers.Name, leader.Name}
	for _, c := range slices.Concat(clusterControllers(), fleetControllers(hostlifecycle.DefaultOptions(), 0)) {
		names = append(names, c.name)
	}
	return names
}
