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
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// Check verifies the database and the log below a directory of Start, and changes nothing. It returns a *Problem, or nil for
// a sound or a missing database. A database that a process has open is a *Problem of reason InUse.
func Check(root string) error { return checkDatabase(root) }

// checkDatabase verifies an existing database and its log before etcd opens them. etcd opens the
// file in a separate goroutine, where a damaged page, or one beyond the end of a truncated file,
// ends the process with a stack trace that cannot be caught. The walk reads what etcd reads next
// anyway, so it mostly brings the file into memory a moment earlier.
//
// It returns a *Problem, or nil for a sound or a missing database.
func checkDatabase(root string) error {
	files := layout{root}
	if err := checkLog(files); err != nil {
		return err
	}
	info, err := os.Stat(files.database())
	switch {
	case errors.Is(err, os.ErrNotExist):
		if files.hasLog() {
			return corrupt(root, fmt.Errorf("the log is there and the database %s is missing", files.database()))
		}
		return nil
	case err != nil:
		return problemOf(root, err)
	case info.Size() == 0:
		// Either the first start was interrupted before the log was created, or the file was
		// truncated; etcd would begin with nothing.
		if files.hasLog() {
			return corrupt(root, fmt.Errorf("the log is there and the database %s is empty", files.database()))
		}
		return nil
	}
	return walk(files, info.Size())
}

// checkLog refuses empty files of the log. A file has its first records before it gets its name, so
// an empty one was truncated later. The records have checksums, which etcd verifies.
func checkLog(files layout) error {
	paths, err := filepath.Glob(filepath.Join(files.log(), "*.wal"))
	if err != nil {
		return failed(files.root, err)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return problemOf(files.root, err)
		}
		if info.Size() == 0 {
			return corrupt(files.root, fmt.Errorf("the file %s of the log is empty", path))
		}
	}
	return nil
}

// read opens the database for reading without waiting for another process that has it open, and
// converts the panic of bbolt on a damaged page to a *Problem.
func read(files layout, view func(*bbolt.Tx) error) (err error) {
	// Reading beyond the end of a mapped file is a fault, which ends the process unless
	// SetPanicOnFault makes it a panic of this goroutine.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(files.root, fmt.Errorf("the database: %v", r))
		}
	}()
	db, err := bbolt.Open(files.database(), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Millisecond})
	if err != nil {
		return databaseProblem(files.root, err)
	}
	defer db.Close()
	return db.View(view)
}

// walk visits every page of the database.
func walk(files layout, size int64) error {
	return read(files, func(tx *bbolt.Tx) error {
		if tx.Size() > size {
			return corrupt(files.root, fmt.Errorf("the database was cut short: it has %d bytes of %d", size, tx.Size()))
		}
		if err := checkVersions(files.root, tx); err != nil {
			return err
		}
		if err := tx.ForEach(checkBucket); err != nil {
			return corrupt(files.root, fmt.Errorf("the database: %w", err))
		}
		if !files.hasLog() && !isEmpty(tx, schema.Key.Name()) {
			return corrupt(files.root, errors.New("the database is there and the log is missing"))
		}
		return nil
	})
}

func databaseProblem(root string, err error) error {
	problem := &Problem{}
	if errors.As(problemOf(root, err), &problem) && problem.Reason == Failed {
		return corrupt(root, fmt.Errorf("the database: %w", err))
	}
	return problem
}

// checkVersions compares the versions that etcd records in the database with that of this
// program. Patch releases of one minor version share a format.
func checkVersions(root string, tx *bbolt.Tx) error {
	ours := semver.New(version.Version)
	for _, place := range []struct{ bucket, key []byte }{
		{schema.Meta.Name(), schema.MetaStorageVersionName},
		{schema.Cluster.Name(), schema.ClusterClusterVersionKeyName},
	} {
		bucket := tx.Bucket(place.bucket)
		if bucket == nil {
			continue
		}
		value := bucket.Get(place.key)
		if len(value) == 0 {
			continue
		}
		found, err := semver.NewVersion(string(value))
		if err != nil {
			return corrupt(root, fmt.Errorf("the database holds %q as %s", value, place.key))
		}
		if found.Major > ours.Major || found.Major == ours.Major && found.Minor > ours.Minor {
			return newer(root, fmt.Sprintf("%d.%d", found.Major, found.Minor), ourVersion())
		}
	}
	return nil
}

func ourVersion() string { return version.Version }

// checkBucket visits every page of a bucket. In the bucket of revisions it also checks the form of
// each key, because etcd does not.
func checkBucket(name []byte, bucket *bbolt.Bucket) error {
	revisions := bytes.Equal(name, schema.Key.Name())
	var last []byte
	cursor := bucket.Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("the keys of the bucket %s are out of order", name)
		}
		if revisions && !isRevision(key) {
			return fmt.Errorf("the bucket %s holds %x, which is no revision", name, key)
		}
		last = key
	}
	return nil
}

// isRevision reports whether a key has the form of a revision: two numbers of 8 bytes separated by
// an underscore, followed by a tombstone mark if the object is deleted.
func isRevision(key []byte) bool {
	return (len(key) == 17 || len(key) == 18) && key[8] == '_'
}
