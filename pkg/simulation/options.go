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
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// MaxInstances is the most that a simulated host can have: each instance gets an address
	// in its host's network of 256.
	MaxInstances = 250
	// MaxHosts is how many such networks there are.
	MaxHosts = 65536
	// SimulatedLabel is on the Host of every simulated host, with the value true.
	SimulatedLabel = "host.gatehouse.dev/simulated"
)

// Behaviour is what happens to the instances of a simulated host, and when.
type Behaviour struct {
	// StartDelay is the mean time from when a host sees an instance until its containers run.
	StartDelay time.Duration
	// StopDelay is the mean time that an instance takes to stop.
	StopDelay time.Duration
	// FailureRate is which part of all runs of containers end with an error, 0 to 1.
	FailureRate float64
	// FailureAfter is the mean time after which these do.
	FailureAfter time.Duration
	// RunTime is how long a container runs, before it ends without an error, whose instance's
	// restartPolicy is not Always; 0 for ever.
	RunTime time.Duration
	// BadImages are parts of the names of images that can never be fetched.
	BadImages []string
}

// Options are what simulated hosts are like.
type Options struct {
	// Count is how many there are. They are numbered from 1.
	Count int
	// NamePrefix begins their names; the number follows.
	NamePrefix string
	// Seed decides on all that is left to chance: with the same one, instances of the same
	// names fare alike on hosts of the same names.
	Seed int64
	// CPU and Memory are what each has of them.
	CPU, Memory resource.Quantity
	// Instances is how many each takes at a time.
	Instances int
	// LeaseDuration is for how long a host counts as alive after a heartbeat. A heartbeat
	// comes four times as often.
	LeaseDuration time.Duration
	// LookInterval is how often a host looks whether its Host still says what it reported.
	// The host lifecycle controller says Unknown of a host that it has not heard of, and only
	// the host itself takes that back.
	LookInterval time.Duration
	// Version is what the hosts say of their agent.
	Version string

	Behaviour
}

// DefaultOptions are three hosts that start what they are given in a second or two, where
// nothing fails but images that say that they are bad.
func DefaultOptions() Options {
	return Options{
		Count:         3,
		NamePrefix:    "sim-",
		Seed:          1,
		CPU:           resource.MustParse("4"),
		Memory:        resource.MustParse("8Gi"),
		Instances:     110,
		LeaseDuration: 40 * time.Second,
		LookInterval:  2 * time.Minute,
		Behaviour: Behaviour{
			StartDelay:   time.Second,
			StopDelay:    time.Second,
			FailureAfter: 30 * time.Second,
			BadImages:    []string{":bad"},
		},
	}
}
