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

package simulation

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Flags are the flags of simulated hosts. Complete converts them to Options.
type Flags struct {
	Options
	cpu, memory string
}

// NewFlags returns the defaults.
func NewFlags() Flags {
	f := Flags{Options: DefaultOptions()}
	f.cpu, f.memory = f.CPU.String(), f.Memory.String()
	return f
}

// AddFlags adds the flags to a set.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.IntVar(&f.Count, "count", f.Count, "Number of hosts to simulate.")
	fs.StringVar(&f.NamePrefix, "name-prefix", f.NamePrefix, "Prefix of the hosts' names; a number from 1 follows.")
	fs.Int64Var(&f.Seed, "seed", f.Seed, "Seed of the random number generator.")
	fs.StringVar(&f.cpu, "cpu", f.cpu, "Processors of each host, in cores.")
	fs.StringVar(&f.memory, "memory", f.memory, "Memory of each host, in bytes.")
	fs.IntVar(&f.Instances, "instances", f.Instances, "Maximum number of instances of each host.")
	fs.DurationVar(&f.LeaseDuration, "lease-duration", f.LeaseDuration, "How long a host counts as alive after a heartbeat. Heartbeats are four times as frequent.")
	fs.IntVar(&f.Tunnels, "tunnels", f.Tunnels, "Number of hosts, from the first one on, that keep a connection for logs, exec and port forwarding.")
	fs.DurationVar(&f.StartDelay, "start-delay", f.StartDelay, "How long containers take to start, on average: from half as long to one and a half times.")
	fs.DurationVar(&f.StopDelay, "stop-delay", f.StopDelay, "How long instances take to stop, on average, but no longer than their grace period.")
	fs.Float64Var(&f.FailureRate, "failure-rate", f.FailureRate, "Fraction of container runs that end with an error, from 0 (none) to 1 (all).")
	fs.DurationVar(&f.FailureAfter, "failure-after", f.FailureAfter, "How long failing containers run, on average.")
	fs.DurationVar(&f.RunTime, "run-time", f.RunTime, "How long containers run before they end without an error, unless the restartPolicy is Always; 0 for no limit.")
	fs.StringSliceVar(&f.BadImages, "bad-images", f.BadImages, "Substrings of the names of images that can never be pulled, comma separated.")
}

// Complete sets the amounts and returns an error for each invalid flag.
func (f *Flags) Complete() []error {
	var errs []error
	invalid := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if f.Count < 1 || f.Count > MaxHosts {
		invalid("--count=%d is not a number from 1 to %d: use a number in this range", f.Count, MaxHosts)
	}
	if problems := validation.IsDNS1123Subdomain(f.HostName(MaxHosts)); len(problems) > 0 {
		invalid("--name-prefix=%q cannot begin the name of a host (%s): use lower-case letters, digits, dots and dashes, as in sim-", f.NamePrefix, problems[0])
	}
	for _, amount := range []struct {
		flag, value string
		to          *resource.Quantity
	}{{"cpu", f.cpu, &f.CPU}, {"memory", f.memory, &f.Memory}} {
		quantity, err := resource.ParseQuantity(amount.value)
		if err != nil || quantity.Sign() < 0 {
			invalid("--%s=%q is not an amount: write it as 4, 500m or 8Gi", amount.flag, amount.value)
		}
		*amount.to = quantity
	}
	if f.Instances < 0 || f.Instances > MaxInstances {
		invalid("--instances=%d is not a number from 0 to %d: simulate more hosts instead", f.Instances, MaxInstances)
	}
	if f.LeaseDuration < time.Second || f.LeaseDuration%time.Second != 0 {
		invalid("--lease-duration=%s is not a number of whole seconds, 1s at least: write it as 40s", f.LeaseDuration)
	}
	if f.Tunnels < 0 {
		invalid("--tunnels=%d is less than 0: use 0 for none", f.Tunnels)
	}
	for _, duration := range []struct {
		flag  string
		value time.Duration
	}{{"start-delay", f.StartDelay}, {"stop-delay", f.StopDelay}, {"failure-after", f.FailureAfter}, {"run-time", f.RunTime}} {
		if duration.value < 0 {
			invalid("--%s=%s is negative: use 0s or more", duration.flag, duration.value)
		}
	}
	if !(f.FailureRate >= 0 && f.FailureRate <= 1) { // NaN is invalid as well
		invalid("--failure-rate=%v is not a part: use a number from 0 (none fails) to 1 (all fail)", f.FailureRate)
	}
	for _, part := range f.BadImages {
		if part == "" {
			invalid("--bad-images has an empty part in it, which every name contains: leave it out; --bad-images= without any lets all images be fetched")
		}
	}
	return errs
}
