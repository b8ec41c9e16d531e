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

package options

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/clusterroleaggregation"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/garbagecollector"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/namespace"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/quota"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/release"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/scheduler"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/serviceaccount"
)

// AllControllers stands, in a list of controllers, for all that are not named.
const AllControllers = "*"

// ClusterControllers are the names of those that a cluster has of its own, and that a
// standalone server runs itself.
func ClusterControllers() []string {
	return []string{clusterroleaggregation.Name, garbagecollector.Name, namespace.Name, quota.Name, serviceaccount.Name}
}

// FleetControllers are the names of those that move our own kinds along.
func FleetControllers() []string {
	return []string{app.Name, release.Name, scheduler.Name, hostlifecycle.Name, endedinstances.Name}
}

// SeparateControllers are the names of those that `gatehouse controllers` has: those that move
// our own kinds along, and the part of the controller of quotas that a cluster does not have.
func SeparateControllers() []string {
	return append(FleetControllers(), quota.Name)
}

// Controllers are names of controllers to run, as kube-controller-manager takes them: *
// stands for all, foo for the controller foo, and -foo for all but that.
type Controllers []string

// AddFlag adds the flag, about controllers of these names.
func (c *Controllers) AddFlag(fs *pflag.FlagSet, usage string, known []string) {
	fs.StringSliceVar((*[]string)(c), "controllers", *c, usage+" * is all of them, NAME adds one, -NAME leaves one out; an empty list is none. There are: "+strings.Join(known, ", ")+".")
}

// Has says whether the controller is to run. What is named counts more than *.
func (c Controllers) Has(name string) bool {
	switch {
	case slices.Contains(c, "-"+name):
		return false
	case slices.Contains(c, name):
		return true
	}
	return slices.Contains(c, AllControllers)
}

// Validate returns what is wrong with the list, where only these are known.
func (c Controllers) Validate(known []string) []error {
	var errs []error
	for _, entry := range c {
		name := strings.TrimPrefix(entry, "-")
		switch {
		case entry == AllControllers:
		case !slices.Contains(known, name):
			errs = append(errs, fmt.Errorf("--controllers: there is no controller %q: use *, or names from %s, each with a - before it to leave it out", name, strings.Join(known, ", ")))
		case entry == name && slices.Contains(c, "-"+name):
			errs = append(errs, fmt.Errorf("--controllers: %s is both asked for and left out: say one of them", name))
		}
	}
	return errs
}

// endedInstancesFlag is the name of the flag of AddEndedInstancesFlag.
const endedInstancesFlag = "terminated-instance-gc-threshold"

// AddEndedInstancesFlag adds the flag that says how many ended instances are kept.
func AddEndedInstancesFlag(fs *pflag.FlagSet, threshold *int) {
	fs.IntVar(threshold, endedInstancesFlag, *threshold, "Number of ended instances (Succeeded or Failed, of all namespaces together) that are kept. When there are more, the controller "+endedinstances.Name+" deletes the oldest. If 0, none is deleted.")
}

// ValidateEndedInstances returns what is wrong with the value of that flag.
func ValidateEndedInstances(threshold int) []error {
	if threshold < 0 {
		return []error{fmt.Errorf("--%s=%d must not be negative: use the number of ended instances to keep, or 0 to keep all", endedInstancesFlag, threshold)}
	}
	return nil
}
