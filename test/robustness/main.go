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

// Command robustness runs clients against Gatehouse while machines, disks and networks fail, and
// checks what the clients have seen: that each object is linearizable, that no acknowledged write is
// lost, and that watches deliver every event once and in order. Then it plants three defects, each
// of which the checks have to report.
//
//	make test-faults
//	make test-faults ARGS='-runs 200'
//	make test-faults ARGS='-only leader-killed -seed 7 -runs 1 -plants=false'
//
// Every run has a seed, which decides on the fault, on what it strikes and when, and on what each
// client does. A seed repeats these choices; the order in which processes run stays the machine's.
// A run with a violation leaves its history and the logs of its processes in -output.
//
//	main.go              flags, the order of runs
//	run.go               one run: cluster, clients, fault, checks
//	faults_*.go          the faults
//	plants.go            the planted defects
//	report.go            the table and its JSON
//	history, watches     the checks
//	load, api            the clients
//	cluster, machine     processes, network and disks
//
// It needs Linux; faults of disks need root. What the machine lacks is skipped with the reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/cluster"
)

// inside marks a process in a separate mount namespace, whose end removes its mounts.
const inside = "GATEHOUSE_ROBUSTNESS_INSIDE"

// options are the flags.
type options struct {
	programs cluster.Programs
	runs     int
	seed     uint64
	only     string
	plants   bool
	output   string
}

func main() {
	var o options
	flag.StringVar(&o.programs.Gatehouse, "gatehouse", "bin/gatehouse", "The program to run.")
	flag.StringVar(&o.programs.Etcd, "etcd", "_output/e2e/etcd", "etcd, for clusters with an external one.")
	flag.StringVar(&o.programs.Failpoints, "failpoints", "_output/failpoints", "Directory of failpoints.sh: the same programs with failpoints.")
	flag.StringVar(&o.programs.Old, "old", "", "An older gatehouse, from which servers are upgraded.")
	flag.IntVar(&o.runs, "runs", 6, "Number of runs.")
	flag.Uint64Var(&o.seed, "seed", 0, "Seed of the first run; each further run has the next one. 0 chooses one.")
	flag.StringVar(&o.only, "only", "", "Faults to play, comma separated, such as killed/lone, or killed on all clusters; all where empty. The value list prints them.")
	flag.BoolVar(&o.plants, "plants", true, "Plant defects afterwards, and fail if one is not found.")
	flag.StringVar(&o.output, "output", "_output/robustness", "Directory for the report, and for what is left of runs with violations.")
	flag.Parse()
	if runtime.GOOS != "linux" {
		fmt.Fprintln(os.Stderr, "faults of the machine can be played on Linux only")
		os.Exit(1)
	}
	if os.Getuid() == 0 && os.Getenv(inside) == "" {
		os.Exit(again())
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	sound, err := o.play(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !sound {
		os.Exit(1)
	}
}

// again runs this program in a separate mount namespace.
func again() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, err)
		}
		return 1
	}
	return 0
}

// play plays all runs and prints the report, that of the completed runs if it is interrupted. It reports whether no run has a violation and every
// planted defect was found.
func (o *options) play(ctx context.Context) (bool, error) {
	if err := o.absolute(); err != nil {
		return false, err
	}
	chosen, err := o.choose()
	if err != nil || chosen == nil {
		return err == nil, err
	}
	r := &report{Seed: o.seed}
	for i := uint64(0); i < uint64(o.runs) && ctx.Err() == nil; i++ {
		seed := o.seed + i
		f := chosen[seed%uint64(len(chosen))]
		if res := o.one(ctx, f, seed); ctx.Err() == nil {
			r.add(res)
		}
	}
	if o.plants && ctx.Err() == nil {
		for i, f := range plants() {
			r.addPlant(o.one(ctx, f, o.seed+uint64(i)))
		}
	}
	fmt.Println()
	fmt.Print(r.table())
	return r.sound() && ctx.Err() == nil, r.save(filepath.Join(o.output, "report.json"))
}

// absolute makes paths of flags independent of the working directory, and creates the output.
func (o *options) absolute() error {
	for _, path := range []*string{&o.programs.Gatehouse, &o.programs.Etcd, &o.programs.Failpoints, &o.programs.Old, &o.output} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	if _, err := os.Stat(o.programs.Gatehouse); err != nil {
		return fmt.Errorf("-gatehouse: %w: run make", err)
	}
	return os.MkdirAll(o.output, 0o755)
}

// choose returns the faults that -only names and the machine can play; nil if it has only printed
// them.
func (o *options) choose() ([]fault, error) {
	var chosen []fault
	wanted := strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' })
	for _, f := range faults() {
		why := f.missing(o.programs)
		if o.only == "list" {
			fmt.Printf("%-32s %s; %s\n", f.name, f.shape, f.how)
			continue
		}
		kind, _, _ := strings.Cut(f.name, "/")
		if len(wanted) > 0 && !slices.Contains(wanted, f.name) && !slices.Contains(wanted, kind) {
			continue
		}
		if why != "" {
			fmt.Printf("%s is skipped: %s\n", f.name, why)
			continue
		}
		chosen = append(chosen, f)
	}
	if o.only != "list" && len(chosen) == 0 {
		return nil, fmt.Errorf("-only: no fault is named %s, or none of them can be played here: -only list prints their names", o.only)
	}
	return chosen, nil
}

// one plays one run and prints its result.
func (o *options) one(ctx context.Context, f fault, seed uint64) result {
	fmt.Printf("seed %d: %s on %s ... ", seed, f.name, f.shape)
	began := time.Now()
	res := o.run(ctx, f, seed)
	res.Took = time.Since(began)
	fmt.Println(res.line())
	return res
}
