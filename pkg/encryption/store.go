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
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/client-go/util/workqueue"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	// storePage bounds the memory of a count: a value may have some megabytes.
	storePage = 100

	// fillerKey is not the key of an object, which all begin with storage.Prefix.
	fillerKey = "/gatehouse-encryption-purge"
	// fillerBytes times fillerWrites is the size of a file of etcd's log and somewhat more.
	fillerBytes  = 64 << 10
	fillerWrites = 1100
	// fillerCompact is the number of writes after which the filler's history is compacted, so that the
	// database grows by a few megabytes only.
	fillerCompact = 100
	// snapshotWrites is more than the writes between two snapshots of the embedded etcd, after which it
	// releases the files of the log before.
	snapshotWrites = 5200
	fillerWriters  = 64
	maxFills       = 3
	// removedWithin is longer than the interval at which etcd removes released files of its log, 30 s.
	removedWithin = 90 * time.Second
)

// store is the embedded etcd of a data directory, through its socket.
type store struct {
	client *clientv3.Client
	log    string
}

// openStore connects to the etcd of a data directory, and returns nil if no server on this machine runs one there.
func openStore(dataDir string) (*store, error) {
	endpoint, err := storage.LocalEndpoint(dataDir)
	if endpoint == "" || err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return &store{client: client, log: filepath.Join(dataDir, "etcd", "member", "wal")}, nil
}

// counts are numbers of objects by resource, and by what they were written with.
type counts map[string]map[written]int

// count reads the prefixes of all stored objects.
func (s *store) count(ctx context.Context) (counts, error) {
	found := counts{}
	end := clientv3.GetPrefixRangeEnd(storage.Prefix + "/")
	for key := storage.Prefix + "/"; ; {
		page, err := s.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(storePage))
		if err != nil {
			return nil, fmt.Errorf("etcd cannot be read: %w", err)
		}
		for _, kv := range page.Kvs {
			provider, name := storage.WrittenWith(kv.Value)
			resource := storage.ResourceOf(storage.Prefix, string(kv.Key))
			if found[resource] == nil {
				found[resource] = map[written]int{}
			}
			found[resource][written{provider, name}]++
		}
		if !page.More {
			return found, nil
		}
		key = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// other returns the number of objects that were not written with that key, by resource.
func (c counts) other(with written) (number int, resources []string) {
	for _, resource := range slices.Sorted(maps.Keys(c)) {
		n := 0
		for w, count := range c[resource] {
			if w != with {
				n += count
			}
		}
		if number += n; n > 0 {
			resources = append(resources, fmt.Sprintf("%s %d", resource, n))
		}
	}
	return number, resources
}

// purge removes what etcd has kept of former versions of objects: the history, by compaction; free pages, by
// defragmentation; and the files of the log that exist now. etcd removes such a file once a later one exists
// and a snapshot has been taken since, so purge writes until that is so.
func (s *store) purge(ctx context.Context, notes io.Writer) error {
	old, err := s.logFiles()
	if err != nil {
		return err
	}
	for range maxFills {
		fmt.Fprintf(notes, "writing %d MB into the log of etcd, so that it drops the former part\n", fillerBytes*fillerWrites>>20)
		if err := s.fill(ctx); err != nil {
			return err
		}
		fmt.Fprintln(notes, "compacting and defragmenting: requests wait meanwhile, and watches of an older version are answered with 410")
		if err := s.compact(ctx); err != nil {
			return err
		}
		if _, err := s.client.Defragment(ctx, s.client.Endpoints()[0]); err != nil {
			return fmt.Errorf("defragmenting: %w", err)
		}
		gone, err := s.waitGone(ctx, old)
		if gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("etcd keeps files of its log from before (%s): run the command again later with --purge", strings.Join(old, ", "))
}

// fill writes more than a file of the log, and then more entries than there are between two snapshots.
func (s *store) fill(ctx context.Context) error {
	value := string(bytes.Repeat([]byte{'-'}, fillerBytes))
	for done := 0; done < fillerWrites; done += fillerCompact {
		if err := s.put(ctx, fillerCompact, value); err != nil {
			return err
		}
		if err := s.compact(ctx); err != nil {
			return err
		}
	}
	if err := s.put(ctx, snapshotWrites, ""); err != nil {
		return err
	}
	_, err := s.client.Delete(ctx, fillerKey)
	return err
}

func (s *store) put(ctx context.Context, times int, value string) error {
	errs := make([]error, times)
	workqueue.ParallelizeUntil(ctx, fillerWriters, times, func(i int) {
		_, errs[i] = s.client.Put(ctx, fillerKey, value)
	})
	for _, err := range append(errs, ctx.Err()) {
		if err != nil {
			return fmt.Errorf("etcd does not take the filler of its log: %w", err)
		}
	}
	return nil
}

// compact removes all history.
func (s *store) compact(ctx context.Context) error {
	now, err := s.client.Get(ctx, fillerKey, clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("etcd cannot be read: %w", err)
	}
	if _, err := s.client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("compacting: %w", err)
	}
	return nil
}

func (s *store) logFiles() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.log, "*.wal"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s has no log of etcd: --data-dir must be that of the server on this machine", s.log)
	}
	return files, err
}

// waitGone reports whether etcd has removed the files in time.
func (s *store) waitGone(ctx context.Context, old []string) (bool, error) {
	deadline := time.Now().Add(removedWithin)
	for time.Now().Before(deadline) {
		now, err := s.logFiles()
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(now, func(file string) bool { return slices.Contains(old, file) }) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return false, nil
}
