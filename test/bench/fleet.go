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
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// fleetBench are the flags of bench fleet.
type fleetBench struct {
	*environment
	hosts, instances, appSize, rollout int
	direct                             int
	rest, timeout                      time.Duration
}

func newFleetCommand(e *environment) *cobra.Command {
	b := &fleetBench{environment: e}
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "A whole fleet: apps over many simulated hosts, a rollout, rest, and the scheduler by itself",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if err := b.validate(); err != nil {
				return err
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&b.hosts, "hosts", 1000, "Simulated hosts.")
	flags.IntVar(&b.instances, "instances", 10000, "Instances of all apps together.")
	flags.IntVar(&b.appSize, "app-size", 500, "Replicas of each app; the last one has what is left.")
	flags.IntVar(&b.rollout, "rollout", 500, "Replicas of the app, one more, that gets a new image while the others run.")
	flags.IntVar(&b.direct, "direct", 3000, "Instances without an app that are there before the scheduler is, twice: with the hosts' agents and without. 0 leaves that out.")
	flags.DurationVar(&b.rest, "rest", time.Minute, "How long the fleet is watched at rest.")
	flags.DurationVar(&b.timeout, "timeout", 20*time.Minute, "The longest that any one step may take.")
	return cmd
}

func (b *fleetBench) validate() error {
	if b.hosts < 1 || b.instances < 1 || b.appSize < 1 || b.rollout < 1 {
		return errors.New("--hosts, --instances, --app-size and --rollout must be 1 or more")
	}
	if b.direct < 0 || b.rest <= 0 || b.timeout <= 0 {
		return errors.New("--direct must not be negative, --rest and --timeout must be more than 0s")
	}
	if b.rollout > b.instances {
		return fmt.Errorf("--rollout=%d is one of the apps: it must not be more than --instances=%d", b.rollout, b.instances)
	}
	if b.slots() > mostSlots {
		return fmt.Errorf("%d instances on %d hosts are more than simulated hosts take: use more --hosts", b.instances+2*b.direct, b.hosts)
	}
	return nil
}

const (
	// mostSlots is the maximum number of instances on a simulated host.
	mostSlots = 250
	// milliCPU and mebibyte are the requests of each instance.
	milliCPU = 100
	mebibyte = 64
)

// slots returns the capacity of each host: twice its share if all instances were spread
// evenly, so that a rollout fits and the scheduler has a choice.
func (b *fleetBench) slots() int { return 2 * ((b.instances+2*b.direct)/b.hosts + 1) }

// sizes returns the replicas of each app. The first one is rolled out.
func (b *fleetBench) sizes() []int {
	sizes := []int{b.rollout}
	for left := b.instances - b.rollout; left > 0; left -= b.appSize {
		sizes = append(sizes, min(left, b.appSize))
	}
	return sizes
}

// fleetResult has the results of one run.
type fleetResult struct {
	register, create, rollout, settle, rest period
	// before is the state of the server without hosts.
	before moment
	// lastBound is the time from the first apply to the last binding.
	lastBound time.Duration
	// bindsPerSecond is the rate over all bindings of the apps, and bestBinds that of the best window.
	bindsPerSecond, bestBinds float64
	schedulers                []schedulerRun
}

// schedulerRun has the results of the scheduler alone.
type schedulerRun struct {
	name      string
	all, best float64
	took      time.Duration
	period    period
}

func (b *fleetBench) run(ctx context.Context, out io.Writer) (err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return err
	}
	defer remove()
	f, err := b.startFleet(ctx, filepath.Join(root, "data"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	var r fleetResult
	for _, step := range []struct {
		name string
		do   func(context.Context, *fleetRun, *fleetResult) error
	}{
		{"registering the hosts", b.register},
		{"creating the apps", b.create},
		{"rolling out", b.rollOut},
		{"resting", b.restAwhile},
		{"the scheduler by itself", b.scheduler},
	} {
		began := time.Now()
		if err := step.do(ctx, f, &r); err != nil {
			return fmt.Errorf("%s: %w%s", step.name, err, f.said())
		}
		fmt.Fprintf(os.Stderr, "%s is done, after %s\n", step.name, time.Since(began).Round(100*time.Millisecond))
	}
	b.report(out, &r)
	return nil
}
