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
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// deliveryRun has the latencies of events that are written on one way and watched on another.
type deliveryRun struct {
	written, watched   string
	answered, p50, p99 time.Duration
}

// deliver opens one watch on each way on the same object, and writes to it on each way in turn.
func (b *aggregatedBench) deliver(ctx context.Context, t *aggregated) (runs []deliveryRun, err error) {
	list, err := t.clients[direct].FleetV1alpha1().Instances(ways[direct].namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	query := url.Values{"watch": {"true"}, "resourceVersion": {list.ResourceVersion}, "timeoutSeconds": {"3600"}, "fieldSelector": {"metadata.name=" + watchedName}}
	path := "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/" + ways[direct].namespace + "/instances?" + query.Encode()
	events := make(chan event, 16)
	for w := range ways {
		s, err := openStream(ctx, t.configs[w], w, []string{path}, events)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.close()) }()
	}
	const warmUp = 20
	var answered [len(ways)][]time.Duration
	var delivered [len(ways)][len(ways)][]time.Duration
	for i := range 2*b.events + warmUp {
		w := i % len(ways)
		began := time.Now()
		if err := patchStatus(ctx, t.clients[w], ways[direct].namespace, watchedName, t.nextNumber()); err != nil {
			return nil, err
		}
		took := time.Since(began)
		for range ways {
			e, err := nextEvent(ctx, events)
			if err != nil {
				return nil, err
			}
			if i >= warmUp {
				delivered[w][e.watch] = append(delivered[w][e.watch], e.at.Sub(began))
			}
		}
		if i >= warmUp {
			answered[w] = append(answered[w], took)
		}
	}
	for w := range ways {
		for watched := range ways {
			runs = append(runs, deliveryRun{ways[w].name, ways[watched].name, percentile(answered[w], 50), percentile(delivered[w][watched], 50), percentile(delivered[w][watched], 99)})
		}
	}
	return runs, nil
}

func patchStatus(ctx context.Context, client versioned.Interface, namespace, name string, number int) error {
	_, err := client.FleetV1alpha1().Instances(namespace).Patch(ctx, name, types.MergePatchType, statusPatch(number), metav1.PatchOptions{}, "status")
	return err
}

func nextEvent(ctx context.Context, events <-chan event) (event, error) {
	select {
	case e := <-events:
		return e, nil
	case <-time.After(deliveryTimeout):
		return event{}, fmt.Errorf("no event within %v", deliveryTimeout)
	case <-ctx.Done():
		return event{}, ctx.Err()
	}
}

// hostWarmUp is the number of first events that are not counted.
const hostWarmUp = 100

// hostRun has the results of open host watches.
type hostRun struct {
	watches, way int
	// opening covers all watches, one connection after the other; load covers the events.
	opening, events usage
	answered        time.Duration
	// memory is that of one watch, in each server.
	memory [len(ways)]int64
	// charged is the number of watches that the server's flow control charged a write.
	charged float64
}

// hostWatches measures events without watches, with all watches direct, and with
// some of them through the kube-apiserver.
func (b *aggregatedBench) hostWatches(ctx context.Context, t *aggregated) ([]hostRun, error) {
	var runs []hostRun
	for _, c := range []struct{ watches, way int }{{0, direct}, {b.watches, direct}, {b.proxied, proxied}} {
		r, err := b.hold(ctx, t, c.watches, c.way)
		if err != nil {
			return nil, fmt.Errorf("%d host watches, %s: %w", c.watches, ways[c.way].name, err)
		}
		runs = append(runs, r)
		progress(fmt.Sprintf("%d host watches, %s, are done", c.watches, ways[c.way].name))
	}
	return runs, nil
}

// watchedHosts returns this many hosts, including all that have an instance.
func (b *aggregatedBench) watchedHosts(count int) []int {
	hosts := make([]int, 0, count)
	bound := map[int]bool{}
	for i := range min(count, boundHosts) {
		host := boundHost(i, b.watches)
		hosts, bound[host] = append(hosts, host), true
	}
	for host := 0; len(hosts) < count; host++ {
		if !bound[host] {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// hold opens the watches, keeps them open during the events, and closes them.
func (b *aggregatedBench) hold(ctx context.Context, t *aggregated, watches, way int) (r hostRun, err error) {
	r.watches, r.way = watches, way
	// Cached responses of the cluster from earlier watches have expired.
	if err := sleep(ctx, idleTime); err != nil {
		return r, err
	}
	before, err := t.memory()
	if err != nil {
		return r, err
	}
	hosts := b.watchedHosts(watches)
	events := make(chan event, 1<<16)
	var streams []*stream
	defer func() {
		for _, s := range streams {
			err = errors.Join(err, s.close())
		}
	}()
	r.opening, err = t.measure(ctx, func() (load, error) {
		began := time.Now()
		streams, err = b.openHosts(ctx, t, hosts, way, events)
		return load{count: watches, took: time.Since(began)}, err
	})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, watchSettle); err != nil {
		return r, err
	}
	after, err := t.memory()
	if err != nil {
		return r, err
	}
	for i := range after {
		r.memory[i] = (after[i] - before[i]) / int64(max(1, watches))
	}
	if _, err := b.hostEvents(ctx, t, hosts, min(b.events, hostWarmUp), events, &r); err != nil {
		return r, err
	}
	r.events, err = t.measure(ctx, func() (load, error) { return b.hostEvents(ctx, t, hosts, b.events, events, &r) })
	if err != nil {
		return r, err
	}
	r.charged, err = b.charged(ctx, t, hosts, way, events)
	return r, err
}

// memory returns the allocated memory of each server.
func (t *aggregated) memory() (own [len(ways)]int64, err error) {
	for i, pid := range [...]int{direct: t.replica.PID(), proxied: t.cluster.KubeAPIServer.PID()} {
		use, err := memoryOf(pid)
		if err != nil {
			return own, err
		}
		own[i] = use.anonymous
	}
	return own, nil
}

// proxiedPerConnection is the default limit of a kube-apiserver on a connection.
const proxiedPerConnection = 100

// openHosts opens a watch for each host; an event carries the index of the host.
func (b *aggregatedBench) openHosts(ctx context.Context, t *aggregated, hosts []int, way int, events chan<- event) ([]*stream, error) {
	list, err := t.clients[direct].FleetV1alpha1().Instances(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	perConnection := b.perConnection
	if way == proxied {
		perConnection = min(perConnection, proxiedPerConnection)
	}
	var streams []*stream
	for first := 0; first < len(hosts); first += perConnection {
		var paths []string
		for _, host := range hosts[first:min(first+perConnection, len(hosts))] {
			query := indexed.query(hostName(host))
			query.Set("watch", "true")
			query.Set("resourceVersion", list.ResourceVersion)
			query.Set("timeoutSeconds", "3600")
			paths = append(paths, "/apis/fleet.gatehouse.dev/v1alpha1/instances?"+query.Encode())
		}
		s, err := openStream(ctx, t.configs[way], first, paths, events)
		if err != nil {
			return streams, fmt.Errorf("after %d watches: %w", first, err)
		}
		streams = append(streams, s)
	}
	return streams, nil
}

// hostEvents writes directly to instances of different hosts, and waits for each event.
func (b *aggregatedBench) hostEvents(ctx context.Context, t *aggregated, hosts []int, count int, events <-chan event, r *hostRun) (load, error) {
	var answered, delivered []time.Duration
	start := time.Now()
	for i := range count {
		began := time.Now()
		at, took, err := b.writeToHost(ctx, t, direct, hosts, i, events)
		if err != nil {
			return load{}, err
		}
		answered = append(answered, took)
		if len(hosts) > 0 {
			delivered = append(delivered, at.Sub(began))
		}
	}
	took := time.Since(start)
	r.answered = percentile(answered, 50)
	return load{count: count, took: took, p50: percentile(delivered, 50), p99: percentile(delivered, 99)}, nil
}

// writeToHost writes one event. It returns when the event arrived at the watch of the right host,
// and the response time of the write.
func (b *aggregatedBench) writeToHost(ctx context.Context, t *aggregated, way int, hosts []int, number int, events <-chan event) (at time.Time, answered time.Duration, err error) {
	began := time.Now()
	if err := patchStatus(ctx, t.clients[way], namespace, hostName(boundHost(number%boundHosts, b.watches)), t.nextNumber()); err != nil {
		return at, 0, err
	}
	answered = time.Since(began)
	if len(hosts) == 0 {
		return at, answered, nil
	}
	e, err := nextEvent(ctx, events)
	if err != nil {
		return at, 0, fmt.Errorf("write %d, for host %d: %w", number, boundHost(number%boundHosts, b.watches), err)
	}
	if hosts[e.watch] != boundHost(number%boundHosts, b.watches) {
		err = fmt.Errorf("an event for host %d arrived at the watch for host %d", boundHost(number%boundHosts, b.watches), hosts[e.watch])
	}
	return e.at, answered, err
}

// charged reads from the server with the watches how many of them it charges a write.
func (b *aggregatedBench) charged(ctx context.Context, t *aggregated, hosts []int, way int, events <-chan event) (float64, error) {
	const writes = 20
	sum := func() (sum, count float64, err error) {
		samples, err := metrics.Read(ctx, t.admins[way])
		const name = "apiserver_flowcontrol_watch_count_samples"
		labels := metrics.Labels{"flow_schema": "global-default"}
		return samples.Sum(name+"_sum", labels), samples.Sum(name+"_count", labels), err
	}
	sumBefore, countBefore, err := sum()
	if err != nil {
		return 0, err
	}
	for i := range writes {
		if _, _, err := b.writeToHost(ctx, t, way, hosts, i, events); err != nil {
			return 0, err
		}
	}
	sumAfter, countAfter, err := sum()
	if err == nil && countAfter == countBefore {
		err = errors.New("flow control has estimated none of the writes")
	}
	return (sumAfter - sumBefore) / max(1, countAfter-countBefore), err
}

func (b *aggregatedBench) reportDelivery(out io.Writer, r *aggregatedResult) {
	fmt.Fprintf(out, "From a write to its event at a watch of that one object, %d writes on each way, both watches open at the same time:\n\n", b.events)
	results := &table{header: []string{"written", "watched", "write answered p50", "write to delivery p50", "p99"}}
	for _, d := range r.delivery {
		results.add(d.written, d.watched, millis(d.answered), millis(d.p50), millis(d.p99))
	}
	results.write(out)
}

func (b *aggregatedBench) reportHosts(out io.Writer, r *aggregatedResult) {
	fmt.Fprintf(out, "Host watches (fieldSelector spec.hostName=host-N), each for another host, all held while %d status patches (after %d that do not count) are written directly by one writer that waits for each event. "+
		"%d on a direct connection, %d on one to the kube-apiserver, one connection opened after the other (more at once by one user meet flow control: 429):\n\n", b.events, min(b.events, hostWarmUp), b.perConnection, min(b.perConnection, proxiedPerConnection))
	opening := &table{header: []string{"watches", "way", "opened in", "per second", "SARs per watch", "mean SAR", "replica CPU per watch", "kube-apiserver CPU per watch", "replica memory per watch", "kube-apiserver memory per watch"}}
	delivery := &table{header: []string{"watches", "way", "replica CPU per event", "kube-apiserver CPU per event", "write answered p50", "write to delivery p50", "p99", "watches that flow control charges a write for"}}
	for _, h := range r.hosts {
		name, row := ways[h.way].name, []string{millis(h.events.p50), millis(h.events.p99)}
		if h.watches == 0 {
			name, row = "-", []string{"-", "-"}
		} else {
			o := h.opening
			replicaMemory := kibibytes(h.memory[direct])
			if h.way == proxied {
				replicaMemory = "-" // memory that the direct ones freed is reused
			}
			opening.add(strconv.Itoa(h.watches), name, fmt.Sprintf("%.1f s", o.took.Seconds()), fmt.Sprintf("%.0f", o.rate()),
				fmt.Sprintf("%.3f", float64(o.reviews)/float64(h.watches)), millis(o.reviewsTook/time.Duration(max(1, o.reviews))),
				millis(o.replicaEach()), millis(o.clusterEach()), replicaMemory, kibibytes(h.memory[proxied]))
		}
		charged := fmt.Sprintf("%.0f", h.charged)
		if h.way == proxied {
			charged += " (kube-apiserver)"
		} else {
			charged += " (replica)"
		}
		delivery.add(append(append([]string{strconv.Itoa(h.watches), name, millis(h.events.replicaEach()), millis(h.events.clusterEach()), millis(h.answered)}, row...), charged)...)
	}
	opening.write(out)
	delivery.write(out)
	fmt.Fprintln(out, "**Thousands of host agents should connect to Gatehouse directly, not through the kube-apiserver.** "+
		"A kube-apiserver holds every proxied watch itself, and its flow control counts them all: each proxied write is charged for every proxied watch of the resource, "+
		"because the only index it knows is spec.nodeName of pods. A write costs 5 ms of a seat for every 10 watches, so with 10,000 of them each would take 5 seat-seconds from what all its callers share. "+
		"Gatehouse has an index for spec.hostName and charges only for watches that do not use it.")
	fmt.Fprintln(out)
}

// kibibytes formats a number of bytes in KiB.
func kibibytes(bytes int64) string { return fmt.Sprintf("%.0f KiB", float64(bytes)/(1<<10)) }
