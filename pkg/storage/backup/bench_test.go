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

package backup

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	benchObjects = 20_000
	// benchBytes makes a database of 82 MB.
	benchBytes = 3_600
	// benchBatch is the number of objects of a write: etcd's bound is 128.
	benchBatch = 100
)

// newLargeSource returns an etcd with many objects of random text.
func newLargeSource(b *testing.B) *source {
	b.Helper()
	s := newSource(b)
	random := rand.NewChaCha8([32]byte{})
	text := make([]byte, benchBytes/2)
	for done := testObjects; done < benchObjects; {
		var ops []clientv3.Op
		for ; len(ops) < benchBatch && done < benchObjects; done++ {
			_, _ = random.Read(text)
			name := fmt.Sprintf("b%d", done)
			ops = append(ops, clientv3.OpPut("/registry/configmaps/default/"+name, string(encoded(b, name, hex.EncodeToString(text)))))
		}
		if _, err := s.client.Txn(b.Context()).Then(ops...).Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkRestore restores 20,000 objects, of which each is decoded from the restored database: make bench-restore.
func BenchmarkRestore(b *testing.B) {
	s := newLargeSource(b)
	made, path := s.make(b)
	parent := b.TempDir()
	for b.Loop() {
		dir := filepath.Join(parent, "new")
		restored, err := Restore(b.Context(), path, RestoreOptions{DataDir: dir, Keys: Keys{Recovery: s.secret}, Load: load})
		if err != nil || restored.Objects != benchObjects {
			b.Fatalf("restored %+v, %v", restored, err)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(benchObjects, "objects")
	b.ReportMetric(float64(made.Manifest.Parts[1].Bytes)/1e6, "MB-database")
	b.ReportMetric(float64(made.Bytes)/1e6, "MB-file")
}

// BenchmarkBackup makes and verifies a backup of 20,000 objects.
func BenchmarkBackup(b *testing.B) {
	s := newLargeSource(b)
	for b.Loop() {
		_, path := s.make(b)
		b.StopTimer()
		if err := os.Remove(path); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
