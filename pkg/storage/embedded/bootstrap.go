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
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// discardUnfinished removes what a first start left behind that was interrupted before the member
// had joined its own cluster, and tells whether it did. From such files etcd makes a member that
// belongs to no cluster, which waits for a leader forever.
//
// Nothing can be lost. The first thing that a member commits is itself, and it writes that and
// the fact that it is committed in one go, before anything else. So a log that tells of no commit,
// beside a database that knows no member and no key, was never part of an etcd that took a write.
func discardUnfinished(root string) (bool, error) {
	files := layout{root}
	if !files.hasLog() {
		return false, nil
	}
	if empty, err := knowsNothing(files); err != nil || !empty {
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

// discard renames before it removes: half a removal would look like damage.
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

// knowsNothing tells whether the database has neither a member nor a key.
func knowsNothing(files layout) (empty bool, err error) {
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

// commits tells whether the log knows of a commit, or may: what cannot be read is for etcd to
// judge.
func commits(files layout) bool {
	log, err := wal.OpenForRead(zap.NewNop(), files.log(), &walpb.Snapshot{})
	if err != nil {
		return true
	}
	defer log.Close()
	_, state, _, err := log.ReadAll()
	return err != nil || state.GetCommit() > 0
}
