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
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

func TestADamagedDirectoryIsRefused(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, layout){
		"a record of the log does not match its checksum": func(t *testing.T, files layout) {
			overwrite(t, logFile(t, files), 2000, []byte("damaged"))
		},
		"the log is garbage": func(t *testing.T, files layout) {
			write(t, logFile(t, files), garbage(100_000))
		},
		"the log is empty": func(t *testing.T, files layout) {
			write(t, logFile(t, files), nil)
		},
		"the log is missing": func(t *testing.T, files layout) {
			remove(t, files.log())
		},
		"the database is garbage": func(t *testing.T, files layout) {
			write(t, files.database(), garbage(100_000))
		},
		"the first pages of the database are zero": func(t *testing.T, files layout) {
			overwrite(t, files.database(), 0, make([]byte, 2*os.Getpagesize()))
		},
		"all other pages of the database are garbage": func(t *testing.T, files layout) {
			overwrite(t, files.database(), 2*os.Getpagesize(), garbage(int(size(t, files.database()))-2*os.Getpagesize()))
		},
		"all other pages of the database are zero": func(t *testing.T, files layout) {
			overwrite(t, files.database(), 2*os.Getpagesize(), make([]byte, int(size(t, files.database()))-2*os.Getpagesize()))
		},
		"the database was cut short": func(t *testing.T, files layout) {
			if err := os.Truncate(files.database(), int64(4*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		},
		"the database is empty": func(t *testing.T, files layout) {
			write(t, files.database(), nil)
		},
		"the database is missing": func(t *testing.T, files layout) {
			remove(t, files.database())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := soundDirectory(t)
			damage(t, layout{dir})
			_, err := Start(t.Context(), Config{DataDir: dir})
			wantProblem(t, err, Corrupt, dir)
			t.Log(err)
		})
	}
}

func TestATornEndOfTheLogIsRepaired(t *testing.T) {
	dir := soundDirectory(t)
	path := logFile(t, layout{dir})
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The log ends where its reserved zeros begin; a crash in the middle of a write leaves
	// the beginning of one more record.
	end := len(bytes.TrimRight(content, "\x00"))
	if err := os.Truncate(path, int64(end-3)); err != nil {
		t.Fatal(err)
	}
	client := connect(t, start(t, Config{DataDir: dir}))
	wantValue(t, client, "a", string(bytes.Repeat([]byte("a"), 20_000)))
}

func TestAnInterruptedFirstStartIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	files := layout{dir}
	if err := os.MkdirAll(filepath.Dir(files.database()), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, files.database(), nil)
	put(t, connect(t, start(t, Config{DataDir: dir})), "key", "value")
}

func TestAFirstStartThatWasKilledIsRepeated(t *testing.T) {
	dir := t.TempDir()
	files := layout{dir}
	// The state after the log was created and before the first write: the database
	// with its first bucket, and a log with the member's id.
	if err := os.MkdirAll(filepath.Dir(files.database()), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(files.database(), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	member, cluster := uint64(1), uint64(2)
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: &member, ClusterID: &cluster})
	if err != nil {
		t.Fatal(err)
	}
	log, err := wal.Create(zap.NewNop(), files.log(), metadata)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, connect(t, start(t, Config{DataDir: dir})), "key", "value")
}

func TestADirectoryWithDataIsNeverDiscarded(t *testing.T) {
	dir := soundDirectory(t)
	for range 2 {
		if discarded, err := discardUnfinished(dir); discarded || err != nil {
			t.Fatalf("discarded: %v (%v)", discarded, err)
		}
	}
}

func TestGarbageInPlaceOfASnapshotDoesNoHarm(t *testing.T) {
	dir := soundDirectory(t)
	snapshots := filepath.Dir(layout{dir}.database())
	write(t, filepath.Join(snapshots, "0000000000000002-0000000000000005.snap"), garbage(1000))
	write(t, filepath.Join(snapshots, "0000000000000005.snap.db"), garbage(1000))
	wantValue(t, connect(t, start(t, Config{DataDir: dir})), "a", string(bytes.Repeat([]byte("a"), 20_000)))
}

func logFile(t *testing.T, files layout) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(files.log(), "*.wal"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no log in %s (%v)", files.log(), err)
	}
	return found[0]
}

func overwrite(t *testing.T, path string, offset int, content []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(content, int64(offset)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func garbage(n int) []byte {
	source := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(source.Uint32())
	}
	return content
}
