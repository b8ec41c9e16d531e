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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const drainedWatches = 50

// TestSIGTERMDrainsRequestsAndWatchesAndFreesTheLock stops a server during a request with a half
// received body, during many writes, and during many watches.
func TestSIGTERMDrainsRequestsAndWatchesAndFreesTheLock(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), binary.Patience)
	defer cancel()
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	client := versioned.NewForConfigOrDie(server.Config)

	// Each of these watches has received an event, so it is known to be open.
	seed := harness.CreateOnServer(ctx, t, server, "seed")
	before := mustVersion(t, seed.ResourceVersion) - 1
	var watching sync.WaitGroup
	var seeing harness.Gauge
	for i := range drainedWatches {
		watching.Go(func() {
			f := &harness.Follower{Open: client.FleetV1alpha1().Instances("").Watch, Version: before}
			f.IsLast = func(c harness.Change) bool {
				if c.Name == "seed" {
					seeing.Add()
				}
				return false
			}
			if err := f.Once(ctx); err != harness.ErrEnded { // never wrapped
				t.Errorf("watch %d did not end in order: %v", i, err)
			}
		})
	}
	if err := seeing.Wait(ctx, drainedWatches); err != nil {
		t.Fatal(err)
	}
	half := startHalfRequest(ctx, t, server, "half")
	keep := newKeepers()
	keep.client.Store(client)
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := keep.run(ctx, 0, 4); err != nil {
			t.Errorf("before the end: %v", err)
			cancel()
		}
	})
	if err := keep.acknowledged.Wait(ctx, 50); err != nil {
		t.Fatal(err)
	}

	keep.dying.Store(true)
	server.Terminate()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "new connections are refused", func(ctx context.Context) bool {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address.Host)
		if err == nil {
			_ = connection.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	select {
	case <-server.Exited():
		t.Fatal("the server has ended in the middle of a request")
	default:
	}
	half.finish(t)
	if code := server.Wait(t); code != 0 {
		t.Errorf("the server ended with code %d, want 0", code)
	}
	watching.Wait()
	writing.Wait()
	for _, err := range keep.last {
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a write was neither answered nor refused from the start: %v", err)
		}
	}
	if !strings.HasSuffix(server.Stdout(), "\nStopped.\n") {
		t.Errorf("the last words are not that it stopped:\n%s", server.Stdout())
	}
	harness.CheckLog(t, server)
	if !isLockFree(t, filepath.Join(dir, "lock")) {
		t.Error("the lock is still held")
	}
	if _, err := os.Stat(filepath.Join(dir, "etcd", "etcd.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of etcd is still there: %v", err)
	}

	again := binary.Start(t, dir)
	keep.client.Store(versioned.NewForConfigOrDie(again.Config))
	for _, name := range []string{"seed", "half"} {
		if err := versioned.NewForConfigOrDie(again.Config).FleetV1alpha1().Instances("default").Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("after the restart: %v", err)
		}
	}
	v, err := keep.verify(ctx)
	if err != nil {
		t.Error(err)
	}
	if v.happened != 0 {
		t.Errorf("%d writes that were refused have happened", v.happened)
	}
	t.Logf("%d writes acknowledged, %d refused of which %d happened", keep.acknowledged.Value(), v.inDoubt, v.happened)
	again.Stop(t)
}

// halfRequest is a create of which the server has read the headers and the first half of the body.
type halfRequest struct {
	rest     string
	body     *io.PipeWriter
	answered chan error
}

// startHalfRequest uses Expect: 100-continue to learn when the server begins to read the body, which
// happens inside the handler.
func startHalfRequest(ctx context.Context, t *testing.T, server *binary.Server, name string) *halfRequest {
	t.Helper()
	instance := harness.SmallInstance(name)
	instance.APIVersion, instance.Kind = "fleet.gatehouse.dev/v1alpha1", "Instance"
	encoded, err := json.Marshal(instance)
	if err != nil {
		t.Fatal(err)
	}
	tlsConfig, err := rest.TLSConfigFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	// A request of HTTP/1.1 does not share its connection.
	transport := &http.Transport{TLSClientConfig: tlsConfig, Protocols: new(http.Protocols), ExpectContinueTimeout: binary.Patience}
	transport.Protocols.SetHTTP1(true)
	t.Cleanup(transport.CloseIdleConnections)
	inHandler := make(chan struct{})
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { close(inHandler) }})
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+harness.InstancesPath, reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", harness.JSONBody)
	request.Header.Set("Expect", "100-continue")
	h := &halfRequest{body: writer, answered: make(chan error, 1)}
	go func() {
		response, err := transport.RoundTrip(request)
		if err != nil {
			h.answered <- err
			return
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusCreated {
			err = fmt.Errorf("code %d: %s (%w)", response.StatusCode, body, err)
		}
		h.answered <- err
	}()
	select {
	case <-inHandler:
	case err := <-h.answered:
		t.Fatalf("responded before the body was sent: %v", err)
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
	middle := len(encoded) / 2
	if _, err := writer.Write(encoded[:middle]); err != nil {
		t.Fatal(err)
	}
	h.rest = string(encoded[middle:])
	return h
}

// finish sends the other half and expects a success.
func (h *halfRequest) finish(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(h.body, h.rest); err != nil {
		t.Error(err)
	}
	_ = h.body.Close()
	if err := <-h.answered; err != nil {
		t.Errorf("a request that was in flight: %v", err)
	}
}

// isLockFree reports whether the lock on the file is free.
func isLockFree(t *testing.T, path string) bool {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Fatal(err)
	}
	return err == nil
}

// TestAStopDuringTheStartIsNoFailure stops a server after the log message of each phase of its start,
// on a new data directory and on a used one.
func TestAStopDuringTheStartIsNoFailure(t *testing.T) {
	used := binary.DataDir(t)
	server := binary.Start(t, used)
	server.Stop(t)
	phases := strings.Count(server.Stdout()[:strings.Index(server.Stdout(), "Ready")], "\n")
	for phase := 1; phase <= phases; phase++ {
		for name, dir := range map[string]string{"a new directory": binary.DataDir(t), "a used one": used} {
			lines := 0
			stopped := binary.Launch(t, dir, func(s *binary.Server, _ string) {
				if lines++; lines == phase {
					s.Terminate()
				}
			})
			if code := stopped.Wait(t); code != 0 {
				t.Errorf("on %s, stopped after line %d, the server ended with code %d:\n%s%s", name, phase, code, stopped.Stdout(), stopped.Stderr())
			}
			if !strings.Contains(stopped.Stdout(), "\nStopping.\n") {
				t.Errorf("on %s, stopped after line %d, the server did not log that it stops:\n%s", name, phase, stopped.Stdout())
			}
			if strings.Contains(stopped.Stderr(), "Failed to shutdown server") {
				t.Errorf("on %s, stopped after line %d, the server waited for a connection of its own:\n%s", name, phase, stopped.Stderr())
			}
		}
	}
	binary.Start(t, used).Stop(t)
}
