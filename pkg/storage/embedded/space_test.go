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
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// fill writes separate keys, from key-count on, until etcd refuses one, and returns their
// number.
func fill(t *testing.T, client *clientv3.Client, count int) int {
	t.Helper()
	kit.Eventually(t, "a write is refused", func(context.Context) bool {
		_, err := client.Put(t.Context(), fmt.Sprintf("key-%d", count), strings.Repeat("x", 100_000))
		if err == nil {
			count++
			return false
		}
		if !errors.Is(err, rpctypes.ErrNoSpace) {
			t.Fatalf("the write was refused with %v, want %v", err, rpctypes.ErrNoSpace)
		}
		return true
	})
	return count
}

func TestADatabaseAtItsQuotaTakesWritesAfterDeletesAndARestart(t *testing.T) {
	dir := t.TempDir()
	config := Config{DataDir: dir, QuotaBackendBytes: 4 << 20}
	server := start(t, config)
	if err := server.Alarm(); err != nil {
		t.Fatalf("an alarm in an empty database: %v", err)
	}
	client := connect(t, server)
	// On a slow disk each write is a separate commit, and leaves free pages: without them, more fits.
	count := fill(t, client, 0)
	for server.Reclaim(t.Context()) == nil {
		count = fill(t, client, count)
	}
	wantProblem(t, server.Alarm(), OverQuota, dir)
	stop(t, server)

	// Reclaim cannot help, and the start succeeds nevertheless: objects can only be deleted while the
	// server runs.
	server = start(t, config)
	wantProblem(t, server.Alarm(), OverQuota, dir)
	client = connect(t, server)
	wantValue(t, client, "key-0", strings.Repeat("x", 100_000))
	for i := range count / 2 {
		if _, err := client.Delete(t.Context(), fmt.Sprintf("key-%d", i)); err != nil {
			t.Fatalf("a delete in a database at its quota: %v", err)
		}
	}
	if _, err := client.Put(t.Context(), "another", "value"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("a write in a database at its quota: got %v, want %v", err, rpctypes.ErrNoSpace)
	}
	stop(t, server)

	server = start(t, config)
	if err := server.Alarm(); err != nil {
		t.Fatalf("the alarm stays though half of the keys were deleted: %v", err)
	}
	client = connect(t, server)
	put(t, client, "another", "value")
	wantValue(t, client, fmt.Sprintf("key-%d", count-1), strings.Repeat("x", 100_000))
}

func TestADatabaseAtItsQuotaTakesWritesAfterARestartWithALargerOne(t *testing.T) {
	dir := t.TempDir()
	server := start(t, Config{DataDir: dir, QuotaBackendBytes: 1 << 20})
	fill(t, connect(t, server), 0)
	stop(t, server)
	server = start(t, Config{DataDir: dir, QuotaBackendBytes: 8 << 20})
	if err := server.Alarm(); err != nil {
		t.Fatal(err)
	}
	put(t, connect(t, server), "another", "value")
}

func TestTooManyOpenFilesAreNoDamage(t *testing.T) {
	for _, cause := range []string{"failed to purge wal file: open /data/member/wal: too many open files", "file descriptor limit of etcd process is too low; please set higher"} {
		problem := problemOf("/data", errors.New(cause))
		if problem.Reason != Failed || !strings.Contains(problem.Error(), "ulimit -n") || strings.Contains(problem.Error(), "restore a snapshot") {
			t.Errorf("%s: got %s %q", cause, problem.Reason, problem)
		}
	}
}

func TestTheMessageOfADiskNamesItsCure(t *testing.T) {
	for _, tc := range []struct {
		cause  string
		reason Reason
		want   string
	}{
		{"failed to save Raft hard state and entries: input/output error", Failed, "on a sound disk"},
		{"write /data/member/snap/db: read-only file system", Unwritable, "mount it writable"},
		{"write /data/member/snap/db: no space left on device", Full, "free space on its disk"},
		{"open /data: permission denied", Unwritable, "give it to the user"},
		{"failed to open database: cannot allocate memory", Failed, "ulimit -v"},
	} {
		if problem := problemOf("/data", errors.New(tc.cause)); problem.Reason != tc.reason || !strings.Contains(problem.Error(), tc.want) {
			t.Errorf("%s: got %s %q, want %s with %q", tc.cause, problem.Reason, problem, tc.reason, tc.want)
		}
	}
}

func TestTheMessageOfAFullQuotaDoesNotBlameTheDisk(t *testing.T) {
	message := overQuota("/data/etcd", 64<<20).Error()
	for _, part := range []string{"/data/etcd", "64 MiB", "--etcd-quota-bytes", "the disk is not full", "delete objects, and"} {
		if !strings.Contains(message, part) {
			t.Errorf("%q lacks %q", message, part)
		}
	}
	if strings.Contains(message, "free space on its disk") {
		t.Errorf("%q names the cure of a full disk", message)
	}
}
