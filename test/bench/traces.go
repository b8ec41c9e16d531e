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
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// tracesBench are the flags of bench traces.
type tracesBench struct {
	*environment
	clients, turns, gets, creates, events, watches int
}

func newTracesCommand(e *environment) *cobra.Command {
	b := &tracesBench{environment: e}
	cmd := &cobra.Command{
		Use:   "traces",
		Short: "CPU and latency of requests and events with --request-traces=all and off, in turns, and the memory of full rings",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if min(b.clients, b.turns, b.gets, b.creates, b.events, b.watches) < 1 {
				return errors.New("all numbers must be 1 or more")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&b.clients, "clients", 4, "Clients that send requests concurrently.")
	flags.IntVar(&b.turns, "turns", 12, "Number of turns of each kind. Each turn measures both servers.")
	flags.IntVar(&b.gets, "gets", 6000, "Gets of each turn and server.")
	flags.IntVar(&b.creates, "creates", 1000, "Creates of each turn and server.")
	flags.IntVar(&b.events, "events", 150, "Changes of each turn and server that all watches receive.")
	flags.IntVar(&b.watches, "watches", 100, "Watches of all instances.")
	return cmd
}

// tracedServer is a server under measurement, with its clients.
type tracedServer struct {
	*server
	mode    string
	admin   *rest.Config
	clients []versioned.Interface
	close   func()
	stream  *stream
	events  chan event
	made    int
}

// turn has the loads of both servers, without traces and with them.
type turn struct{ off, all load }

func (t turn) ratio() float64 { return float64(t.all.cpuEach()) / float64(max(t.off.cpuEach(), 1)) }

// tracedKind is a kind of operation.
type tracedKind struct {
	name    string
	count   int
	prepare func(context.Context, *tracedServer) error
	load    func(context.Context, *tracedServer, int) (load, error)
}

func (b *tracesBench) run(ctx context.Context, out io.Writer) (err error) {
	var servers [2]*tracedServer
	for i, mode := range []string{"off", "all"} {
		root, remove, err := b.newDir()
		if err != nil {
			return err
		}
		defer remove()
		s, err := b.start(ctx, filepath.Join(root, "data"), mode)
		if err != nil {
			return err
		}
		defer func() {
			s.close()
			_ = s.stop() // nothing is measured any more
		}()
		servers[i] = s
	}
	memory, err := b.memory(ctx, servers)
	if err != nil {
		return err
	}
	table := &table{header: []string{"what", "CPU, off", "CPU, all", "all / off, of the sums", "median of the turns (least, most)", "p50, off", "p50, all"}}
	for _, k := range []tracedKind{
		{"a get", b.gets, nil, b.get},
		{"a create", b.creates, nil, b.create},
		{"a write and its event at each of " + strconv.Itoa(b.watches) + " watches", b.events, b.watch, b.change},
	} {
		turns, err := b.measure(ctx, servers, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		table.add(append([]string{k.name}, cells(turns)...)...)
		fmt.Fprintf(os.Stderr, "%s: done\n", k.name)
	}
	b.describeTraces(out)
	table.write(out)
	fmt.Fprintln(out, "-", memory)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

// measure measures a kind of operation in turns.
func (b *tracesBench) measure(ctx context.Context, servers [2]*tracedServer, k tracedKind) (turns []turn, err error) {
	for _, s := range servers {
		if k.prepare != nil {
			if err := k.prepare(ctx, s); err != nil {
				return nil, err
			}
		}
		if _, err := k.load(ctx, s, k.count/2+1); err != nil { // does not count
			return nil, err
		}
	}
	for n := range b.turns {
		var loads [2]load
		for order := range servers {
			at := (order + n) % 2 // each begins in every second turn
			if loads[at], err = k.load(ctx, servers[at], k.count); err != nil {
				return nil, err
			}
		}
		turns = append(turns, turn{loads[0], loads[1]})
	}
	return turns, nil
}

func (b *tracesBench) describeTraces(out io.Writer) {
	fmt.Fprintln(out, "## Request traces")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: two servers at a time, one with --request-traces=off and one with all; %d turns of %d gets, of %d creates by %d clients, and of %d status patches by one; the order changes with each turn", b.turns, b.gets, b.creates, b.clients, b.events),
		clusterControllersNote,
		flowControlNote,
		"CPU: that of the server's process, for each operation; the load generator is on the same cores",
		"p50: of the clients; medians of the turns")
}

// cells returns the results of a kind for the table.
func cells(turns []turn) []string {
	var off, all time.Duration
	least, most := turns[0].ratio(), turns[0].ratio()
	for _, t := range turns {
		off, all = off+t.off.cpu, all+t.all.cpu
		least, most = min(least, t.ratio()), max(most, t.ratio())
	}
	count := time.Duration(len(turns) * turns[0].off.count)
	return []string{
		fmt.Sprintf("%.1f us", float64(off/count)/float64(time.Microsecond)), fmt.Sprintf("%.1f us", float64(all/count)/float64(time.Microsecond)),
		fmt.Sprintf("%.3f", float64(all)/float64(off)),
		fmt.Sprintf("%.3f (%.3f, %.3f)", medianOf(turns, turn.ratio), least, most),
		millis(medianOf(turns, func(t turn) time.Duration { return t.off.p50 })), millis(medianOf(turns, func(t turn) time.Duration { return t.all.p50 })),
	}
}

func (b *tracesBench) start(ctx context.Context, dir, mode string) (*tracedServer, error) {
	s := &tracedServer{mode: mode, events: make(chan event, 1<<16), close: func() {}}
	var err error
	if s.server, err = b.startAPIServer(ctx, dir, "--request-traces="+mode, "--profiling", "--max-watches-per-user=0"); err != nil {
		return nil, err
	}
	fail := func(err error) (*tracedServer, error) { return nil, errors.Join(err, s.stop()) }
	if _, err := s.waitReady(ctx); err != nil {
		return fail(err)
	}
	if s.admin, err = s.restConfig(); err != nil {
		return fail(err)
	}
	user, err := b.userConfig(ctx, s.server)
	if err != nil {
		return fail(err)
	}
	clients, closeAll, err := newClients(user, b.clients, b.clients)
	if err != nil {
		return fail(err)
	}
	s.clients, s.close = clients, func() {
		if s.stream != nil {
			_ = s.stream.close()
		}
		closeAll()
	}
	if _, err := clients[0].FleetV1alpha1().Instances(namespace).Create(ctx, newInstance("there"), metav1.CreateOptions{}); err != nil {
		return fail(err)
	}
	return s, nil
}

func (b *tracesBench) get(ctx context.Context, s *tracedServer, count int) (load, error) {
	return driveServer(ctx, s.server, b.clients, count, func(ctx context.Context, client, _ int) error {
		_, err := s.clients[client].FleetV1alpha1().Instances(namespace).Get(ctx, "there", metav1.GetOptions{})
		return err
	})
}

func (b *tracesBench) create(ctx context.Context, s *tracedServer, count int) (load, error) {
	first := s.made
	s.made += count
	return driveServer(ctx, s.server, b.clients, count, func(ctx context.Context, client, number int) error {
		_, err := s.clients[client].FleetV1alpha1().Instances(namespace).Create(ctx, newInstance(nameOf("made", first+number)), metav1.CreateOptions{})
		return err
	})
}

// watch opens the watches.
func (b *tracesBench) watch(ctx context.Context, s *tracedServer) error {
	list, err := s.clients[0].FleetV1alpha1().Instances(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	query := url.Values{"watch": {"true"}, "resourceVersion": {list.ResourceVersion}, "timeoutSeconds": {"3600"}}
	paths := make([]string, b.watches)
	for i := range paths {
		paths[i] = "/apis/fleet.gatehouse.dev/v1alpha1/instances?" + query.Encode()
	}
	s.stream, err = openStream(ctx, s.admin, 0, paths, s.events)
	return err
}

// change writes statuses, each after all watches have received the one before.
func (b *tracesBench) change(ctx context.Context, s *tracedServer, count int) (load, error) {
	return driveServer(ctx, s.server, 1, count, func(ctx context.Context, _, _ int) error {
		s.made++
		if _, err := s.clients[0].FleetV1alpha1().Instances(namespace).Patch(ctx, "there", types.MergePatchType, statusPatch(s.made), metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
		for range b.watches {
			select {
			case <-s.events:
			case <-time.After(deliveryTimeout):
				return fmt.Errorf("an event has not arrived within %v", deliveryTimeout)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

// fullRing is more than the number of records of a class that a server has in memory by default.
const fullRing = 3200

// memory fills the rings of both servers with requests of each class, and returns what they hold.
func (b *tracesBench) memory(ctx context.Context, servers [2]*tracedServer) (string, error) {
	var grown [2]int64
	for i, s := range servers {
		stranger, refused := rest.AnonymousClientConfig(s.admin), rest.CopyConfig(s.admin)
		stranger.BearerToken = "not-a-token"
		refused.Impersonate = rest.ImpersonationConfig{UserName: "nobody-in-particular"}
		if _, err := b.create(ctx, s, 1); err != nil {
			return "", err
		}
		before, err := heap(ctx, s.admin)
		if err != nil {
			return "", err
		}
		for _, config := range []*rest.Config{s.admin, refused, stranger} {
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return "", err
			}
			// The response does not matter.
			if _, err := drive(ctx, b.clients, fullRing, func(ctx context.Context, _, _ int) error {
				_, _ = client.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
				return ctx.Err()
			}); err != nil {
				return "", err
			}
		}
		after, err := heap(ctx, s.admin)
		if err != nil {
			return "", err
		}
		grown[i] = after - before
	}
	return fmt.Sprintf("heap of the server after %d gets each that were allowed, refused and without identity, against before: %s without traces, %s with them", fullRing, kibibytes(grown[0]), kibibytes(grown[1])), nil
}

var heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)

// heap returns the bytes of the server's heap after a collection.
func heap(ctx context.Context, config *rest.Config) (int64, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	var found [][]byte
	for range 2 { // the second one has no garbage of the first
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/debug/pprof/heap?debug=1&gc=1", nil)
		if err != nil {
			return 0, err
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return 0, err
		}
		if found = heapAlloc.FindSubmatch(text); found == nil {
			return 0, fmt.Errorf("no HeapAlloc in the profile: %.200s", text)
		}
	}
	return strconv.ParseInt(string(found[1]), 10, 64)
}
