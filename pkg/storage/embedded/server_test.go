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

package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// patience bounds every wait for a condition; only a failing test waits that long.
const patience = 60 * time.Second

func TestDataSurvivesCloseAndStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	for round := range 3 {
		server := start(t, Config{DataDir: dir})
		client := connect(t, server)
		if round > 0 {
			wantValue(t, client, "key", "value")
		}
		put(t, client, "key", "value")
		client.Close()
		stop(t, server)
	}
}

// etcd's default is 5,000 writes: of large objects these are gigabytes. What is kept is not visible from
// outside, so the test reads the configuration of the running server.
func TestTheLogInMemoryIsShort(t *testing.T) {
	server := start(t, Config{DataDir: t.TempDir()})
	if got := server.etcd.Server.Cfg.SnapshotCatchUpEntries; got != keptEntries {
		t.Errorf("%d writes are kept, want %d", got, keptEntries)
	}
}

func TestCloseAgainDoesNothing(t *testing.T) {
	server := start(t, Config{DataDir: t.TempDir()})
	stop(t, server)
	stop(t, server)
	select {
	case err, open := <-server.Err():
		if open {
			t.Errorf("Err delivered %v after Close", err)
		}
	case <-time.After(patience):
		t.Error("Err is still open after Close")
	}
}

func TestALoneMemberDoesNotWaitForAnElectionTimeout(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"fresh", "warm"} {
		began := time.Now()
		// Left to its timer the member would wait for one tick at least.
		server := start(t, Config{DataDir: dir, TickMs: 8000, ElectionMs: 40000})
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("%s: Start took %v, as if it had waited for the timer", name, took)
		}
		stop(t, server)
	}
}

func start(t *testing.T, config Config) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := Start(ctx, config)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func stop(t *testing.T, server *Server) {
	t.Helper()
	if err := server.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func connect(t *testing.T, server *Server) *clientv3.Client {
	t.Helper()
	client, err := newClient(server)
	if err != nil {
		t.Fatalf("connecting to %v: %v", server.Endpoints(), err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func put(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := client.Put(ctx, key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func wantValue(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := client.Get(ctx, key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != value {
		t.Fatalf("get %s: got %v, want %q", key, got.Kvs, value)
	}
}

// wantProblem checks that an error is one sentence of the right reason with the directory in it.
func wantProblem(t *testing.T, err error, reason Reason, dir string) *Problem {
	t.Helper()
	problem := &Problem{}
	if !errors.As(err, &problem) {
		t.Fatalf("got %v, want a *Problem of reason %s", err, reason)
	}
	if problem.Reason != reason {
		t.Errorf("got reason %s, want %s (%v)", problem.Reason, reason, err)
	}
	checkSentence(t, err, dir)
	return problem
}

func checkSentence(t *testing.T, err error, dir string) {
	t.Helper()
	text := err.Error()
	if !strings.Contains(text, dir) {
		t.Errorf("the message does not name the directory %s: %s", dir, text)
	}
	if strings.Contains(text, "\n") {
		t.Errorf("the message has more than one line: %s", text)
	}
}

func TestNothingThatWasAcknowledgedIsLostByAKill(t *testing.T) {
	dir := t.TempDir()
	writer := startChild(t, "write-for-ever", nil, dir)
	writer.waitFor("200")
	if err := writer.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	output, _ := writer.finish()
	acknowledged := 200 + len(strings.Fields(output))

	client := connect(t, start(t, Config{DataDir: dir}))
	for i := range acknowledged + 1 {
		wantValue(t, client, "number-"+strconv.Itoa(i), strconv.Itoa(i))
	}
}

// Restarts race etcd's first compaction of its log in memory against the election.
func TestManyRestartsSucceed(t *testing.T) {
	dir := t.TempDir()
	server := start(t, Config{DataDir: dir})
	client := connect(t, server)
	for i := range 300 {
		put(t, client, "key-"+strconv.Itoa(i), "value")
	}
	client.Close()
	stop(t, server)
	for range 20 {
		output, err := startChild(t, "start", nil, dir).finish()
		if err != nil {
			t.Fatalf("%v:\n%s", err, output)
		}
	}
}

func TestNoTCPPortIsOpened(t *testing.T) {
	before := listeners(t)
	start(t, Config{DataDir: t.TempDir()})
	if after := listeners(t); after != before {
		t.Errorf("%d TCP sockets listen, there were %d before Start", after, before)
	}
}

func TestTheSocketMovesIfItsPathIsNotUsable(t *testing.T) {
	for name, below := range map[string]string{
		"too long":   strings.Repeat("long", 30),
		"with space": "my data",
		"umlaut":     "Daten für später",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), below)
			server := start(t, Config{DataDir: dir})
			put(t, connect(t, server), "key", "value")
			path := strings.TrimPrefix(server.Endpoints()[0], "unix://")
			if strings.HasPrefix(path, dir) {
				t.Errorf("the socket is at %s", path)
			}
			wantMode(t, filepath.Dir(path), 0o700)
			stop(t, server)
			if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left behind (%v)", filepath.Dir(path), err)
			}
		})
	}
}

func TestTheSocketLeftByAKilledProcessIsReplaced(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, socketName), nil)
	put(t, connect(t, start(t, Config{DataDir: dir})), "key", "value")
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Config{DataDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestAWrongConfigIsRefused(t *testing.T) {
	for name, config := range map[string]Config{
		"no directory":   {},
		"short election": {DataDir: t.TempDir(), TickMs: 100, ElectionMs: 400},
	} {
		if _, err := Start(t.Context(), config); err == nil {
			t.Errorf("%s: Start succeeded", name)
		}
	}
}

// listeners counts the TCP sockets of this process that listen.
func listeners(t *testing.T) int {
	t.Helper()
	listening := map[string]bool{}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		content, err := os.ReadFile(table)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Skipf("cannot tell which sockets listen: %v", err)
		}
		for _, line := range strings.Split(string(content), "\n") {
			// The fourth column is the state, 0A means listening; the tenth is the inode.
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] == "0A" {
				listening["socket:["+fields[9]+"]"] = true
			}
		}
	}
	count := 0
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot tell which files are open: %v", err)
	}
	for _, file := range open {
		if target, err := os.Readlink("/proc/self/fd/" + file.Name()); err == nil && listening[target] {
			count++
		}
	}
	return count
}
