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

package encryption

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// TestNoPlaintextOfAnyKindIsOnTheDiskAfterARewriteWithPurge takes over a data directory that was written
// without encryption. Names of objects are keys of etcd, which are not encrypted, so that they have no marker.
func TestNoPlaintextOfAnyKindIsOnTheDiskAfterARewriteWithPurge(t *testing.T) {
	t.Parallel()
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	all := storedKinds(t, server.Config)
	for _, k := range all {
		k.createMarked(t, server.Config)
	}
	for _, k := range all {
		if len(filesWith(t, dir, k.marker)) == 0 {
			t.Errorf("the search does not find %s without encryption", k.marker)
		}
	}
	server.Stop(t)

	file := filepath.Join(t.TempDir(), "keys", "config.yaml")
	mustRun(t, "init", file)
	server = binary.Start(t, dir, flag+file)
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "no encryption") || strings.Contains(output, "To be rewritten: 0\n") {
		t.Errorf("the status before the rewrite: %s", output)
	}
	mustRun(t, "rewrite", file, "--data-dir", dir, "--qps", "0")
	compactAndDefragment(t, dir)
	wantOnlyInTheLog(t, dir, all)
	t.Logf("%s", mustRun(t, "rewrite", file, "--data-dir", dir, "--qps", "0", "--purge"))
	if output := mustRun(t, "status", file, "--data-dir", dir); strings.Contains(output, "no encryption ") || !strings.Contains(output, "To be rewritten: 0\n") {
		t.Errorf("the status after the rewrite: %s", output)
	}
	for range 2 { // the second time after a restart, which may write what was in memory
		for _, k := range all {
			k.wantMarked(t, server.Config)
			if found := filesWith(t, dir, k.marker); len(found) > 0 {
				t.Errorf("%s is in %v", k.marker, found)
			}
		}
		server.Stop(t)
		server = binary.Start(t, dir, flag+file)
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(secret), "secret: ")
	if key, _, _ = strings.Cut(key, "\n"); strings.Contains(server.Stderr(), key) || len(filesWith(t, dir, key)) > 0 {
		t.Error("the key is in the log or in the data directory")
	}
}

// compactAndDefragment does what the operator of an external etcd does.
func compactAndDefragment(t *testing.T, dir string) {
	t.Helper()
	client := harness.EtcdClient(t, dir)
	now, err := client.Get(t.Context(), "none")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Defragment(t.Context(), client.Endpoints()[0]); err != nil {
		t.Fatal(err)
	}
}

// wantOnlyInTheLog shows what docs/encryption.md says of a rewrite without --purge.
func wantOnlyInTheLog(t *testing.T, dir string, all []kind) {
	t.Helper()
	for _, k := range all {
		found := filesWith(t, dir, k.marker)
		if len(found) == 0 {
			t.Errorf("%s is not even in the log of etcd: a rewrite without --purge does more than the page says", k.marker)
		}
		for _, path := range found {
			if filepath.Dir(path) != filepath.Join(dir, "etcd", "member", "wal") {
				t.Errorf("%s is in %s after a compaction and a defragmentation", k.marker, path)
			}
		}
	}
}

func TestARewriteThatIsKilledIsCompletedByTheNext(t *testing.T) {
	t.Parallel()
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	seed(t, server.Config, 600) // more than a page
	server.Stop(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	mustRun(t, "init", file)
	server = binary.Start(t, dir, flag+file)
	killedAt(t, "configmaps: ", "rewrite", file, "--data-dir", dir, "--qps", "400")
	if output := mustRun(t, "status", file, "--data-dir", dir); strings.Contains(output, "To be rewritten: 0\n") {
		t.Fatalf("the command was killed too late: %s", output)
	}
	// Killing the server loses nothing, either.
	server.Kill()
	server.Wait(t)
	binary.Start(t, dir, flag+file)
	output := mustRun(t, "rewrite", file, "--data-dir", dir)
	if strings.Contains(output, " 0 objects rewritten, 0 stored with the right key already") {
		t.Errorf("the second command rewrote everything again: %s", output)
	}
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "To be rewritten: 0\n") {
		t.Errorf("the status after the rewrite: %s", output)
	}
	if output := mustRun(t, "rewrite", file, "--data-dir", dir); !strings.Contains(output, ": 0 objects rewritten") {
		t.Errorf("a rewrite of rewritten objects writes: %s", output)
	}
}
