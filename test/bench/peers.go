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
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// peersBench are the flags of bench peers.
type peersBench struct {
	*environment
	clients   []int
	watches   []int
	perClient int
	atMost    int
	objects   int
	events    int
	rounds    int
}

func newPeersCommand(e *environment) *cobra.Command {
	b := &peersBench{environment: e}
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "The same load on Gatehouse and on a kube-apiserver with etcd: a custom resource, and pods",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if len(b.clients) == 0 || slices.Min(b.clients) < 1 || b.perClient < 2 || b.atMost < 2 || b.rounds < 1 || b.events < 1 || b.objects < 0 {
				return errors.New("--clients, --rounds and --events must be 1 or more, --per-client and --at-most 2 or more, and --objects not negative")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&b.clients, "clients", []int{1, 16, 64}, "Numbers of clients that write at the same time, each with a connection of its own.")
	flags.IntSliceVar(&b.watches, "watches", []int{0, 1000, 5000}, "Numbers of open watches, each for the objects of one host.")
	flags.IntVar(&b.perClient, "per-client", 1000, "Creates of each client ...")
	flags.IntVar(&b.atMost, "at-most", 4000, "... and at most this many of all clients together.")
	flags.IntVar(&b.objects, "objects", 20000, "Objects when memory and lists are measured.")
	flags.IntVar(&b.events, "events", 1000, "Status patches with each number of watches.")
	flags.IntVar(&b.rounds, "rounds", 1, "How often all is measured, the servers in turns; medians are printed.")
	return cmd
}

// peerResult is one figure of each peer: a row of the report.
type peerResult struct {
	name string
	// more is true if a higher value is better.
	more   bool
	format func(float64) string
}

// peerFigures are all figures of one peer by the name of their row.
type peerFigures map[string]float64

func (b *peersBench) run(ctx context.Context, out io.Writer) error {
	peers := b.peers()
	figures := make([][]peerFigures, len(peers))
	for round := range b.rounds {
		for i, p := range peers {
			measured, err := b.measure(ctx, p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			figures[i] = append(figures[i], measured)
			fmt.Fprintf(os.Stderr, "round %d of %d: %s is done\n", round+1, b.rounds, p.name)
		}
	}
	fmt.Fprintln(out, "## Beside a kube-apiserver")
	fmt.Fprintln(out)
	b.describe(out,
		"peers: kube-apiserver and etcd "+b.peerVersion()+", with a custom resource of the shape of an Instance in JSON, and with pods in protobuf; CPU and memory are those of both processes",
		"clients: an ordinary user with a certificate and a role at each server; a connection for each client; requests and answers are not decoded by the load generator",
		"controllers: Gatehouse's own of a cluster run in its process and count; kube-controller-manager runs beside the peers and does not count",
		fmt.Sprintf("rounds: %d, each with a new server and a new etcd, in turns", b.rounds))
	report := &table{header: []string{"figure"}}
	for _, p := range peers {
		report.header = append(report.header, p.name)
	}
	for _, p := range peers[1:] {
		report.header = append(report.header, "against "+p.name)
	}
	for _, row := range b.rows() {
		cells := []string{row.name}
		values := make([]float64, len(peers))
		for i := range peers {
			values[i] = medianOf(figures[i], func(f peerFigures) float64 { return f[row.name] })
			cells = append(cells, row.format(values[i]))
		}
		for _, value := range values[1:] {
			cells = append(cells, advantage(values[0], value, row.more))
		}
		report.add(cells...)
	}
	report.write(out)
	fmt.Fprintln(out, "A ratio above 1 is in Gatehouse's favour: more operations, or less time, CPU or memory.")
	fmt.Fprintln(out)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

// advantage returns how much better ours is.
func advantage(ours, theirs float64, more bool) string {
	if ours <= 0 || theirs <= 0 {
		return "-"
	}
	if more {
		return fmt.Sprintf("%.1f x", ours/theirs)
	}
	return fmt.Sprintf("%.1f x", theirs/ours)
}

func (b *peersBench) peerVersion() string {
	binaries, err := b.binaries()
	if err != nil {
		return "of an unknown version"
	}
	return kubernetesVersion(binaries.KubeAPIServer)
}

// The names of operations and of rows.
const (
	creates       = "creates"
	statusPatches = "status patches"

	rowReady    = "start to ready, new directory"
	rowList     = "list of all objects, JSON"
	rowListBest = "list of all objects, best media type"
	rowResident = "resident with all objects"
)

func rowsOf(operation string, clients int) (rate, cpu string) {
	return fmt.Sprintf("%s per second, clients: %d", operation, clients), fmt.Sprintf("%s, server CPU of each, clients: %d", operation, clients)
}

func rowEvent(watches int) string {
	return fmt.Sprintf("server CPU per event, host watches: %d", watches)
}

// rows returns the rows of the report in order.
func (b *peersBench) rows() []peerResult {
	perSecond := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }
	took := func(v float64) string { return millis(time.Duration(v)) }
	rows := []peerResult{{rowReady, false, took}}
	for _, operation := range []string{creates, statusPatches} {
		for _, clients := range b.clients {
			rate, cpu := rowsOf(operation, clients)
			rows = append(rows, peerResult{rate, true, perSecond}, peerResult{cpu, false, took})
		}
	}
	for _, watches := range b.watches {
		rows = append(rows, peerResult{rowEvent(watches), false, took})
	}
	return append(rows, peerResult{rowList, false, took}, peerResult{rowListBest, false, took},
		peerResult{rowResident, false, func(v float64) string { return mebibytes(int64(v)) }})
}

// measure measures one peer on a new server.
func (b *peersBench) measure(ctx context.Context, p peer) (figures peerFigures, err error) {
	dir, remove, err := b.newDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	server, err := p.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	figures = peerFigures{rowReady: float64(server.took)}
	if _, err := b.create(ctx, p, server, "warm", 16, 500); err != nil {
		return nil, err
	}
	created := 500
	for _, clients := range b.clients {
		count := min(b.atMost, clients*b.perClient)
		created += count
		result, err := b.create(ctx, p, server, prefixOf(clients), clients, count)
		if err != nil {
			return nil, err
		}
		figures.add(creates, result)
		if result, err = b.patch(ctx, p, server, clients, count/2); err != nil {
			return nil, err
		}
		figures.add(statusPatches, result)
	}
	if err := b.watched(ctx, p, server, figures); err != nil {
		return nil, err
	}
	if rest := b.objects - created - boundObjects; rest > 0 {
		if _, err := b.create(ctx, p, server, "fill", 16, rest); err != nil {
			return nil, err
		}
	}
	return figures, b.lists(ctx, p, server, figures)
}

// add adds the figures of an operation.
func (f peerFigures) add(operation string, l load) {
	rate, cpu := rowsOf(operation, l.clients)
	f[rate], f[cpu] = l.rate(), float64(l.cpuEach())
}

// drive is the load generator: see drive, with the CPU time of the peer.
func (b *peersBench) drive(ctx context.Context, server *runningPeer, clients, count int, operation func(ctx context.Context, client rest.Interface, number int) error) (load, error) {
	sets, closeAll, err := newClients(server.config, clients, clients)
	defer closeAll()
	if err != nil {
		return load{}, err
	}
	before, err := server.cpu()
	if err != nil {
		return load{}, err
	}
	result, err := drive(ctx, clients, count, func(ctx context.Context, client, number int) error {
		return operation(ctx, sets[client].Discovery().RESTClient(), number)
	})
	if err != nil {
		return load{}, err
	}
	after, err := server.cpu()
	result.cpu = after - before
	return result, err
}

func (b *peersBench) create(ctx context.Context, p peer, server *runningPeer, prefix string, clients, count int) (load, error) {
	return b.drive(ctx, server, clients, count, func(ctx context.Context, client rest.Interface, number int) error {
		return p.post(ctx, client, nameOf(prefix, number), "")
	})
}

func (p peer) post(ctx context.Context, client rest.Interface, name, host string) error {
	body, err := p.object(name, host)
	if err != nil {
		return err
	}
	_, err = client.Post().AbsPath(p.path).SetHeader("Content-Type", p.media).SetHeader("Accept", p.media).Body(body).DoRaw(ctx)
	return err
}

// patch patches the status of objects that create has created, each once.
func (b *peersBench) patch(ctx context.Context, p peer, server *runningPeer, clients, count int) (load, error) {
	return b.drive(ctx, server, clients, count, func(ctx context.Context, client rest.Interface, number int) error {
		return p.patchStatus(ctx, client, nameOf(prefixOf(clients), number), number)
	})
}

func (p peer) patchStatus(ctx context.Context, client rest.Interface, name string, number int) error {
	_, err := client.Patch(types.MergePatchType).AbsPath(p.path, name, "status").SetHeader("Accept", p.media).Body(p.status(number)).DoRaw(ctx)
	return err
}
