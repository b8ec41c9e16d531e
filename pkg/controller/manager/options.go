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
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/endedinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// AllControllers selects all controllers that are not named.
const AllControllers = "*"

// Selection selects controllers as --controllers of kube-controller-manager does: * selects all,
// foo the controller foo, and -foo excludes it.
type Selection []string

// AddFlag adds --controllers to a set, for controllers of the known names.
func (c *Selection) AddFlag(fs *pflag.FlagSet, usage string, known []string) {
	fs.StringSliceVar((*[]string)(c), "controllers", *c, usage+" * selects all, NAME selects one, -NAME excludes one; an empty list selects none. Known: "+strings.Join(known, ", ")+".")
}

// Has reports whether the controller is selected. A name takes precedence over *.
func (c Selection) Has(name string) bool {
	switch {
	case slices.Contains(c, "-"+name):
		return false
	case slices.Contains(c, name):
		return true
	}
	return slices.Contains(c, AllControllers)
}

// Validate returns an error for each unknown or contradictory entry.
func (c Selection) Validate(known []string) []error {
	var errs []error
	for _, entry := range c {
		name := strings.TrimPrefix(entry, "-")
		switch {
		case entry == AllControllers:
		case !slices.Contains(known, name):
			errs = append(errs, fmt.Errorf("--controllers: there is no controller %q: use *, or names from %s, each with a - before it to leave it out", name, strings.Join(known, ", ")))
		case entry == name && slices.Contains(c, "-"+name):
			errs = append(errs, fmt.Errorf("--controllers: %s is both selected and excluded: leave one out", name))
		}
	}
	return errs
}

const endedInstancesFlag = "terminated-instance-gc-threshold"

// AddEndedInstancesFlag adds the flag with the number of ended instances to keep.
func AddEndedInstancesFlag(fs *pflag.FlagSet, threshold *int) {
	fs.IntVar(threshold, endedInstancesFlag, *threshold, "Number of terminated instances (Succeeded or Failed, in all namespaces together) that are kept. If there are more, the controller "+endedinstances.Name+" deletes the oldest. If 0, none is deleted.")
}

// ValidateEndedInstances validates the value of that flag.
func ValidateEndedInstances(threshold int) []error {
	if threshold < 0 {
		return []error{fmt.Errorf("--%s=%d must not be negative: use the number of ended instances to keep, or 0 to keep all", endedInstancesFlag, threshold)}
	}
	return nil
}

// Options are the flags of controllers in a separate process.
type Options struct {
	Controllers Selection
	// EndedInstances is the number of ended instances to keep; 0 for all.
	EndedInstances int
	// LeaderElect makes the controllers work only while this replica holds the lease.
	LeaderElect bool
	// Election has the lease and its times.
	Election leader.Config
}

// NewOptions returns the defaults.
func NewOptions() Options {
	return Options{
		Controllers:    Selection{AllControllers},
		EndedInstances: endedinstances.DefaultThreshold,
		LeaderElect:    true,
		Election: leader.Config{
			LeaseName: leader.Lease, LeaseDuration: leader.DefaultLeaseDuration, RenewDeadline: leader.DefaultRenewDeadline, RetryPeriod: leader.DefaultRetryPeriod,
		},
	}
}

// AddFlags adds the flags of the controllers and of the election to their sets.
func (o *Options) AddFlags(controllers, election *pflag.FlagSet) {
	o.Controllers.AddFlag(controllers, "Controllers to run.", SeparateControllers())
	AddEndedInstancesFlag(controllers, &o.EndedInstances)
	e := &o.Election
	election.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Work only while holding the lease. Without it, no other process may run the same controllers.")
	election.StringVar(&e.Namespace, "leader-elect-resource-namespace", e.Namespace, "Namespace of the lease. Where empty, that of the pod that this runs in, or "+LeaseNamespace+".")
	election.StringVar(&e.LeaseName, "leader-elect-resource-name", e.LeaseName, "Name of the lease.")
	election.DurationVar(&e.LeaseDuration, "leader-elect-lease-duration", e.LeaseDuration, "How long other replicas wait for a holder that no longer renews the lease.")
	election.DurationVar(&e.RenewDeadline, "leader-elect-renew-deadline", e.RenewDeadline, "How long the holder tries to renew the lease before it stops. Shorter than the lease duration.")
	election.DurationVar(&e.RetryPeriod, "leader-elect-retry-period", e.RetryPeriod, "Time between attempts to take or renew the lease.")
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	errs := append(o.Controllers.Validate(SeparateControllers()), ValidateEndedInstances(o.EndedInstances)...)
	if len(errs) == 0 && !slices.ContainsFunc(SeparateControllers(), o.Controllers.Has) {
		errs = append(errs, errors.New("--controllers selects none: name one, or use *"))
	}
	if !o.LeaderElect {
		return errs
	}
	e := o.Election
	if e.LeaseName == "" {
		errs = append(errs, errors.New("--leader-elect-resource-name must not be empty: name the lease"))
	}
	if e.LeaseDuration <= e.RenewDeadline {
		errs = append(errs, fmt.Errorf("--leader-elect-lease-duration=%s must be longer than --leader-elect-renew-deadline=%s, or two replicas could lead", e.LeaseDuration, e.RenewDeadline))
	}
	if e.RetryPeriod <= 0 || e.RenewDeadline <= time.Duration(leaderelection.JitterFactor*float64(e.RetryPeriod)) {
		errs = append(errs, fmt.Errorf("--leader-elect-retry-period=%s must be more than 0s and less than --leader-elect-renew-deadline=%s divided by %g", e.RetryPeriod, e.RenewDeadline, leaderelection.JitterFactor))
	}
	return errs
}
