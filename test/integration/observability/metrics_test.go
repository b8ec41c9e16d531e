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

package observability

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// ofEtcd are metrics of an embedded etcd that are never 0.
var ofEtcd = []string{
	"etcd_disk_wal_fsync_duration_seconds_count", "etcd_disk_backend_commit_duration_seconds_count", "etcd_server_has_leader",
	"etcd_server_proposals_applied_total", "etcd_mvcc_db_total_size_in_bytes", "etcd_debugging_mvcc_current_revision",
}

func TestTheMetricsHaveTheEmbeddedEtcd(t *testing.T) {
	server := servertesting.Start(t)
	samples := metrics.Scrape(t, server.Config)
	for _, name := range append([]string{"go_goroutines", "apiserver_request_total"}, ofEtcd...) {
		if samples.Sum(name, nil) == 0 {
			t.Errorf("%s is 0 or missing", name)
		}
	}
	aloneAndHealthy(t, server.Config)
}

// aloneAndHealthy waits for the metrics of an etcd of one member.
func aloneAndHealthy(t *testing.T, config *rest.Config) {
	t.Helper()
	kit.EventuallyState(t, "one member of etcd is healthy", func(context.Context) (bool, string) {
		samples := metrics.Scrape(t, config)
		missing := slices.DeleteFunc([]string{"gatehouse_etcd_voters", "gatehouse_etcd_healthy_voters", "gatehouse_etcd_members", "gatehouse_etcd_member_healthy"}, func(name string) bool { return samples.Sum(name, nil) == 1 })
		return len(missing) == 0, fmt.Sprint("not 1: ", missing)
	})
}

func TestTheMetricsLeaveOutAnEtcdThatIsNotEmbedded(t *testing.T) {
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	server := servertesting.Start(t, func(o *options.Options) { o.Etcd.StorageConfig.Transport.ServerList = etcd.Endpoints() })
	samples := metrics.Scrape(t, server.Config)
	for _, name := range ofEtcd {
		if samples.Has(name, nil) {
			t.Errorf("%s is not of a member in this process", name)
		}
	}
	if !samples.Has("gatehouse_watches_blocked", nil) {
		t.Error("the metrics of watches are missing")
	}
	aloneAndHealthy(t, server.Config)
}

func TestTheMetricsAreServedInEveryFormatAndHaveNoFamilyTwice(t *testing.T) {
	server := servertesting.Start(t)
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, accept, contentType string }{
		{"text", "text/plain", "text/plain"},
		{"OpenMetrics", "application/openmetrics-text", "text/plain"},
		{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "application/vnd.google.protobuf"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept", tc.accept)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), tc.contentType) || response.Header.Get("Process-Start-Time-Unix") == "" {
				t.Fatalf("%v, %s, %v", err, response.Status, response.Header)
			}
			if tc.name != "protobuf" {
				families(t, strings.Split(string(body), "\n"))
				return
			}
			var names []string
			for decoder := expfmt.NewDecoder(bytes.NewReader(body), expfmt.ResponseFormat(response.Header)); ; {
				family := &dto.MetricFamily{}
				if err := decoder.Decode(family); err != nil {
					break // the end
				}
				names = append(names, "# TYPE "+family.GetName())
			}
			families(t, names)
		})
	}
}

// families checks that each family is there once.
func families(t *testing.T, lines []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != "TYPE" {
			continue
		}
		if seen[fields[2]] {
			t.Errorf("%s is there twice", fields[2])
		}
		seen[fields[2]] = true
	}
	if !seen["etcd_disk_wal_fsync_duration_seconds"] || !seen["apiserver_request_total"] || len(seen) < 100 {
		t.Errorf("got %d families", len(seen))
	}
}

func TestTheMetricsAreForThoseWithTheRight(t *testing.T) {
	server := servertesting.Start(t)
	for _, tc := range []struct {
		name   string
		config *rest.Config
		code   int
	}{
		{"an administrator", server.Config, http.StatusOK},
		{"a user without rights", harness.IssueClient(t, server, "nobody"), http.StatusForbidden},
		{"a client without credentials", rest.AnonymousClientConfig(server.Config), http.StatusUnauthorized},
	} {
		client, err := rest.HTTPClientFor(tc.config)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != tc.code {
				t.Errorf("%s of %s: %s, want %d", method, tc.name, response.Status, tc.code)
			}
		}
	}
}

// TestAClientThatDoesNotReadIsSeenInTheMetrics opens a watch by hand, with a small receive buffer, and does not read
// its response while objects are created.
func TestAClientThatDoesNotReadIsSeenInTheMetrics(t *testing.T) {
	server := servertesting.Start(t)
	client := kubernetes.NewForConfigOrDie(server.Config).CoreV1().ConfigMaps("default")
	slow := rest.CopyConfig(server.Config)
	slow.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4096)
		}
		return conn, err
	}
	watcher, err := rest.HTTPClientFor(slow)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/namespaces/default/configmaps?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := watcher.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	ballast := strings.Repeat("x", 500_000)
	created := 0
	kit.EventuallyState(t, "the watch is blocked", func(ctx context.Context) (bool, string) {
		samples := metrics.Scrape(t, server.Config)
		if samples.Sum("gatehouse_watches_blocked", nil) == 1 {
			return samples.Sum("gatehouse_watches_longest_blocked_seconds", nil) >= 1, "blocked, for less than a second"
		}
		if created < 60 {
			created++
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("ballast-%d", created)}, Data: map[string]string{"x": ballast}}
			if _, err := client.Create(ctx, object, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		return false, fmt.Sprintf("%d objects are created", created)
	})
	_ = response.Body.Close()
	kit.Eventually(t, "the watch has ended", func(context.Context) bool {
		return metrics.Scrape(t, server.Config).Sum("gatehouse_watches_blocked", nil) == 0
	})
}

// TestUpstreamsMetricsOfWatchLagExist holds the names in docs/observability.md.
func TestUpstreamsMetricsOfWatchLagExist(t *testing.T) {
	server := servertesting.Start(t)
	watcher, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	<-watcher.ResultChan() // kube-root-ca.crt exists
	kit.EventuallyState(t, "all metrics are there", func(context.Context) (bool, string) {
		samples := metrics.Scrape(t, server.Config)
		missing := slices.DeleteFunc([]string{
			"apiserver_watch_events_dispatch_duration_seconds_count", "apiserver_watch_cache_resource_version", "apiserver_watch_cache_events_received_total",
			"apiserver_watch_cache_events_dispatched_total", "apiserver_watch_cache_read_wait_seconds_count", "apiserver_watch_events_total",
			"apiserver_longrunning_requests", "etcd_debugging_mvcc_current_revision", "etcd_debugging_mvcc_slow_watcher_total",
		}, func(name string) bool { return samples.Has(name, nil) })
		return len(missing) == 0, fmt.Sprint("missing: ", missing)
	})
}
