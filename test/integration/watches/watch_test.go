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

package watches

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

const (
	losslessWrites = 5000
	// stallFor is the number of writes that a slow watcher does not read. The server buffers
	// at most about 100 events for a watcher in each of two queues, and the connections of
	// slow watchers have small buffers.
	stallFor = 1000
	// slowWatches is the number of watches of a slow follower that stall. The server keeps the events
	// of 75 seconds or more: on a busy machine, a follower that always stalls falls further behind.
	slowWatches = 1
)

// TestEveryWatcherSeesEveryEventOnceAndInOrder has 20 watchers without a selector, some opened
// late from an old resourceVersion, some so slow at first that the server ends them, and some more
// with selectors, observe 5,000 writes.
func TestEveryWatcherSeesEveryEventOnceAndInOrder(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*binary.Patience)
	defer cancel()
	client := versioned.NewForConfigOrDie(server.Config)
	for _, name := range []string{"edge-0", "edge-1"} {
		if _, err := client.FleetV1alpha1().Hosts().Create(ctx, &fleetv1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := client.FleetV1alpha1().Instances("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start, err := strconv.ParseUint(list.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	work := &writers{client: client, total: losslessWrites, padding: strings.Repeat("x", 1500)}
	began := time.Now()
	all := newFollowers(t, server.Config, work, start)

	// Writes begin when all watchers that start at the beginning have been opened.
	var following sync.WaitGroup
	early := 0
	var opened harness.Gauge
	for _, f := range all {
		if f.after == 0 {
			early++
			f.OnOpen = opened.Add
		}
		following.Go(func() {
			if err := f.begin(ctx, work); err != nil {
				t.Errorf("%s: %v", f.Name, err)
				cancel()
			}
		})
	}
	if err := opened.Wait(ctx, early); err != nil {
		t.Fatal(err)
	}
	if err := work.run(ctx, 16); err != nil {
		t.Error(err)
		cancel()
	}
	t.Logf("all written after %v", time.Since(began))
	following.Wait()
	t.Logf("all seen after %v", time.Since(began))
	if t.Failed() {
		return
	}
	sequence := whatHappened(ctx, t, server, work, start)
	checkFollowers(t, all, sequence, start)
	checkTerminations(t, server.Config, all)
	checkMetrics(t, server.Config)
	server.Stop(t)
	harness.CheckLog(t, server)
}

// lossless is a follower of the test above.
type lossless struct {
	harness.Follower
	// after is the number of writes after which it starts.
	after int
	// fromRecent starts it at three quarters of the history instead of at the beginning.
	fromRecent bool
	slow       bool
	// matches is the predicate of its selector; nil without a selector.
	matches func(written) bool
	started uint64
}

func (f *lossless) begin(ctx context.Context, work *writers) error {
	if err := work.done.Wait(ctx, f.after); err != nil {
		return err
	}
	if f.fromRecent {
		known := work.acknowledgements()
		f.Version = known[len(known)*3/4].Version
	}
	f.started = f.Version
	return f.Follow(ctx)
}

// newFollowers returns 20 followers without a selector, and three with selectors.
func newFollowers(t *testing.T, config *rest.Config, work *writers, start uint64) []*lossless {
	t.Helper()
	typed := func(client versioned.Interface) func(context.Context, metav1.ListOptions) (watch.Interface, error) {
		return client.FleetV1alpha1().Instances("").Watch
	}
	fast := typed(versioned.NewForConfigOrDie(config))
	resource := fleetv1alpha1.SchemeGroupVersion.WithResource("instances")
	json := dynamic.NewForConfigOrDie(config).Resource(resource)
	meta := metadata.NewForConfigOrDie(config).Resource(resource)

	var all []*lossless
	add := func(name string, f lossless) *lossless {
		f.Name, f.Version = name, start
		if f.IsLast == nil {
			f.IsLast = isLast
		}
		all = append(all, &f)
		return all[len(all)-1]
	}
	for i := range 5 {
		add(fmt.Sprintf("protobuf %d", i), lossless{Follower: harness.Follower{Open: fast, Options: metav1.ListOptions{AllowWatchBookmarks: i%2 == 0}}})
	}
	add("JSON", lossless{Follower: harness.Follower{Open: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return json.Watch(ctx, o) }}})
	add("JSON of one namespace", lossless{Follower: harness.Follower{Open: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		return json.Namespace("default").Watch(ctx, o)
	}}})
	add("metadata only", lossless{Follower: harness.Follower{Open: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return meta.Watch(ctx, o) }}})
	// For the same reason none begins at an event that is older than a quarter of all writes.
	for i, after := range []int{losslessWrites / 8, losslessWrites / 4} {
		add(fmt.Sprintf("late %d", i), lossless{after: after, Follower: harness.Follower{Open: fast}})
	}
	for i, after := range []int{losslessWrites / 4, losslessWrites / 2, losslessWrites, losslessWrites} {
		add(fmt.Sprintf("late from a recent event %d", i), lossless{after: after, fromRecent: true, Follower: harness.Follower{Open: fast}})
	}
	for i := range 6 {
		http2 := i%2 == 0
		slow := slowClient(t, config, http2)
		f := add(fmt.Sprintf("slow %d (HTTP/2: %v)", i, http2), lossless{slow: true, Follower: harness.Follower{Open: typed(slow)}})
		f.Stall = func(ctx context.Context) error {
			if f.Opened > slowWatches {
				return nil
			}
			return work.done.Wait(ctx, min(work.done.Value()+stallFor, losslessWrites))
		}
	}
	if len(all) != 20 {
		t.Fatalf("%d watchers of everything, want 20", len(all))
	}
	for i, host := range []string{"edge-0", "edge-1"} {
		add("selected by host "+host, lossless{
			matches:  func(w written) bool { return w.host == host },
			Follower: harness.Follower{Open: fast, IsLast: func(c harness.Change) bool { return c.Name == lastName(i) }, Options: metav1.ListOptions{FieldSelector: "spec.hostName=" + host}},
		})
	}
	add("selected by label", lossless{
		matches:  func(w written) bool { return w.tier == "a" },
		Follower: harness.Follower{Open: fast, Options: metav1.ListOptions{LabelSelector: tierLabel + "=a"}},
	})
	return all
}

// slowClient has a separate connection with small buffers, so that the server soon notices
// that it does not read.
func slowClient(t *testing.T, config *rest.Config, http2 bool) versioned.Interface {
	t.Helper()
	const (
		little = 16 << 10
		// The segment size determines how much the kernel buffers at the server's end: more than 2 MB with
		// the 64 KiB of the loopback device.
		segment = 1000
	)
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failure error
		err := c.Control(func(fd uintptr) {
			failure = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, little),
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment))
		})
		if err != nil {
			return err
		}
		return failure
	}}
	transport := &http.Transport{
		DialContext:     dialer.DialContext,
		TLSClientConfig: tlsConfig,
		Protocols:       new(http.Protocols),
		HTTP2:           &http.HTTP2Config{MaxReceiveBufferPerStream: little, MaxReceiveBufferPerConnection: 64 << 10},
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if http2 {
		transport.TLSNextProto = nil
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	client, err := versioned.NewForConfigAndClient(config, &http.Client{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// whatHappened returns etcd's order of all changes, after comparing it with the responses that the
// writers received.
func whatHappened(ctx context.Context, t *testing.T, server *binary.Server, work *writers, start uint64) []written {
	t.Helper()
	acknowledged := work.acknowledgements()
	if len(acknowledged) != losslessWrites {
		t.Fatalf("%d writes were acknowledged, want %d", len(acknowledged), losslessWrites)
	}
	etcd := harness.EtcdClient(t, server.DataDir)
	defer func() { _ = etcd.Close() }()
	happened, err := harness.History(ctx, etcd, start, acknowledged[len(acknowledged)-1].Version)
	if err != nil {
		t.Fatal(err)
	}
	sequence, err := work.explain(happened)
	if err != nil {
		t.Fatalf("the responses to the writers differ from etcd: %v", err)
	}
	kinds := map[watch.EventType]int{}
	for _, c := range happened {
		kinds[c.Kind]++
	}
	t.Logf("%d writes, %d events: %v", len(acknowledged), len(happened), kinds)
	return sequence
}

func checkFollowers(t *testing.T, all []*lossless, sequence []written, start uint64) {
	t.Helper()
	for _, f := range all {
		want := unfiltered(sequence, f.started)
		if f.matches != nil {
			want = filtered(sequence, f.matches)
		}
		if len(want) == 0 || f.started < start {
			t.Errorf("%s: nothing to see after %d", f.Name, f.started)
		}
		if difference := harness.CompareChanges(f.Seen, want); difference != "" {
			t.Errorf("%s: %s", f.Name, difference)
		}
		t.Logf("%-28s %d events from %d, %d watches, %d of them ended by the server", f.Name, len(f.Seen), f.started, f.Opened, f.Ended)
	}
}

// checkTerminations proves that the server ended slow watches for that reason only, and that
// it counted each. A terminated watch first delivers its queued events. A follower that finds its last
// event among them leaves without observing the end, so the server may have counted one more for each
// follower.
func checkTerminations(t *testing.T, config *rest.Config, all []*lossless) {
	t.Helper()
	ended := 0
	for _, f := range all {
		ended += f.Ended
		if f.slow && f.Ended == 0 {
			t.Errorf("%s was never ended by the server", f.Name)
		}
	}
	counted := int(metrics.Scrape(t, config).Sum("apiserver_terminated_watchers_total", metrics.Labels{"group": "fleet.gatehouse.dev", "resource": "instances"}))
	if counted < ended || counted > ended+len(all) {
		t.Errorf("the server has terminated %d watchers, but %d watches of %d followers ended", counted, ended, len(all))
	}
	t.Logf("apiserver_terminated_watchers_total is %d, %d of them seen", counted, ended)
}

// faultMetrics are names of metrics that count faults only.
var faultMetrics = []string{
	"apiserver_request_aborts_total", "apiserver_request_terminations_total", "apiserver_flowcontrol_rejected_requests_total",
	"etcd_request_errors_total", "apiserver_storage_decode_errors_total", "apiserver_audit_error_total",
}

// checkMetrics expects no metric that indicates a fault.
func checkMetrics(t *testing.T, config *rest.Config) {
	t.Helper()
	requests := 0
	for _, sample := range metrics.Scrape(t, config) {
		// The server polls its own readiness until it is ready.
		if sample.Labels["subresource"] == "/readyz" {
			continue
		}
		fault := slices.Contains(faultMetrics, sample.Name)
		switch code := sample.Labels["code"]; sample.Name {
		case "apiserver_request_total":
			requests++
			fault = strings.HasPrefix(code, "5") || code == "429"
		case "apiserver_watch_cache_consistent_read_total":
			fault = sample.Labels["success"] == "false"
		}
		if fault && sample.Value != 0 {
			t.Errorf("a metric indicates a fault: %+v", sample)
		}
	}
	if requests == 0 {
		t.Error("the server has counted no request")
	}
}
