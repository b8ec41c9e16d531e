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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// startBench are the flags of bench start.
type startBench struct {
	*environment
	runs, memoryRuns, objects int
	settle                    time.Duration
}

func newStartCommand(e *environment) *cobra.Command {
	b := &startBench{environment: e}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Time from exec to /readyz and to the first object by kubectl, and resident memory",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&b.runs, "runs", 10, "Starts of each kind, after one that does not count.")
	flags.IntVar(&b.memoryRuns, "memory-runs", 3, "In how many of them memory is looked at, which takes as long as --settle says.")
	flags.IntVar(&b.objects, "objects", 20000, "Stored instances in the third kind of start.")
	flags.DurationVar(&b.settle, "settle", 10*time.Second, "When, after exec, resident memory is looked at.")
	return cmd
}

// scenario is one kind of start.
type scenario struct {
	name string
	// dir is the data directory; if empty, every start gets a new one.
	dir string
}

// startRun has the results of one start.
type startRun struct {
	ready, first, kubectl time.Duration
	memory                memoryUse
	phases                []phase
}

func (b *startBench) run(ctx context.Context, out io.Writer) error {
	root, remove, err := b.newDir()
	if err != nil {
		return err
	}
	defer remove()
	alone, err := b.kubectlAlone(ctx, root)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "## Start")
	fmt.Fprintln(out)
	b.describe(out,
		"its own memory: heap and stacks; the rest is pages of the binary, shared and reclaimable, of which the kernel maps more or fewer as it likes",
		fmt.Sprintf("settings: %d starts of each kind, after one that does not count; median (min-max); kubectl with an empty discovery cache each time; memory %v after exec in %d of the starts", b.runs, b.settle, b.memoryRuns),
		"clock: from exec of `gatehouse up` to the first 200 of /readyz, asked every millisecond, and to the end of the kubectl command",
		"kubectl by itself (`kubectl version --client`): "+spread(alone))

	empty, filled := filepath.Join(root, "empty"), filepath.Join(root, "filled")
	results := &table{header: []string{"start", "ready", "first object by kubectl", "kubectl command", "of which kubectl", "resident memory", "of which its own"}}
	phases := &phaseTable{}
	for _, s := range []scenario{
		{"fresh data directory", ""},
		{"warm, no other objects", empty},
		{fmt.Sprintf("warm, %d instances", b.objects), filled},
	} {
		if s.dir == filled {
			if err := b.fill(ctx, out, filled); err != nil {
				return err
			}
		}
		runs, err := b.measure(ctx, root, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		command := "get"
		if s.dir == "" {
			command = "create"
		}
		results.add(s.name, spread(column(runs, func(r startRun) time.Duration { return r.ready })),
			spread(column(runs, func(r startRun) time.Duration { return r.first })), command,
			spread(column(runs, func(r startRun) time.Duration { return r.kubectl })),
			memoryColumn(runs, func(m memoryUse) int64 { return m.resident }), memoryColumn(runs, func(m memoryUse) int64 { return m.anonymous }))
		phases.add(s.name, runs)
	}
	results.write(out)
	fmt.Fprintln(out, "What each phase costs, in ms, median. The first row is the process itself: exec, Go's package")
	fmt.Fprintln(out, "initialisation, flags; it is what `gatehouse up` cannot see.")
	fmt.Fprintln(out)
	phases.table().write(out)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

func column[R, T any](runs []R, aspect func(R) T) []T {
	values := make([]T, 0, len(runs))
	for _, r := range runs {
		values = append(values, aspect(r))
	}
	return values
}

// memoryColumn formats the memory of the runs in which it was measured.
func memoryColumn(runs []startRun, aspect func(memoryUse) int64) string {
	var values []int64
	for _, r := range runs {
		if r.memory.resident > 0 {
			values = append(values, aspect(r.memory))
		}
	}
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%.0f-%.0f)", mebibytes(median(values)), float64(slices.Min(values))/(1<<20), float64(slices.Max(values))/(1<<20))
}

// fill stores the objects through a server, and prints the memory of that server.
func (b *startBench) fill(ctx context.Context, out io.Writer, dir string) error {
	s, err := b.startServer(ctx, dir)
	if err != nil {
		return err
	}
	err = func() error {
		if _, err := s.waitReady(ctx); err != nil {
			return err
		}
		config, err := s.restConfig()
		if err != nil {
			return err
		}
		client, err := versioned.NewForConfig(config)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := fill(ctx, client, "stored", b.objects); err != nil {
			return err
		}
		took := time.Since(began)
		if err := sleep(ctx, b.settle); err != nil {
			return err
		}
		use, err := memoryOf(s.pid())
		if err != nil {
			return err
		}
		size, err := storedSize(ctx, s, "stored-000000")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "Creating %d instances of %d bytes stored took %.0f s; %v later the server that took them had %v.\n\n",
			b.objects, size, took.Seconds(), b.settle, use)
		return nil
	}()
	return errors.Join(err, s.stop())
}

// measure makes all starts of one kind. A warm one begins with a start that is not counted
// and creates the object that the others get.
func (b *startBench) measure(ctx context.Context, root string, s scenario) ([]startRun, error) {
	manifest := filepath.Join(root, "instance.json")
	instance := newInstance("first")
	instance.APIVersion, instance.Kind = fleet.SchemeGroupVersion.String(), "Instance"
	content, err := json.Marshal(instance)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(manifest, content, 0o600); err != nil {
		return nil, err
	}
	create := []string{"create", "--filename", manifest}
	get := []string{"get", "instances", "first"}

	var runs []startRun
	for i := range b.runs + 1 {
		dir, command := s.dir, get
		if dir == "" {
			dir, command = filepath.Join(root, "fresh-"+strconv.Itoa(i)), create
		} else if i == 0 {
			command = create
		}
		r, err := b.one(ctx, root, dir, command, i > 0 && i <= b.memoryRuns)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			runs = append(runs, r)
		}
		if s.dir == "" {
			_ = os.RemoveAll(dir)
		}
	}
	return runs, nil
}

// one starts the server once.
func (b *startBench) one(ctx context.Context, root, dir string, command []string, memory bool) (r startRun, err error) {
	s, err := b.startServer(ctx, dir)
	if err != nil {
		return r, err
	}
	defer func() {
		err = errors.Join(err, s.stop())
		r.phases = s.startPhases()
	}()
	if r.ready, err = s.waitReady(ctx); err != nil {
		return r, err
	}
	began := time.Now()
	if err := b.runKubectl(ctx, root, append(command, "--kubeconfig", s.kubeconfig())...); err != nil {
		return r, err
	}
	r.kubectl, r.first = time.Since(began), time.Since(s.started)
	if !memory {
		return r, nil
	}
	if err := sleep(ctx, time.Until(s.started.Add(b.settle))); err != nil {
		return r, err
	}
	r.memory, err = memoryOf(s.pid())
	return r, err
}

// runKubectl runs kubectl with an empty discovery cache.
func (b *startBench) runKubectl(ctx context.Context, root string, args ...string) error {
	cache, err := os.MkdirTemp(root, "cache-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cache) }()
	output, err := exec.CommandContext(ctx, b.kubectl, append(args, "--cache-dir", cache)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl %v: %w\n%s", args, err, output)
	}
	return nil
}

// kubectlAlone measures kubectl without any server.
func (b *startBench) kubectlAlone(ctx context.Context, root string) ([]time.Duration, error) {
	var took []time.Duration
	for range b.runs {
		began := time.Now()
		if err := b.runKubectl(ctx, root, "version", "--client"); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// phaseTable has a row for each phase and a column for each kind of start.
type phaseTable struct {
	names     []string
	scenarios []string
	values    []map[string]time.Duration
}

const processPhase = "exec to the first phase"

func (t *phaseTable) add(scenario string, runs []startRun) {
	byName := map[string][]time.Duration{}
	for _, r := range runs {
		rest := r.ready
		for _, p := range r.phases {
			rest -= p.took
		}
		for _, p := range append([]phase{{processPhase, rest}}, r.phases...) {
			if !slices.Contains(t.names, p.name) {
				t.names = append(t.names, p.name)
			}
			byName[p.name] = append(byName[p.name], p.took)
		}
	}
	medians := map[string]time.Duration{}
	for name, took := range byName {
		medians[name] = median(took)
	}
	t.scenarios = append(t.scenarios, scenario)
	t.values = append(t.values, medians)
}

func (t *phaseTable) table() *table {
	result := &table{header: append([]string{"phase"}, t.scenarios...)}
	for _, name := range t.names {
		row := []string{name}
		for _, medians := range t.values {
			row = append(row, whole(medians[name]))
		}
		result.add(row...)
	}
	return result
}
