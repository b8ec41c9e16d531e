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
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

const (
	// boundHosts is the number of hosts with an instance; the events are about these. They are
	// spread over all watched hosts.
	boundHosts = 20
	// watchSettle is the idle time before the server's memory or CPU time is read.
	watchSettle = 2 * time.Second
	// deliveryTimeout is the time after which an event counts as lost.
	deliveryTimeout = 30 * time.Second
)

// watchBench are the flags of bench watch.
type watchBench struct {
	*environment
	watches        []int
	perConnection  int
	rounds         int
	events, warmUp int
}

func newWatchCommand(e *environment) *cobra.Command {
	b := &watchBench{environment: e}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "CPU and latency of an event with 0 to 5,000 host watches, indexed and not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if slices.Min(b.watches) < 0 || b.perConnection < 1 || b.rounds < 1 || b.events < 1 {
				return errors.New("--watches must not be negative; --per-connection, --rounds and --events must be 1 or more")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&b.watches, "watches", []int{0, 1000, 5000}, "Numbers of host watches.")
	flags.IntVar(&b.perConnection, "per-connection", 500, "Watches of each HTTP/2 connection.")
	flags.IntVar(&b.rounds, "rounds", 3, "How often all is measured, each time with new servers; medians are printed.")
	flags.IntVar(&b.events, "events", 1500, "Events that count.")
	flags.IntVar(&b.warmUp, "warm-up", 300, "Events that come first and do not count.")
	return cmd
}

// selection is a way to select the instances of one host.
type selection struct {
	name  string
	query func(host string) url.Values
}

var (
	indexed   = selection{"indexed: fieldSelector spec.hostName=N", func(host string) url.Values { return url.Values{"fieldSelector": {"spec.hostName=" + host}} }}
	unindexed = selection{"not indexed: labelSelector host=N", func(host string) url.Values { return url.Values{"labelSelector": {hostLabel + "=" + host}} }}
)

// watchCase is one row of the table.
type watchCase struct {
	selection
	watches int
}

// watchRun has the results of a case in one round.
type watchRun struct {
	// cpu is that of one event; idle is that of one second without events.
	cpu, idle      time.Duration
	answered       time.Duration
	p50, p99       time.Duration
	memoryPerWatch int64
}

func (b *watchBench) run(ctx context.Context, out io.Writer) error {
	var cases []watchCase
	for _, s := range []selection{indexed, unindexed} {
		for _, n := range b.watches {
			if n == 0 && s.name == unindexed.name {
				continue // without watches both are the same
			}
			cases = append(cases, watchCase{s, n})
		}
	}
	runs := make([][]watchRun, len(cases))
	for i := range b.rounds {
		for j, c := range cases {
			r, err := b.measure(ctx, c)
			if err != nil {
				return fmt.Errorf("%d watches, %s: %w", c.watches, c.name, err)
			}
			runs[j] = append(runs[j], r)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", i+1, b.rounds)
	}
	fmt.Fprintln(out, "## Watches")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: %d events after %d that do not count, each a merge patch of the status of one of %d instances bound to different hosts; one writer, which waits for the answer and for the event to arrive before it writes again", b.events, b.warmUp, boundHosts),
		"fsync: on; stored as protobuf; protobuf on the wire; managedFields: recorded",
		clusterControllersNote,
		flowControlNote,
		"limits: one user opens all watches, so the server runs with --max-watches-per-user=0",
		fmt.Sprintf("watches: TLS 1.3 with HTTP/2, %d of them on a connection, each for one host; of these at most one is interested in an event; the clients read frames and decode nothing", b.perConnection),
		fmt.Sprintf("rounds: %d, a new server for each row of each; medians of the rounds", b.rounds))
	results := &table{header: []string{"watches", "selector", "server CPU per event", "against none", "write answered p50", "write to delivery p50", "p99", "memory per idle watch", "idle CPU"}}
	var none time.Duration
	for j, c := range cases {
		cpu := medianOf(runs[j], func(r watchRun) time.Duration { return r.cpu })
		if c.watches == 0 {
			none = cpu
		}
		row := []string{strconv.Itoa(c.watches), c.name, millis(cpu), "-",
			millis(medianOf(runs[j], func(r watchRun) time.Duration { return r.answered })), "-", "-", "-",
			fmt.Sprintf("%.1f %%", 100*medianOf(runs[j], func(r watchRun) time.Duration { return r.idle }).Seconds())}
		if none > 0 {
			row[3] = fmt.Sprintf("%.2f x", float64(cpu)/float64(none))
		}
		if c.watches == 0 {
			row[1] = "-"
		} else {
			row[5] = millis(medianOf(runs[j], func(r watchRun) time.Duration { return r.p50 }))
			row[6] = millis(medianOf(runs[j], func(r watchRun) time.Duration { return r.p99 }))
			row[7] = fmt.Sprintf("%.0f KiB", float64(medianOf(runs[j], func(r watchRun) int64 { return r.memoryPerWatch }))/(1<<10))
		}
		results.add(row...)
	}
	results.write(out)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

// hostName returns the name of a host and of the instance bound to it.
func hostName(number int) string { return "host-" + strconv.Itoa(number) }

// boundHost returns the number of the i-th host that has an instance, for this number of watches.
func boundHost(i, watches int) int {
	return i * max(watches, boundHosts) / boundHosts
}

// measure runs one case with a separate server.
func (b *watchBench) measure(ctx context.Context, c watchCase) (r watchRun, err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return r, err
	}
	defer remove()
	s, err := b.startAPIServer(ctx, filepath.Join(root, "data"), "--max-watches-per-user=0") // one user opens all of them
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := s.waitReady(ctx); err != nil {
		return r, err
	}
	config, err := b.userConfig(ctx, s)
	if err != nil {
		return r, err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return r, err
	}
	for i := range boundHosts {
		if err := bindInstance(ctx, client, hostName(boundHost(i, c.watches))); err != nil {
			return r, err
		}
	}
	if err := sleep(ctx, watchSettle); err != nil {
		return r, err
	}
	before, err := memoryOf(s.pid())
	if err != nil {
		return r, err
	}
	events := make(chan event, 1<<16)
	streams, err := b.open(ctx, client, config, c, events)
	defer func() {
		for _, stream := range streams {
			err = errors.Join(err, stream.close())
		}
	}()
	if err != nil {
		return r, err
	}
	if r.idle, err = idleCPU(ctx, s); err != nil {
		return r, err
	}
	after, err := memoryOf(s.pid())
	if err != nil {
		return r, err
	}
	if c.watches > 0 {
		r.memoryPerWatch = (after.anonymous - before.anonymous) / int64(c.watches)
	}
	return r, b.write(ctx, s, client, c, events, &r)
}

// open opens all watches, from the current version on.
func (b *watchBench) open(ctx context.Context, client versioned.Interface, config *rest.Config, c watchCase, events chan<- event) ([]*stream, error) {
	list, err := client.FleetV1alpha1().Instances(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	var streams []*stream
	for first := 0; first < c.watches; first += b.perConnection {
		var paths []string
		for i := first; i < min(first+b.perConnection, c.watches); i++ {
			query := c.query(hostName(i))
			query.Set("watch", "true")
			query.Set("resourceVersion", list.ResourceVersion)
			query.Set("timeoutSeconds", "3600")
			paths = append(paths, "/apis/fleet.gatehouse.dev/v1alpha1/instances?"+query.Encode())
		}
		stream, err := openStream(ctx, config, first, paths, events)
		if err != nil {
			return streams, err
		}
		streams = append(streams, stream)
	}
	return streams, nil
}

// idleCPU returns the server's processor time in an idle second.
func idleCPU(ctx context.Context, s *server) (time.Duration, error) {
	if err := sleep(ctx, watchSettle); err != nil {
		return 0, err
	}
	before, err := cpuTime(s.pid())
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, watchSettle); err != nil {
		return 0, err
	}
	after, err := cpuTime(s.pid())
	return (after - before) / time.Duration(watchSettle/time.Second), err
}

// write makes the events and waits for each.
func (b *watchBench) write(ctx context.Context, s *server, client versioned.Interface, c watchCase, events <-chan event, r *watchRun) error {
	var answered, delivered []time.Duration
	var before time.Duration
	for i := range b.warmUp + b.events {
		if i == b.warmUp {
			answered, delivered = nil, nil
			var err error
			if before, err = cpuTime(s.pid()); err != nil {
				return err
			}
		}
		host := boundHost(i%boundHosts, c.watches)
		began := time.Now()
		if _, err := client.FleetV1alpha1().Instances(namespace).Patch(ctx, hostName(host), types.MergePatchType, statusPatch(i), metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
		answered = append(answered, time.Since(began))
		if c.watches == 0 {
			continue
		}
		select {
		case e := <-events:
			if e.watch != host {
				return fmt.Errorf("an event for host %d arrived at the watch for host %d", host, e.watch)
			}
			delivered = append(delivered, e.at.Sub(began))
		case <-time.After(deliveryTimeout):
			return fmt.Errorf("no event within %v", deliveryTimeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// The last write may still be processed by watches that do not match it.
	if err := sleep(ctx, 200*time.Millisecond); err != nil {
		return err
	}
	after, err := cpuTime(s.pid())
	r.cpu = (after - before) / time.Duration(b.events)
	r.answered, r.p50, r.p99 = percentile(answered, 50), percentile(delivered, 50), percentile(delivered, 99)
	return err
}
