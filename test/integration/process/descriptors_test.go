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

package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// limitFiles sets the limit of open files of servers that the test starts.
func limitFiles(t *testing.T, soft, hard int) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "gatehouse")
	content := fmt.Sprintf("#!/bin/sh\nulimit -S -n %d && ulimit -H -n %d && exec %q \"$@\"\n", soft, hard, binary.Path(t))
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GATEHOUSE_BINARY", script)
}

func TestTheLimitOfOpenFilesIsRaisedAndShownInMetrics(t *testing.T) {
	limitFiles(t, 128, 1024)
	server := binary.Start(t, binary.DataDir(t))
	// Go reserves one descriptor.
	if got := metrics.Scrape(t, server.Config).Sum("process_max_fds", nil); got < 1023 {
		t.Errorf("the server may have %v files open, and 1024 are allowed", got)
	}
	if got := metrics.Scrape(t, server.Config).Sum("gatehouse_connections_limit", nil); got < 890 || got > 900 {
		t.Errorf("clients may have %v connections, want 1024 without 64 and a sixteenth", got)
	}
	if got := metrics.Scrape(t, server.Config).Sum("process_open_fds", nil); got < 10 {
		t.Errorf("%v files are open", got)
	}
}

func TestAServerWithALowLimitOfOpenFilesIsRefusedWithTheReason(t *testing.T) {
	limitFiles(t, 64, 64)
	server := binary.Launch(t, binary.DataDir(t), nil)
	if code := server.Wait(t); code != 1 || !strings.Contains(server.Stderr(), "the server needs 85 at least: raise the limit (ulimit -n") {
		t.Errorf("it ended with code %d: %s", code, server.Stderr())
	}
}

// TestACrowdOfConnectionsLeavesDescriptorsForTheRest opens more connections than the server has
// descriptors: silent ones, and one for each of many watches of a single client.
func TestACrowdOfConnectionsLeavesDescriptorsForTheRest(t *testing.T) {
	const files = 256
	limitFiles(t, files, files)
	server := binary.Start(t, binary.DataDir(t))
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for range files {
		conn, err := net.Dial("tcp", u.Host) // loopback; the kernel takes it
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const watches = 100
	for range watches {
		startWatchOnItsOwn(ctx, t, server.Config)
	}
	// All other clients are served on new connections, and etcd writes.
	for i := range 50 {
		client := kubernetes.NewForConfigOrDie(onItsOwn(server.Config))
		if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), ballast(fmt.Sprintf("a-%d", i)), metav1.CreateOptions{}); err != nil {
			t.Fatalf("create %d: %v", i, err)
		}
	}
	if got := metrics.Scrape(t, onItsOwn(server.Config)).Sum("process_open_fds", nil); got < 1 || got > files-20 {
		t.Errorf("%v of %d descriptors are in use: none are reserved for etcd and the log", got, files)
	}
	if got := metrics.Scrape(t, onItsOwn(server.Config)).Sum("gatehouse_connections_closed_total", metrics.Labels{"reason": "not authenticated"}); got < files/4 {
		t.Errorf("%v connections of silent clients were closed", got)
	}
}

// onItsOwn returns a configuration for clients with a separate connection.
func onItsOwn(config *rest.Config) *rest.Config {
	own := rest.CopyConfig(config)
	own.Dial = (&net.Dialer{Timeout: time.Minute}).DialContext // the library shares no transport with a dialer
	return own
}

func startWatchOnItsOwn(ctx context.Context, t *testing.T, config *rest.Config) {
	t.Helper()
	client, err := rest.HTTPClientFor(onItsOwn(config))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/api/v1/configmaps?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("a watch is answered with %d", response.StatusCode)
	}
	go func() {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}()
}
