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

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

func TestTheBackOffGrowsToALimit(t *testing.T) {
	r := New(Options{HostName: "sim-1", Seed: 7, HostNumber: 1, Behaviour: Behaviour{StartDelay: time.Minute}})
	var last time.Duration
	for restarts := range int32(9) {
		delay := r.RestartBackOff("default/web", &runtime.Container{Name: "web", Attempt: restarts - 1, ExitCode: 1})
		if delay > longestBackOff || restarts > maxDoublings && delay != longestBackOff {
			t.Errorf("after %d restarts: %v", restarts, delay)
		}
		last = delay
	}
	if last != longestBackOff {
		t.Errorf("the last delay is %v", last)
	}
}

func TestThrowsDependOnSeedHostAndWordsOnlyAndSpread(t *testing.T) {
	fair := dice{seed: 7, host: "sim-1"}
	throws := func(d dice) (all []float64) {
		for _, word := range []string{"a", "b", "c"} {
			all = append(all, d.throw("default/web", word))
		}
		return all
	}
	if !slices.Equal(throws(fair), throws(dice{seed: 7, host: "sim-1"})) {
		t.Error("the same dice give different numbers")
	}
	for _, other := range []dice{{seed: 8, host: "sim-1"}, {seed: 7, host: "sim-2"}} {
		if slices.Equal(throws(fair), throws(other)) {
			t.Errorf("%+v fall as %+v", other, fair)
		}
	}
	// Most names differ only in a digit: their throws must still spread.
	const hosts = 10000
	var below int
	for n := range hosts {
		x := (dice{seed: 1, host: "sim-" + strconv.Itoa(n)}).throw("default/web", "fails")
		if x < 0 || x >= 1 {
			t.Fatalf("a throw of %v", x)
		}
		if x < 0.1 {
			below++
		}
	}
	if below < hosts/10-200 || below > hosts/10+200 {
		t.Errorf("%d of %d throws are below 0.1", below, hosts)
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	seen := map[string]int{}
	for number := 1; number <= MaxHosts; number++ {
		address := instanceIP(number, 1)
		if other := seen[address]; other != 0 {
			t.Fatalf("hosts %d and %d both have %s", other, number, address)
		}
		seen[address] = number
	}
	if last := instanceIP(MaxHosts, MaxInstances); last != "10.255.255.251" {
		t.Error(last)
	}
}
