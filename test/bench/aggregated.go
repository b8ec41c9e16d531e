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
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// idleTime is the duration of the idle measurement of the replica: longer
// than its caches keep entries.
const idleTime = 11 * time.Second

// aggregatedBench are the flags of bench aggregated.
type aggregatedBench struct {
	*environment
	controlPlane     string
	requests, rounds int
	clients          int
	watches, proxied int
	perConnection    int
	events           int
	timeout          time.Duration
}

func newAggregatedCommand(e *environment) *cobra.Command {
	b := &aggregatedBench{environment: e}
	cmd := &cobra.Command{
		Use:   "aggregated",
		Short: "What the way through a kube-apiserver costs, and ten thousand host watches past it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if b.rounds < 1 || b.clients < 1 || b.requests < b.rounds || b.events < 1 || b.perConnection < 1 {
				return errors.New("--rounds, --clients, --events and --per-connection must be 1 or more, --requests at least --rounds")
			}
			if b.watches < boundHosts || b.proxied < boundHosts || b.proxied > b.watches {
				return fmt.Errorf("--watches and --proxied must be at least %d, and --proxied no more than --watches", boundHosts)
			}
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), b.timeout, fmt.Errorf("not done within --timeout=%v", b.timeout))
			defer cancel()
			err := b.run(ctx, cmd.OutOrStdout())
			if err != nil && ctx.Err() != nil {
				err = errors.Join(context.Cause(ctx), err)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&b.controlPlane, "control-plane", os.Getenv("GATEHOUSE_E2E_BIN"), "The directory of kube-apiserver, kube-controller-manager and etcd; where empty, _output/e2e. Also $GATEHOUSE_E2E_BIN.")
	flags.IntVar(&b.requests, "requests", 900, "Requests of each operation on each way.")
	flags.IntVar(&b.rounds, "rounds", 3, "Into how many parts they are split; the ways take turns, and medians are printed.")
	flags.IntVar(&b.clients, "clients", 1, "Clients that send them at the same time.")
	flags.IntVar(&b.watches, "watches", 10000, "Host watches held directly.")
	flags.IntVar(&b.proxied, "proxied", 1000, "Host watches held through the kube-apiserver, for comparison.")
	flags.IntVar(&b.perConnection, "per-connection", 200, "Watches of each direct HTTP/2 connection, opened at once. Flow control lets one user have some 350 requests wait and answers 429 to more.")
	flags.IntVar(&b.events, "events", 500, "Events that count, in each measurement of delivery.")
	flags.DurationVar(&b.timeout, "timeout", 15*time.Minute, "When to give up.")
	return cmd
}

// way is one of the two paths to the same objects. Each has its own namespace, so that
// cache entries of one have no effect on the other.
type way struct{ name, namespace string }

var ways = [...]way{{"direct", "bench-direct"}, {"kube-apiserver", "bench-proxied"}}

const (
	direct = iota
	proxied
)

// operation is one kind of request; number counts over all rounds.
type operation struct {
	name string
	call func(ctx context.Context, client versioned.Interface, namespace string, number int) error
}

// operations run in this order in every round; the names that a get uses were created before.
var operations = []operation{
	{"create", func(ctx context.Context, client versioned.Interface, namespace string, number int) error {
		_, err := client.FleetV1alpha1().Instances(namespace).Create(ctx, newInstance(nameOf("made", number)), metav1.CreateOptions{})
		return err
	}},
	{"get, one object again and again", func(ctx context.Context, client versioned.Interface, namespace string, _ int) error {
		_, err := client.FleetV1alpha1().Instances(namespace).Get(ctx, watchedName, metav1.GetOptions{})
		return err
	}},
	{"get, each time another name", func(ctx context.Context, client versioned.Interface, namespace string, number int) error {
		_, err := client.FleetV1alpha1().Instances(namespace).Get(ctx, nameOf("made", number), metav1.GetOptions{})
		return err
	}},
	{"list, 10 objects", func(ctx context.Context, client versioned.Interface, namespace string, _ int) error {
		_, err := client.FleetV1alpha1().Instances(namespace).List(ctx, metav1.ListOptions{Limit: 10})
		return err
	}},
}

// aggregatedResult has all results.
type aggregatedResult struct {
	// requests are by operation, way and round.
	requests [][len(ways)][]usage
	delivery []deliveryRun
	// hosts are the results without watches, with all of them direct, and with some of them proxied.
	hosts []hostRun
	// idle is the usage without requests from clients.
	idle   usage
	memory memoryUse
}

func (b *aggregatedBench) run(ctx context.Context, out io.Writer) (err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return err
	}
	defer remove()
	t, err := b.startAggregated(ctx, root)
	if err != nil {
		return err
	}
	defer t.stop()
	var r aggregatedResult
	progress("the control plane and the replica run")
	if r.idle, err = t.leaveAlone(ctx); err != nil {
		return err
	}
	r.requests = make([][len(ways)][]usage, len(operations))
	for round := range b.rounds {
		if err := b.round(ctx, t, round, &r); err != nil {
			return err
		}
		progress(fmt.Sprintf("requests: round %d of %d is done", round+1, b.rounds))
	}
	if r.delivery, err = b.deliver(ctx, t); err != nil {
		return err
	}
	progress("delivery to single watches is done")
	if r.hosts, err = b.hostWatches(ctx, t); err != nil {
		return err
	}
	if r.memory, err = memoryOf(t.replica.PID()); err != nil {
		return err
	}
	b.report(out, &r)
	return nil
}

func progress(what string) { fmt.Fprintln(os.Stderr, what) }

// round sends the requests of one round; the first way alternates between rounds.
func (b *aggregatedBench) round(ctx context.Context, t *aggregated, round int, r *aggregatedResult) error {
	count := b.requests / b.rounds
	for i, op := range operations {
		for turn := range ways {
			w := (turn + round) % len(ways)
			sets, closeAll, err := newClients(t.configs[w], b.clients, b.clients)
			if err != nil {
				closeAll()
				return err
			}
			// Connections are opened before the measurement.
			for _, set := range sets {
				if err == nil {
					_, err = set.Discovery().ServerVersion()
				}
			}
			var u usage
			if err == nil {
				u, err = t.measure(ctx, func() (load, error) {
					return drive(ctx, b.clients, count, func(ctx context.Context, client, number int) error {
						return op.call(ctx, sets[client], ways[w].namespace, round*count+number)
					})
				})
			}
			closeAll()
			if err != nil {
				return fmt.Errorf("%s, %s: %w", op.name, ways[w].name, err)
			}
			r.requests[i][w] = append(r.requests[i][w], u)
		}
	}
	return nil
}

// watchedName is the instance that is read repeatedly, and watched.
const watchedName = "watched"

// prepare creates the objects of the requests.
func (b *aggregatedBench) prepare(ctx context.Context, t *aggregated) error {
	for _, w := range ways {
		if _, err := t.clients[direct].FleetV1alpha1().Instances(w.namespace).Create(ctx, newInstance(watchedName), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for i := range boundHosts {
		if err := bindInstance(ctx, t.clients[direct], hostName(boundHost(i, b.watches))); err != nil {
			return err
		}
	}
	return nil
}

// report prints all results.
func (b *aggregatedBench) report(out io.Writer, r *aggregatedResult) {
	fmt.Fprintln(out, "## Through a kube-apiserver")
	fmt.Fprintln(out)
	b.describe(out,
		"cluster: kube-apiserver and kube-controller-manager "+kubernetesVersion(filepath.Join(b.controlPlane, "kube-apiserver"))+" with an etcd of their own, RBAC; one Gatehouse replica in aggregated mode with another etcd, TLS to it; audit at level Metadata; everything on this machine",
		"caller: one ordinary user with a client certificate of the cluster's client CA, allowed by RBAC, on both ways; flow control judges it on both servers. Only metrics are read as an administrator",
		fmt.Sprintf("requests: %d of each operation on each way, in %d rounds in which the ways take turns; %d at a time; TLS 1.3 with HTTP/2, protobuf; medians of the rounds, sums of SubjectAccessReviews", b.requests/b.rounds*b.rounds, b.rounds, b.clients),
		fmt.Sprintf("SubjectAccessReviews (SARs) are those of the replica (apiserver_delegated_authz_request_total), answers kept for 10 s; left alone for %v, the replica asks %d", idleTime, r.idle.reviews),
		fmt.Sprintf("CPU of the kube-apiserver has in it what it does anyway (%.1f %% of a core, left alone; the replica %.1f %%), answers to SARs, and the events that it passes on to kube-controller-manager, which watches all kinds",
			100*float64(r.idle.cluster)/float64(r.idle.took), 100*float64(r.idle.replica)/float64(r.idle.took)))
	b.reportRequests(out, r)
	b.reportDelivery(out, r)
	b.reportHosts(out, r)
	fmt.Fprintf(out, "- the replica at the end has %v\n", r.memory)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
}

func (b *aggregatedBench) reportRequests(out io.Writer, r *aggregatedResult) {
	results := &table{header: []string{"operation", "way", "p50", "p99", "replica CPU", "kube-apiserver CPU", "requests", "SARs", "SARs per request", "answered from the cache"}}
	for i, op := range operations {
		for w := range ways {
			runs := r.requests[i][w]
			requests, reviews := 0, 0
			for _, u := range runs {
				requests += u.count
				reviews += u.reviews
			}
			results.add(op.name, ways[w].name,
				millis(medianOf(runs, func(u usage) time.Duration { return u.p50 })),
				millis(medianOf(runs, func(u usage) time.Duration { return u.p99 })),
				millis(medianOf(runs, func(u usage) time.Duration { return u.replicaEach() })),
				millis(medianOf(runs, func(u usage) time.Duration { return u.clusterEach() })),
				strconv.Itoa(requests), strconv.Itoa(reviews),
				fmt.Sprintf("%.3f", float64(reviews)/float64(requests)),
				fmt.Sprintf("%.1f %%", 100*max(0, 1-float64(reviews)/float64(requests))))
		}
	}
	results.write(out)
}
