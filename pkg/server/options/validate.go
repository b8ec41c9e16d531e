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
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/logging"
)

// Validate returns an error for each invalid flag, with the flag and the cure.
func (o CompletedOptions) Validate() []error {
	errs := o.validateMode()
	errs = append(errs, o.Memory.Validate()...)
	errs = append(errs, o.Traces.Validate()...)
	errs = append(errs, o.UI.Validate()...)
	errs = append(errs, o.Backups.Validate()...)
	errs = append(errs, o.validateControllers()...)
	errs = append(errs, manager.ValidateEndedInstances(o.EndedInstances)...)
	errs = append(errs, o.validateHosts()...)
	if o.DataDir == "" {
		errs = append(errs, fmt.Errorf("--data-dir must not be empty: name a directory"))
	}
	errs = append(errs, o.Serving.Validate()...)
	errs = append(errs, o.Etcd.Validate(o.Aggregated())...)
	if o.ClientCAFile != "" {
		errs = append(errs, files.ValidateFlag("client-ca-file", o.ClientCAFile)...)
	}
	errs = append(errs, o.ServerRun.Validate()...)
	if o.ServerRun.MaxRequestsInFlight+o.ServerRun.MaxMutatingRequestsInFlight <= 0 {
		errs = append(errs, fmt.Errorf("--max-requests-inflight and --max-mutating-requests-inflight must add up to at least 1: flow control shares their sum out"))
	}
	errs = append(errs, o.Watches.Validate()...)
	errs = append(errs, o.Admission.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	if !o.Features.EnablePriorityAndFairness {
		errs = append(errs, fmt.Errorf("--enable-priority-and-fairness=false is not supported: leave the flag out"))
	}
	errs = append(errs, o.Metrics.Validate()...)
	errs = append(errs, o.Tracing.Validate()...)
	return append(errs, logging.Validate(o.Logs, o.ServerRun.ComponentGlobalsRegistry.FeatureGateFor(o.ServerRun.ComponentName))...)
}

// validateMode validates the mode, and that flags of the other mode are not set.
func (o CompletedOptions) validateMode() []error {
	switch o.Mode {
	case ModeStandalone:
		errs := append(o.Cluster.ValidateUnused(o.Callers.WebhookFile != ""), o.Callers.Validate(o.Cluster.AnyProxyName)...)
		errs = append(errs, o.Authorization.Validate()...)
		if o.Etcd.Plaintext {
			errs = append(errs, fmt.Errorf("--etcd-allow-plaintext is for --mode=aggregated: leave it out"))
		}
		if o.EventTTL < time.Second {
			errs = append(errs, fmt.Errorf("--event-ttl=%s is too short: events are kept for whole seconds, one at least", o.EventTTL))
		}
		return errs
	case ModeAggregated:
		errs := append(o.Cluster.Validate(), o.Callers.ValidateUnused()...)
		errs = append(errs, o.Authorization.ValidateUnused()...)
		if o.EventTTL != defaultEventTTL {
			errs = append(errs, fmt.Errorf("--event-ttl is for --mode=standalone: leave it out; the cluster keeps events"))
		}
		return errs
	case "":
		return []error{fmt.Errorf("--mode is required: standalone (the server authenticates users itself) or aggregated (behind a kube-apiserver)")}
	}
	return []error{fmt.Errorf("--mode=%s is unknown: use standalone or aggregated", o.Mode)}
}

func (o CompletedOptions) validateControllers() []error {
	if o.Aggregated() && !slices.Equal(o.Controllers, manager.Selection{manager.AllControllers}) {
		return []error{fmt.Errorf("--controllers is for --mode=standalone: leave it out, and run \"gatehouse controllers\" beside the server")}
	}
	return o.Controllers.Validate(knownControllers())
}

// maxSimulatedHosts is far more than one process can simulate beside its server.
const maxSimulatedHosts = 1000

func (o CompletedOptions) validateHosts() []error {
	var errs []error
	if o.SimulateHosts < 0 || o.SimulateHosts > maxSimulatedHosts {
		errs = append(errs, fmt.Errorf("--simulate-hosts=%d is not a number from 0 to %d: use a number in this range; \"gatehouse simulate-hosts\" simulates more in a separate process", o.SimulateHosts, maxSimulatedHosts))
	}
	if o.SimulateHosts != 0 && o.Aggregated() {
		errs = append(errs, fmt.Errorf("--simulate-hosts is for --mode=standalone: leave it out, and run \"gatehouse simulate-hosts --kubeconfig FILE --impersonate\" beside the server"))
	}
	if o.SimulateHosts != 0 && o.ClientCAFile != "" {
		errs = append(errs, fmt.Errorf("--simulate-hosts cannot be used with --client-ca-file: the hosts' certificates come from the authority in the data directory; run \"gatehouse simulate-hosts --kubeconfig FILE --impersonate\" beside the server"))
	}
	switch {
	case o.HostRegistration != SelfRegistration && o.HostRegistration != ApprovedRegistration:
		errs = append(errs, fmt.Errorf("--host-registration=%s is unknown: use self or approve", o.HostRegistration))
	case o.ApproveHosts() && o.SimulateHosts != 0:
		errs = append(errs, fmt.Errorf("--simulate-hosts cannot be used with --host-registration=approve: simulated hosts register themselves; leave one out"))
	}
	return errs
}
