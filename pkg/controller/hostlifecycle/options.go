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

package hostlifecycle

import (
	"errors"
	"fmt"
	"time"
)

// Options are the times and rates. The defaults are those of Kubernetes' controllers.
type Options struct {
	// Grace is the time for which a host may neither renew its lease nor write its condition
	// Ready. A shorter duration of the lease itself takes precedence.
	Grace time.Duration
	// StartupGrace is the same for a host that has never reported whether it is ready.
	StartupGrace time.Duration
	// MonitorPeriod is the time between passes over all hosts.
	MonitorPeriod time.Duration
	// Toleration is the time for which instances without a toleration of their own tolerate hosts
	// that are not ready or unreachable.
	Toleration time.Duration
	// EvictionRate is the number of hosts per second on which evictions may begin.
	EvictionRate float64
	// SecondaryEvictionRate is the same while UnhealthyThreshold is reached.
	SecondaryEvictionRate float64
	// UnhealthyThreshold is the share of hosts that are not ready from which on the network is
	// suspected, and not the hosts.
	UnhealthyThreshold float64
	// LargeFleet is the number of hosts above which evictions continue at the secondary rate once
	// the threshold is reached; in smaller fleets they stop.
	LargeFleet int
	// Quarantine is the time for which a host must be gone before its instances are removed.
	Quarantine time.Duration
}

// DefaultOptions returns the defaults of Kubernetes.
func DefaultOptions() Options {
	return Options{
		Grace:                 40 * time.Second,
		StartupGrace:          time.Minute,
		MonitorPeriod:         5 * time.Second,
		Toleration:            300 * time.Second,
		EvictionRate:          0.1,
		SecondaryEvictionRate: 0.01,
		UnhealthyThreshold:    0.55,
		LargeFleet:            50,
		Quarantine:            40 * time.Second,
	}
}

// Validate returns everything that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Grace", o.Grace}, {"StartupGrace", o.StartupGrace}, {"MonitorPeriod", o.MonitorPeriod}} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %v: it must be more than zero", d.name, d.value))
		}
	}
	if o.Toleration < 0 || o.Quarantine < 0 || o.EvictionRate < 0 || o.SecondaryEvictionRate < 0 {
		errs = append(errs, errors.New("none of Toleration, Quarantine, EvictionRate and SecondaryEvictionRate may be negative"))
	}
	if o.UnhealthyThreshold <= 0 || o.UnhealthyThreshold > 1 {
		errs = append(errs, fmt.Errorf("UnhealthyThreshold is %v: it is a share of the hosts, more than 0 and at most 1", o.UnhealthyThreshold))
	}
	return errors.Join(errs...)
}
