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

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

func TestDrive(t *testing.T) {
	var calls, sum atomic.Int64
	got, err := drive(t.Context(), 4, 100, func(_ context.Context, client, number int) error {
		if client < 0 || client >= 4 {
			t.Errorf("client %d of 4", client)
		}
		calls.Add(1)
		sum.Add(int64(number))
		return nil
	})
	if err != nil || calls.Load() != 100 || sum.Load() != 99*100/2 {
		t.Errorf("%d calls, sum of the numbers %d, %v", calls.Load(), sum.Load(), err)
	}
	if got.clients != 4 || got.count != 100 || got.took <= 0 || got.p50 > got.p99 {
		t.Errorf("got %+v", got)
	}
	broken := errors.New("broken")
	if _, err := drive(t.Context(), 4, 100, func(context.Context, int, int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the operation's error", err)
	}
}

func TestWriteCount(t *testing.T) {
	b := &writeBench{perClient: 100, atLeast: 500, atMost: 2000}
	for clients, want := range map[int]int{1: 500, 16: 1600, 64: 2000} {
		if got := b.count(clients); got != want {
			t.Errorf("%d clients make %d writes, want %d", clients, got, want)
		}
	}
}

// Hosts with an instance must be different, and must be watched if any are.
func TestBoundHost(t *testing.T) {
	for _, watches := range []int{0, 1000, 5000} {
		seen := map[int]bool{}
		for i := range boundHosts {
			host := boundHost(i, watches)
			if seen[host] || watches > 0 && host >= watches {
				t.Errorf("with %d watches: host %d is bound twice or not watched", watches, host)
			}
			seen[host] = true
		}
	}
}

// Every flag has a valid default.
func TestHelp(t *testing.T) {
	for _, name := range []string{"start", "write", "watch", "aggregated", "fleet", "peers"} {
		cmd := newCommand()
		cmd.SetArgs([]string{name, "--help"})
		cmd.SetOut(t.Output())
		if err := cmd.Execute(); err != nil {
			t.Errorf("%s --help: %v", name, err)
		}
	}
}
