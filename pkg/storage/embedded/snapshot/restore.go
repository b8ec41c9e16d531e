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
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// RevisionBump is added to the last revision of a restored etcd, as Kubernetes' documentation of etcd advises. Clients
// have seen revisions after that of the snapshot, and etcd would give them to other writes: a billion is more than any
// etcd writes in the life of a backup.
const RevisionBump = 1_000_000_000

// Restore makes the directory of a lone etcd member from a snapshot, with the layout of a first start of
// embedded.Start. The directory must not exist, or must be empty. The member has a new ID, in a cluster with a new
// ID. All revisions up to the raised one count as compacted, so every watch that resumes gets 410 and lists again.
//
// The files may not have reached the disk when Restore returns, and an error leaves an incomplete directory.
func Restore(path, dir string) error {
	name, peer := embedded.InitialMember()
	err := guard(func() error {
		return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
			SnapshotPath: path, OutputDataDir: dir,
			Name: name, PeerURLs: []string{peer}, InitialCluster: name + "=" + peer, InitialClusterToken: rand.Text(),
			RevisionBump: RevisionBump, MarkCompacted: true,
		})
	})
	if err != nil {
		return fmt.Errorf("etcd cannot restore the snapshot: %w", err)
	}
	// etcd makes them with the umask.
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
}

// Database returns the path of the database below the directory of an etcd.
func Database(dir string) string { return filepath.Join(dir, "member", "snap", "db") }
