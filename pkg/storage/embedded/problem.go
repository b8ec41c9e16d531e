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
	"errors"
	"fmt"
	"io/fs"
	"strings"

	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"
)

// Reason sorts the problems that a data directory can have.
type Reason string

const (
	// InUse means that another process holds the directory.
	InUse Reason = "InUse"
	// Newer means that a newer etcd wrote it.
	Newer Reason = "Newer"
	// Unwritable means that this process may not write there.
	Unwritable Reason = "Unwritable"
	// Full means that the disk, a disk quota or a limit on file sizes leaves no room.
	Full Reason = "Full"
	// OverQuota means that the database has reached the size that etcd lets it grow to, whatever
	// room the disk has.
	OverQuota Reason = "OverQuota"
	// Corrupt means that what is stored there is damaged or incomplete.
	Corrupt Reason = "Corrupt"
	// Failed is every other failure of etcd.
	Failed Reason = "Failed"
)

// Problem is why etcd cannot work in a directory. Its message is one sentence for the person who
// started the process, with the directory and the cure in it.
type Problem struct {
	// Reason sorts it.
	Reason Reason
	// Dir is the directory.
	Dir string

	sentence string
	cause    error
}

// Error returns the sentence.
func (p *Problem) Error() string { return p.sentence }

// Unwrap returns what the operating system or etcd said, if anything.
func (p *Problem) Unwrap() error { return p.cause }

func inUse(dir string, pid int) *Problem {
	who := "another process"
	if pid > 0 {
		who = fmt.Sprintf("process %d", pid)
	}
	return &Problem{Reason: InUse, Dir: dir, sentence: fmt.Sprintf(
		"the data directory %s is in use by %s: stop that process or choose another data directory", dir, who)}
}

func newer(dir, found, ours string) *Problem {
	return &Problem{Reason: Newer, Dir: dir, sentence: fmt.Sprintf(
		"the data directory %s was written by etcd %s, which is newer than the etcd %s in this program: start the newer program again or restore a snapshot into an empty directory",
		dir, found, ours)}
}

func unwritable(dir string, cause error) *Problem {
	return &Problem{Reason: Unwritable, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"the data directory %s cannot be written (%v): give it to the user that runs this process, with mode 0700, or choose another data directory", dir, cause)}
}

func full(dir string, cause error) *Problem {
	return &Problem{Reason: Full, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"the data directory %s has no room left (%v): free space on its disk or move the directory to a larger one", dir, cause)}
}

func overQuota(dir string, quotaBytes int64) *Problem {
	return &Problem{Reason: OverQuota, Dir: dir, sentence: fmt.Sprintf(
		"the database in the data directory %s has reached its quota of %d MiB (the disk is not full): reads and deletes go on and every other write is refused; delete objects and restart the server, which then compacts and defragments the database, or restart it with a larger --etcd-quota-bytes", dir, quotaBytes>>20)}
}

func readOnly(dir string, cause error) *Problem {
	return &Problem{Reason: Unwritable, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"the data directory %s cannot be written (%v): where it was writable before, the kernel's log says why it is not; repair the file system and mount it writable, or choose another data directory", dir, cause)}
}

func failingDisk(dir string, cause error) *Problem {
	return &Problem{Reason: Failed, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"the disk below the data directory %s fails (%v): see the kernel's log, and start the server again on a sound disk; acknowledged writes are in the log of the directory", dir, cause)}
}

func tooFewFiles(dir string, cause error) *Problem {
	return &Problem{Reason: Failed, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"etcd cannot work in the data directory %s: this process may not open more files (%v): raise the limit of open files (ulimit -n, or LimitNOFILE of the service); what is stored is whole", dir, cause)}
}

func tooLittleMemory(dir string, cause error) *Problem {
	return &Problem{Reason: Failed, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"etcd cannot map its database in the data directory %s into memory (%v): raise or remove the limit of the address space (ulimit -v, or LimitAS of the service) and limit memory with --memory-limit or a control group; what is stored is whole", dir, cause)}
}

func corrupt(dir string, cause error) *Problem {
	return &Problem{Reason: Corrupt, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"the data directory %s is damaged (%v): keep a copy of it, and restore a snapshot into an empty directory", dir, cause)}
}

func failed(dir string, cause error) *Problem {
	return &Problem{Reason: Failed, Dir: dir, cause: cause, sentence: fmt.Sprintf(
		"etcd cannot work in the data directory %s: %v", dir, cause)}
}

// problemOf turns what etcd or the operating system said into a Problem. Where the error has
// kept its type that decides; etcd flattens many of its errors into text before it gives up, so
// the text is asked next.
func problemOf(dir string, err error) *Problem {
	var known *Problem
	if errors.As(err, &known) {
		return known
	}
	switch {
	case isAny(err, unix.ENOSPC, unix.EDQUOT, unix.EFBIG),
		says(err, "no space left on device", "disk quota exceeded", "file too large"):
		return full(dir, err)
	case isAny(err, unix.EMFILE, unix.ENFILE), says(err, "too many open files", "file descriptor limit"):
		return tooFewFiles(dir, err)
	case isAny(err, unix.ENOMEM), says(err, "cannot allocate memory"):
		return tooLittleMemory(dir, err)
	case isAny(err, unix.EROFS), says(err, "read-only file system"):
		return readOnly(dir, err)
	case isAny(err, unix.EIO), says(err, "input/output error"):
		return failingDisk(dir, err)
	case isAny(err, fs.ErrPermission, unix.ENOTDIR),
		says(err, "permission denied", "operation not permitted"):
		return unwritable(dir, err)
	case isAny(err, bolterrors.ErrTimeout), says(err, "resource temporarily unavailable"):
		return inUse(dir, 0)
	case says(err, "invalid downgrade", "storage version is not supported", "cannot downgrade storage"),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return newer(dir, "of another version", ourVersion())
	case isAny(err, wal.ErrCRCMismatch, wal.ErrFileNotFound, wal.ErrMetadataConflict, wal.ErrSnapshotMismatch,
		wal.ErrSnapshotNotFound, wal.ErrSliceOutOfRange, wal.ErrDecoderNotFound, bolterrors.ErrInvalid, bolterrors.ErrChecksum),
		says(err, "wal", "crc", "corrupt", "failed to open database", "database file", "from snapshot",
			"unmarshal", "proto:", "page ", "freelist", "raft log", "unexpected fault", "recover"):
		return corrupt(dir, err)
	}
	return failed(dir, err)
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func says(err error, phrases ...string) bool {
	text := strings.ToLower(err.Error())
	for _, phrase := range phrases {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}
