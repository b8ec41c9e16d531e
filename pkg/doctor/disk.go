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

package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// fsyncs is the number of writes that are measured.
	fsyncs = 50
	// slowFsync is the time from which the 99th percentile is a warning, as in the alerts of docs/observability.md, and
	// brokenFsync that at which etcd loses its leader: its election timeout is a second.
	slowFsync, brokenFsync = 25 * time.Millisecond, time.Second
	// leastFree is what etcd needs to start again.
	leastFree = 16 << 20
	// freeBeside is free space beside the copies of the database that a backup and a defragmentation make.
	freeBeside = 256 << 20
)

// Disk measures the disk of a directory. Its implementations leave no file.
type Disk interface {
	// Space returns free and all bytes; all is 0 if they are unknown.
	Space(dir string) (free, all int64, err error)
	// Fsyncs returns the times of writes that are flushed. It returns errors.ErrUnsupported if they cannot be measured
	// without a file.
	Fsyncs(ctx context.Context, dir string, n int) ([]time.Duration, error)
}

// RealDisk is the disk of this machine.
type RealDisk struct{}

// Space implements Disk.
func (RealDisk) Space(dir string) (free, all int64, err error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, 0, err
	}
	return int64(disk.Bavail) * int64(disk.Bsize), int64(disk.Blocks) * int64(disk.Bsize), nil
}

func (s *Standalone) diskSpace(context.Context) []Finding {
	free, all, err := s.Disk.Space(s.DataDir)
	if err != nil {
		return []Finding{broken("", "the free space cannot be determined: %v", err)}
	}
	if all == 0 {
		return []Finding{ok("the file system has no fixed size")}
	}
	wanted := 2*s.databaseSize() + freeBeside
	switch {
	case free < leastFree:
		return []Finding{broken("", "%s are free, and etcd needs %s to start", size(free), size(leastFree))}
	case free < wanted:
		return []Finding{warning("", "%s are free; with less than %s, a backup or a defragmentation may fill the disk", size(free), size(wanted))}
	}
	return []Finding{ok("%s of %s are free", size(free), size(all))}
}

func (s *Standalone) diskSpeed(ctx context.Context) []Finding {
	times, err := s.Disk.Fsyncs(ctx, s.dirOrAbove(filepath.Join(s.DataDir, "etcd")), fsyncs)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return []Finding{ok("not measured: this file system has no files without a name (O_TMPFILE), and no others are made")}
	case errors.Is(err, unix.EROFS):
		return []Finding{broken("see the kernel's log for the reason, repair the file system, and mount it writable", "the file system is read-only")}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return []Finding{broken("run this command as the user of the server; if you have, give the directory to that user with chown -R", "this user cannot write the directory")}
	case err != nil:
		return []Finding{broken("", "writing to the disk failed: %v", err)}
	case len(times) == 0:
		return []Finding{warning("", "no write was flushed within the time of the check")}
	}
	slices.Sort(times)
	p99 := times[min(len(times)*99/100, len(times)-1)]
	text := fmt.Sprintf("99 of 100 flushed writes take at most %v", p99.Round(10*time.Microsecond))
	switch {
	case p99 >= brokenFsync:
		return []Finding{broken("", "%s; from %v on, etcd loses its leader", text, brokenFsync)}
	case p99 >= slowFsync:
		return []Finding{warning("", "%s; every write of a client waits for one, and %v is slow", text, slowFsync)}
	}
	return []Finding{ok("%s", text)}
}

// size returns bytes in words.
func size(bytes int64) string {
	if bytes >= 10<<30 {
		return fmt.Sprintf("%d GiB", bytes>>30)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
