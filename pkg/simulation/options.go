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
	"hash/fnv"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/agent"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// MaxInstances is the maximum number of instances of a simulated host.
	MaxInstances = simulated.MaxInstances
	// MaxHosts is the largest number of simulated hosts.
	MaxHosts = simulated.MaxHosts
)

// Options are the settings of simulated hosts.
type Options struct {
	// Count is the number of hosts. They are numbered from 1.
	Count int
	// NamePrefix is the prefix of their names; the number follows.
	NamePrefix string
	// Seed determines all random outcomes: with the same seed, instances of the same
	// names behave alike on hosts of the same names.
	Seed int64
	// CPU and Memory are the capacity of each host.
	CPU, Memory resource.Quantity
	// Instances is the maximum number of instances of each host.
	Instances int
	// LeaseDuration is the time for which a host counts as alive after a heartbeat. Heartbeats are four
	// times as frequent.
	LeaseDuration time.Duration
	// ReportInterval is the interval at which a host compares the status of its Host with its report.
	ReportInterval time.Duration
	// Tunnels is the number of hosts, from the first one on, that keep a tunnel to the server for logs, exec and port
	// forwarding. Each has a connection of its own.
	Tunnels int
	// Servers are those to which tunnels go: to the next one when one fails. Without any, it is that of the client
	// configurations.
	Servers []*url.URL
	// Version is the version of the agents.
	Version string

	simulated.Behaviour
}

// DefaultOptions returns three hosts that start their instances in a second or two, and on
// which only images with the tag bad fail.
func DefaultOptions() Options {
	return Options{
		Count:          3,
		NamePrefix:     "sim-",
		Seed:           1,
		CPU:            resource.MustParse("4"),
		Memory:         resource.MustParse("8Gi"),
		Instances:      110,
		LeaseDuration:  40 * time.Second,
		ReportInterval: 2 * time.Minute,
		Tunnels:        50,
		Behaviour: simulated.Behaviour{
			StartDelay:   time.Second,
			StopDelay:    time.Second,
			FailureAfter: 30 * time.Second,
			BadImages:    []string{":bad"},
		},
	}
}

// HostName returns the name of the host with the number, from 1.
func (o *Options) HostName(number int) string { return fmt.Sprintf("%s%d", o.NamePrefix, number) }

// agentOptions returns the options of the agent of the host with the number.
func (o *Options) agentOptions(number int, runtime *simulated.Runtime) agent.Options {
	name := o.HostName(number)
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))
	return agent.Options{
		HostName: name,
		Labels:   map[string]string{v1alpha1.SimulatedHostLabel: "true"},
		Capacity: v1alpha1.ResourceList{
			v1alpha1.ResourceCPU:       o.CPU,
			v1alpha1.ResourceMemory:    o.Memory,
			v1alpha1.ResourceInstances: *resource.NewQuantity(int64(o.Instances), resource.DecimalSI),
		},
		Addresses: []v1alpha1.HostAddress{
			{Type: v1alpha1.HostInternalIP, Address: hostIP(number)},
			{Type: v1alpha1.HostHostname, Address: name},
		},
		Info: v1alpha1.HostInfo{
			OperatingSystem: "simulated", Architecture: "simulated", KernelVersion: "simulated",
			AgentVersion: o.Version, MachineID: fmt.Sprintf("%016x", hash.Sum64()),
		},
		LeaseDuration:  o.LeaseDuration,
		ReportInterval: o.ReportInterval,
		RestartBackOff: runtime.RestartBackOff,
	}
}

// hostIP is an address in 100.64.0.0/10, which is not routed on the internet.
func hostIP(number int) string {
	number-- // counted from 1
	return fmt.Sprintf("100.%d.%d.%d", 64+number/62500, number/250%250, number%250+1)
}
