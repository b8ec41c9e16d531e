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
	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
)

// AllControllers selects all controllers that are not named.
const AllControllers = manager.AllControllers

// Controllers selects controllers.
type Controllers = manager.Selection

// ClusterControllers returns the names of the controllers that a cluster has itself, and that a
// standalone server runs.
func ClusterControllers() []string { return manager.ClusterControllers() }

// FleetControllers returns the names of the controllers of the kinds of the fleet.
func FleetControllers() []string { return manager.FleetControllers() }

// SeparateControllers returns the names of the controllers of `gatehouse controllers`.
func SeparateControllers() []string { return manager.SeparateControllers() }

// AddEndedInstancesFlag adds the flag with the number of ended instances to keep.
func AddEndedInstancesFlag(fs *pflag.FlagSet, threshold *int) {
	manager.AddEndedInstancesFlag(fs, threshold)
}

// ValidateEndedInstances validates the value of that flag.
func ValidateEndedInstances(threshold int) []error { return manager.ValidateEndedInstances(threshold) }
