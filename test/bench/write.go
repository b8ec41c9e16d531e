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
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// flowControlNote describes a setting that a reader must know.
const flowControlNote = "flow control: on, and it holds the clients: they are a user with a certificate and a role for the fleet kinds, not system:masters"

// writeBench are the flags of bench write.
type writeBench struct {
	*environment
	clients            []int
	connections        int
	rounds             int
	warmUp             int
	perClient, atLeast int
	atMost             int
}

func newWriteCommand(e *environment) *cobra.Command {
	b := &writeBench{environment: e}
	cmd := &cobra.Command{
		Use:   "write",
		Short: "Creates and status patches per second and their latency, beside raw etcd",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if slices.Min(b.clients) < 1 || b.connections < 1 || b.rounds < 1 {
				return errors.New("--clients, --connections and --rounds must be 1 or more")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&b.clients, "clients", []int{1, 16, 64}, "Numbers of clients that write at the same time.")
	flags.IntVar(&b.connections, "connections", 64, "HTTP/2 connections that they share at the most.")
	flags.IntVar(&b.rounds, "rounds", 3, "How often all is measured, each time with a new server and a new etcd; medians are printed.")
	flags.IntVar(&b.warmUp, "warm-up", 1000, "Operations of 16 clients that come first and do not count.")
	flags.IntVar(&b.perClient, "per-client", 1500, "Operations of each client ...")
	flags.IntVar(&b.atLeast, "at-least", 1500, "... but of all clients together at least this many ...")
	flags.IntVar(&b.atMost, "at-most", 8000, "... and at most this many.")
	return cmd
}

// count returns the number of operations for a number of clients.
func (b *writeBench) count(clients int) int {
	return max(b.atLeast, min(b.atMost, clients*b.perClient))
}

// writeRound is one round, each slice by the number of clients.
type writeRound struct {
	creates, patches, raw []load
	size                  int
	memory                memoryUse
}

func (b *writeBench) run(ctx context.Context, out io.Writer) error {
	var rounds []writeRound
	for i := range b.rounds {
		r, err := b.round(ctx)
		if err != nil {
			return err
		}
		rounds = append(rounds, r)
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", i+1, b.rounds)
	}
	fmt.Fprintln(out, "## Writes")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: instances of %d bytes stored; fsync: on (it cannot be switched off); stored as protobuf; protobuf on the wire; managedFields: recorded", rounds[0].size),
		clusterControllersNote,
		flowControlNote,
		fmt.Sprintf("clients: the generated clientset without client-side rate limit, in one process beside the server; TLS 1.3 with HTTP/2; at most %d connections, so that a client has one of its own where there are no more clients", b.connections),
		"raw etcd: the same embedded etcd with the same settings inside the load generator, guarded creates of the same bytes under the same kind of key, all clients on one gRPC connection over its unix socket",
		fmt.Sprintf("rounds: %d, each with a new server and a new etcd, %d operations of warm-up; medians of the rounds", b.rounds, b.warmUp))

	creates := &table{header: []string{"clients", "creates/s", "p50", "p99", "server CPU per create", "raw etcd: creates/s", "p50", "p99", "gatehouse / etcd"}}
	patches := &table{header: []string{"clients", "status patches/s", "p50", "p99", "server CPU per patch"}}
	for i, clients := range b.clients {
		create := middle(rounds, func(r writeRound) load { return r.creates[i] })
		raw := middle(rounds, func(r writeRound) load { return r.raw[i] })
		patch := middle(rounds, func(r writeRound) load { return r.patches[i] })
		name := strconv.Itoa(clients)
		creates.add(name, fmt.Sprintf("%.0f", create.rate), millis(create.p50), millis(create.p99), millis(create.cpu),
			fmt.Sprintf("%.0f", raw.rate), millis(raw.p50), millis(raw.p99), fmt.Sprintf("%.2f", create.rate/raw.rate))
		patches.add(name, fmt.Sprintf("%.0f", patch.rate), millis(patch.p50), millis(patch.p99), millis(patch.cpu))
	}
	creates.write(out)
	patches.write(out)
	fmt.Fprintf(out, "- the server after a round has %v\n", memoryUse{
		resident:  medianOf(rounds, func(r writeRound) int64 { return r.memory.resident }),
		anonymous: medianOf(rounds, func(r writeRound) int64 { return r.memory.anonymous }),
	})
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

// loadMedians are the medians of several loads.
type loadMedians struct {
	rate          float64
	p50, p99, cpu time.Duration
}

func middle(rounds []writeRound, which func(writeRound) load) loadMedians {
	return loadMedians{
		rate: medianOf(rounds, func(r writeRound) float64 { return which(r).rate() }),
		p50:  medianOf(rounds, func(r writeRound) time.Duration { return which(r).p50 }),
		p99:  medianOf(rounds, func(r writeRound) time.Duration { return which(r).p99 }),
		cpu:  medianOf(rounds, func(r writeRound) time.Duration { return which(r).cpuEach() }),
	}
}

// round measures the server and then etcd.
func (b *writeBench) round(ctx context.Context) (r writeRound, err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return r, err
	}
	defer remove()
	value, err := b.server(ctx, filepath.Join(root, "data"), &r)
	if err != nil {
		return r, err
	}
	r.size = len(value)
	return r, b.etcd(ctx, filepath.Join(root, "etcd"), value, &r)
}

// server measures the server and returns a stored instance.
func (b *writeBench) server(ctx context.Context, dir string, r *writeRound) (value string, err error) {
	s, err := b.startServer(ctx, dir, clusterControllers())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := s.waitReady(ctx); err != nil {
		return "", err
	}
	config, err := b.userConfig(ctx, s)
	if err != nil {
		return "", err
	}
	if err := b.create(ctx, s, config, "warm", 16, b.warmUp, nil); err != nil {
		return "", err
	}
	for _, clients := range b.clients {
		if err := b.create(ctx, s, config, prefixOf(clients), clients, b.count(clients), &r.creates); err != nil {
			return "", err
		}
		if err := b.patch(ctx, s, config, clients, &r.patches); err != nil {
			return "", err
		}
	}
	if r.memory, err = memoryOf(s.pid()); err != nil {
		return "", err
	}
	return storedValue(ctx, s, nameOf("warm", 0))
}

func prefixOf(clients int) string { return fmt.Sprintf("by-%d", clients) }

func nameOf(prefix string, number int) string { return fmt.Sprintf("%s-%06d", prefix, number) }

func (b *writeBench) create(ctx context.Context, s *server, config *rest.Config, prefix string, clients, count int, results *[]load) error {
	sets, closeAll, err := newClients(config, clients, b.connections)
	defer closeAll()
	if err != nil {
		return err
	}
	result, err := driveServer(ctx, s, clients, count, func(ctx context.Context, client, number int) error {
		created, err := sets[client].FleetV1alpha1().Instances(namespace).Create(ctx, newInstance(nameOf(prefix, number)), metav1.CreateOptions{})
		if err == nil && len(created.ManagedFields) == 0 {
			err = errors.New("the server recorded no managedFields")
		}
		return err
	})
	if results != nil {
		*results = append(*results, result)
	}
	return err
}

// patch makes the clients patch the status of the objects that they have created, each object once.
func (b *writeBench) patch(ctx context.Context, s *server, config *rest.Config, clients int, results *[]load) error {
	sets, closeAll, err := newClients(config, clients, b.connections)
	defer closeAll()
	if err != nil {
		return err
	}
	result, err := driveServer(ctx, s, clients, b.count(clients)/2, func(ctx context.Context, client, number int) error {
		_, err := sets[client].FleetV1alpha1().Instances(namespace).Patch(ctx, nameOf(prefixOf(clients), number), types.MergePatchType, statusPatch(number), metav1.PatchOptions{}, "status")
		return err
	})
	*results = append(*results, result)
	return err
}

// etcd measures the same creates without a server.
func (b *writeBench) etcd(ctx context.Context, dir, value string, r *writeRound) (err error) {
	raw, err := startRawEtcd(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.close()) }()
	create := func(prefix string) func(context.Context, int, int) error {
		return func(ctx context.Context, _, number int) error { return raw.create(ctx, nameOf(prefix, number), value) }
	}
	if _, err := drive(ctx, 16, b.warmUp, create("warm")); err != nil {
		return err
	}
	for _, clients := range b.clients {
		result, err := drive(ctx, clients, b.count(clients), create(prefixOf(clients)))
		if err != nil {
			return err
		}
		r.raw = append(r.raw, result)
	}
	return nil
}
