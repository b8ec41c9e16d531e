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
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// openTimeout bounds the wait for another process that has the file open for writing.
const openTimeout = 5 * time.Second

// minChunk is the number of keys from which ForEach uses a further goroutine.
const minChunk = 1000

// Info describes a snapshot.
type Info struct {
	// Hash is etcd's CRC-32C of all buckets, as etcdutl prints it.
	Hash uint32
	// Revision is that of the last write.
	Revision int64
	// Keys is the number of keys that exist at that revision.
	Keys int
	// Bytes is the size of the database.
	Bytes int64
	// StorageVersion is the version of the format of the database, such as 3.7.0; empty before etcd 3.6.
	StorageVersion string
}

// Inspect reads every page of the keys and values of a snapshot and returns what it holds. A damaged file is an error.
//
// It does not call the check of bbolt, as etcdutl does: that one panics on a damaged page in a goroutine of its own, which
// ends the process.
func Inspect(path string) (info Info, err error) {
	if err := checkSum(path); err != nil {
		return info, fmt.Errorf("the database is damaged: %w", err)
	}
	size, db, err := open(path)
	if err != nil {
		return info, err
	}
	defer db.Close()
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if info.Bytes = tx.Size(); info.Bytes > size {
				return fmt.Errorf("it has %d bytes of %d", size, info.Bytes)
			}
			if version := schema.ReadStorageVersionFromSnapshot(tx); version != nil {
				info.StorageVersion = version.String()
			}
			hash := crc32.New(crc32.MakeTable(crc32.Castagnoli))
			if err := tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error { return hashBucket(hash, name, bucket) }); err != nil {
				return err
			}
			info.Hash = hash.Sum32()
			revisions, err := current(tx)
			info.Keys = len(revisions)
			if last, _ := tx.Bucket(schema.Key.Name()).Cursor().Last(); err == nil && last != nil {
				info.Revision = mvcc.BytesToRev(last).Main
			}
			return err
		})
	})
	if err != nil {
		return info, fmt.Errorf("the database is damaged: %w", err)
	}
	return info, nil
}

// sector is the unit of the size of a database, after which etcd appends a SHA-256 to a snapshot.
const sector = 512

// checkSum verifies the SHA-256 at the end of a snapshot.
func checkSum(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	size := stat.Size() - sha256.Size
	if size < 0 || size%sector != 0 {
		return errors.New("the SHA-256 at its end is missing: it is not complete")
	}
	sum, want := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.CopyN(sum, file, size); err != nil {
		return err
	}
	if _, err := io.ReadFull(file, want); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return errors.New("its SHA-256 is not the one at its end")
	}
	return nil
}

// open opens a database for reading and returns the size of its file.
func open(path string) (int64, *bbolt.DB, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return 0, nil, err
	}
	var db *bbolt.DB
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o400, &bbolt.Options{ReadOnly: true, Timeout: openTimeout})
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("the database is damaged: it cannot be opened: %w", err)
	}
	return stat.Size(), db, nil
}

// hashBucket adds the name, keys and values of a bucket to etcd's hash, and verifies the order of the keys and the form
// of revisions, which etcd does not.
func hashBucket(hash hash.Hash32, name []byte, bucket *bbolt.Bucket) error {
	_, _ = hash.Write(name)
	revisions := bytes.Equal(name, schema.Key.Name())
	var last []byte
	cursor := bucket.Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("the keys of the bucket %s are out of order", name)
		}
		if revisions && (len(key) != 17 && len(key) != 18 || key[8] != '_') {
			return fmt.Errorf("the bucket %s holds %x, which is no revision", name, key)
		}
		_, _ = hash.Write(key)
		_, _ = hash.Write(value)
		last = key
	}
	return nil
}

// guard converts a panic of bbolt on a damaged page, and a fault beyond the end of the file, to an error.
func guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return read()
}

// ForEach calls visit for every key that exists at the last revision, from several goroutines. It reads from the file
// of a snapshot, or from the database of an etcd that is not running. visit must not keep the slices. The first
// error ends the calls.
func ForEach(ctx context.Context, path string, goroutines int, visit func(key, value []byte) error) error {
	_, db, err := open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	var revisions [][]byte
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) (err error) {
			revisions, err = current(tx)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("the database is damaged: %w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	size := max(minChunk, (len(revisions)+goroutines-1)/max(goroutines, 1))
	var reading sync.WaitGroup
	for chunk := range slices.Chunk(revisions, size) {
		reading.Go(func() {
			if err := guard(func() error { return db.View(func(tx *bbolt.Tx) error { return visitAll(ctx, tx, chunk, visit) }) }); err != nil {
				end(err)
			}
		})
	}
	reading.Wait()
	return context.Cause(ctx)
}

// current returns the revisions of all keys that exist, in ascending order.
func current(tx *bbolt.Tx) ([][]byte, error) {
	bucket := tx.Bucket(schema.Key.Name())
	if bucket == nil {
		return nil, errors.New("it has no keys: it is no database of an etcd")
	}
	latest := map[string][]byte{}
	var kv mvccpb.KeyValue
	err := bucket.ForEach(func(revision, value []byte) error {
		kv.Reset()
		if err := proto.Unmarshal(value, &kv); err != nil {
			return fmt.Errorf("the revision %x cannot be decoded: %w", revision, err)
		}
		switch {
		case len(kv.GetKey()) == 0: // the mark by which a restore raises the revision
		case mvcc.IsTombstone(revision):
			delete(latest, string(kv.GetKey()))
		default:
			latest[string(kv.GetKey())] = bytes.Clone(revision)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	revisions := make([][]byte, 0, len(latest))
	for _, revision := range latest {
		revisions = append(revisions, revision)
	}
	slices.SortFunc(revisions, bytes.Compare)
	return revisions, nil
}

func visitAll(ctx context.Context, tx *bbolt.Tx, revisions [][]byte, visit func(key, value []byte) error) error {
	bucket := tx.Bucket(schema.Key.Name())
	var kv mvccpb.KeyValue
	for _, revision := range revisions {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		kv.Reset()
		if err := proto.Unmarshal(bucket.Get(revision), &kv); err != nil {
			return fmt.Errorf("the revision %x cannot be decoded: %w", revision, err)
		}
		if err := visit(kv.GetKey(), kv.GetValue()); err != nil {
			return err
		}
	}
	return nil
}
