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
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// DefaultName is the name of a lone member.
const DefaultName = "gatehouse"

// InitialMember returns the name and the peer address of a lone member, for a directory that is made from a snapshot.
func InitialMember() (name, peer string) {
	url := peerURL()
	return DefaultName, url.String()
}

// newCluster configures the cluster that the first start creates; later starts ignore it. The token
// is random, so that no two directories hold a member with the same id.
func newCluster(config *embed.Config, name string) {
	peer := peerURL()
	config.Name = name
	config.InitialClusterToken = rand.Text()
	config.InitialCluster = name + "=" + peer.String()
}

// discardUnfinished removes the files of a first start that was interrupted before the member had
// joined its own cluster, and reports whether it did. From such files etcd starts a member of no
// cluster, which waits for a leader forever.
//
// No data can be lost. A member commits itself first, and writes that entry together with its
// commit, before any other. So a log without a commit, beside a database without a member and
// without a key, never belonged to an etcd that acknowledged a write.
func discardUnfinished(root string) (bool, error) {
	files := layout{root}
	if !files.hasLog() {
		return false, nil
	}
	if empty, err := isUnused(files); err != nil || !empty {
		return false, err
	}
	if commits(files) {
		return false, nil
	}
	if err := discard(root); err != nil {
		return false, problemOf(root, fmt.Errorf("cannot remove an unfinished first start: %w", err))
	}
	return true, nil
}

// discard renames the files before it removes them: a partial removal would look like damage.
func discard(root string) error {
	unfinished := filepath.Join(root, "unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(root, "member"), unfinished); err != nil {
		return err
	}
	return os.RemoveAll(unfinished)
}

// isUnused reports whether the database has neither a member nor a key.
func isUnused(files layout) (empty bool, err error) {
	err = read(files, func(tx *bbolt.Tx) error {
		empty = isEmpty(tx, schema.Members.Name()) && isEmpty(tx, schema.Key.Name())
		return nil
	})
	return empty, err
}

func isEmpty(tx *bbolt.Tx, name []byte) bool {
	bucket := tx.Bucket(name)
	if bucket == nil {
		return true
	}
	key, _ := bucket.Cursor().First()
	return key == nil
}

// commits reports whether the log has a commit. It returns true for a log that it cannot read, which
// is left to etcd.
func commits(files layout) bool {
	log, err := wal.OpenForRead(zap.NewNop(), files.log(), &walpb.Snapshot{})
	if err != nil {
		return true
	}
	defer log.Close()
	_, state, _, err := log.ReadAll()
	return err != nil || state.GetCommit() > 0
}
