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

package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	etcdsnapshot "go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

const keys = 3000

// save returns a snapshot of an etcd with many keys, of which some were changed and one was deleted.
func save(t *testing.T) string {
	t.Helper()
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: filepath.Join(t.TempDir(), "etcd")})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	client := etcd.NewClient()
	defer client.Close()
	for page := range slices.Chunk(numbers(keys+1), 100) {
		var ops []clientv3.Op
		for _, i := range page {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/k/%05d", i), fmt.Sprintf("first of %d", i)))
		}
		if _, err := client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Put(t.Context(), "/k/00007", "second of 7"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Delete(t.Context(), fmt.Sprintf("/k/%05d", keys)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "db")
	if _, err := etcdsnapshot.SaveWithVersion(t.Context(), zap.NewNop(), clientv3.Config{Endpoints: etcd.Endpoints()}, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// read returns the keys and values of a database.
func read(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	var mu sync.Mutex
	if err := ForEach(t.Context(), path, 4, func(key, value []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if _, again := found[string(key)]; again {
			return fmt.Errorf("%s comes twice", key)
		}
		found[string(key)] = string(value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestASnapshotIsReadAsEtcdsOwnToolReadsIt(t *testing.T) {
	path := save(t)
	got, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := snapshot.NewV3(zap.NewNop()).Status(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != (Info{Hash: want.Hash, Revision: want.Revision, Keys: want.TotalKey, Bytes: want.TotalSize, StorageVersion: want.Version}) {
		t.Errorf("got %+v, and etcdutl %+v", got, want)
	}
	found := read(t, path)
	if len(found) != keys || found["/k/00007"] != "second of 7" || found["/k/00008"] != "first of 8" {
		t.Errorf("%d keys, of which 7 is %q and 8 is %q", len(found), found["/k/00007"], found["/k/00008"])
	}
}

func TestARestoredDirectoryHasTheKeysAtALaterRevisionInANewCluster(t *testing.T) {
	path := save(t)
	before, err := Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	clusters := map[uint64]bool{}
	for range 2 {
		dir := filepath.Join(t.TempDir(), "etcd")
		if err := Restore(path, dir); err != nil {
			t.Fatal(err)
		}
		if found := read(t, Database(dir)); len(found) != keys {
			t.Errorf("%d keys were restored", len(found))
		}
		if err := Restore(path, dir); err == nil {
			t.Error("a directory was restored twice")
		}
		etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		client := etcd.NewClient()
		got, err := client.Get(t.Context(), "/k/00007")
		if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "second of 7" || got.Header.Revision < before.Revision+RevisionBump {
			t.Errorf("etcd answers %v, %v", got, err)
		}
		clusters[got.Header.ClusterId] = true
		ctx, cancel := context.WithCancel(t.Context())
		for response := range client.Watch(ctx, "/k/", clientv3.WithPrefix(), clientv3.WithRev(before.Revision+1)) {
			if response.CompactRevision < before.Revision+RevisionBump {
				t.Errorf("a watch of a former revision got %+v", response)
			}
			break
		}
		cancel()
		_ = client.Close()
		_ = etcd.Close()
	}
	if len(clusters) != 2 {
		t.Errorf("two restores of one snapshot are of %d clusters", len(clusters))
	}
}

func TestADamagedDatabaseIsAnErrorAndDoesNotEndTheProcess(t *testing.T) {
	good, err := os.ReadFile(save(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func([]byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"text", func([]byte) []byte { return bytes.Repeat([]byte("text "), 10000) }},
		{"cut short", func(d []byte) []byte { return d[:len(d)/2] }},
		{"pages overwritten", func(d []byte) []byte { return append(d[:8192:8192], bytes.Repeat([]byte{0xff}, len(d)-8192)...) }},
		{"one page overwritten", func(d []byte) []byte { copy(d[len(d)/2/4096*4096:], bytes.Repeat([]byte{0xee}, 4096)); return d }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			changed := tc.change(bytes.Clone(good[:len(good)-sha256.Size]))
			sum := sha256.Sum256(changed)
			if err := os.WriteFile(path, append(changed, sum[:]...), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Inspect(path); err == nil || !strings.Contains(err.Error(), "the database is damaged") {
				t.Errorf("Inspect got %v", err)
			}
			if err := ForEach(t.Context(), path, 2, func(_, _ []byte) error { return nil }); err == nil {
				t.Error("ForEach got no error")
			}
		})
	}
	path := filepath.Join(t.TempDir(), "db")
	for name, data := range map[string][]byte{"without its checksum": good[:len(good)-sha256.Size], "with another one": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Inspect(path); err == nil || !strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
