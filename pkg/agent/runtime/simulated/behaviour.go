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

package simulated

import "time"

const (
	// MaxInstances is the maximum number of instances of a simulated host: each instance gets an address
	// in its host's network of 256.
	MaxInstances = 250
	// MaxHosts is the number of such networks.
	MaxHosts = 65536

	// The delay before a failed container starts again doubles up to this many times from
	// the start delay, or up to the longest backoff of a kubelet.
	maxDoublings   = 4
	longestBackOff = 5 * time.Minute
)

// Behaviour is the behaviour of the instances of a simulated host.
type Behaviour struct {
	// StartDelay is the mean time from the creation of a container until it runs.
	StartDelay time.Duration
	// StopDelay is the mean time that an instance takes to stop.
	StopDelay time.Duration
	// FailureRate is the fraction of runs of containers that end with an error, 0 to 1.
	FailureRate float64
	// FailureAfter is the mean duration of these runs.
	FailureAfter time.Duration
	// RunTime is the duration of a container that ends without an error, if the restartPolicy
	// of its instance is not Always; 0 means forever.
	RunTime time.Duration
	// BadImages are parts of the names of images that cannot be pulled.
	BadImages []string
}
