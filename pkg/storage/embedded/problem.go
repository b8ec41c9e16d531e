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

// Reason is the kind of a problem of a data directory.
type Reason string

const (
	// InUse is a directory that another process holds.
	InUse Reason = "InUse"
	// Newer is a directory that a newer etcd has written.
	Newer Reason = "Newer"
	// Unwritable is a directory that this process cannot write.
	Unwritable Reason = "Unwritable"
	// Full is a disk, a disk quota or a limit on file sizes without free space.
	Full Reason = "Full"
	// OverQuota is a database that has reached --etcd-quota-bytes, independent of free space on the disk.
	OverQuota Reason = "OverQuota"
	// Corrupt is a directory with damaged or incomplete content.
	Corrupt Reason = "Corrupt"
	// Foreign is a directory of a member that its cluster has removed, or of another cluster.
	Foreign Reason = "Foreign"
	// Failed is any other failure of etcd.
	Failed Reason = "Failed"
)

// Problem is the reason for which etcd cannot work in a directory. Its message is one sentence with
// the directory and the cure.
type Problem struct {
	Reason Reason
	// Dir is the directory of etcd, or the data directory for InUse.
	Dir string

	message string
	cause   error
}

// Error implements error.
func (p *Problem) Error() string { return p.message }

// Unwrap returns the error of the operating system or of etcd, or nil.
func (p *Problem) Unwrap() error { return p.cause }

// problem returns a Problem of "the data directory DIR <text>"; the arguments belong to the text.
func problem(reason Reason, dir string, cause error, text string, args ...any) *Problem {
	return &Problem{Reason: reason, Dir: dir, cause: cause, message: "the data directory " + dir + " " + fmt.Sprintf(text, args...)}
}

func inUse(dir string, pid int) *Problem {
	holder := "another process"
	if pid > 0 {
		holder = fmt.Sprintf("process %d", pid)
	}
	return problem(InUse, dir, nil, "is in use by %s: stop that process or choose another data directory", holder)
}

func newer(dir, found, ours string) *Problem {
	return problem(Newer, dir, nil, "was written by etcd %s, which is newer than the etcd %s in this program: start the newer program again or restore a snapshot into an empty directory", found, ours)
}

func unwritable(dir string, cause error) *Problem {
	return problem(Unwritable, dir, cause, "cannot be written (%v): give it to the user that runs this process, with mode 0700, or choose another data directory", cause)
}

func readOnly(dir string, cause error) *Problem {
	return problem(Unwritable, dir, cause, "cannot be written (%v): where it was writable before, the kernel's log says why it is not; repair the file system and mount it writable, or choose another data directory", cause)
}

func full(dir string, cause error) *Problem {
	return problem(Full, dir, cause, "has no room left (%v): free space on its disk or move the directory to a larger one", cause)
}

func corrupt(dir string, cause error) *Problem {
	return problem(Corrupt, dir, cause, "is damaged (%v): keep a copy of it, and restore a snapshot into an empty directory with \"gatehouse restore\"", cause)
}

// ofMember returns an error with the cure of a damaged directory for a member of a cluster: the others have its data.
func (m *Member) ofMember(err error) error {
	damaged := &Problem{}
	if m == nil || !errors.As(err, &damaged) || damaged.Reason != Corrupt {
		return err
	}
	return problem(Corrupt, damaged.Dir, damaged.cause, "is damaged (%v), and a majority of the other members has its data: run \"gatehouse member reset\" with this --data-dir, \"gatehouse member invite\" on another member, and the command that it prints", damaged.cause)
}

func removed(dir string) *Problem {
	return problem(Foreign, dir, nil, "is of a member that was removed from its cluster: run \"gatehouse member reset\" with this --data-dir, \"gatehouse member invite\" on another member, and the command that it prints")
}

func otherCluster(dir, peer, theirs, ours string) *Problem {
	return problem(Foreign, dir, nil, "is of the cluster %s, and the member at %s is of the cluster %s, which has other data: to join that one, run \"gatehouse member reset\" with this --data-dir, \"gatehouse member invite\" there, and the command that it prints", ours, peer, theirs)
}

func overQuota(dir string, quotaBytes int64) *Problem {
	return &Problem{Reason: OverQuota, Dir: dir, message: fmt.Sprintf(
		"the database in the data directory %s has reached its quota of %d MiB (the disk is not full): reads and deletes continue and every other write is refused; delete objects, and the server compacts and defragments the database, or restart it with a larger --etcd-quota-bytes", dir, quotaBytes>>20)}
}

func failingDisk(dir string, cause error) *Problem {
	return &Problem{Reason: Failed, Dir: dir, cause: cause, message: fmt.Sprintf(
		"the disk below the data directory %s fails (%v): see the kernel's log, and start the server again on a sound disk; acknowledged writes are in the log of the directory", dir, cause)}
}

func tooFewFiles(dir string, cause error) *Problem {
	return failed(dir, fmt.Errorf("this process may not open more files (%w): raise the limit of open files (ulimit -n, or LimitNOFILE of the service); what is stored is whole", cause))
}

func tooLittleMemory(dir string, cause error) *Problem {
	return failed(dir, fmt.Errorf("it cannot map its database into memory (%w): raise or remove the limit of the address space (ulimit -v, or LimitAS of the service) and limit memory with --memory-limit or a control group; what is stored is whole", cause))
}

func failed(dir string, cause error) *Problem {
	return &Problem{Reason: Failed, Dir: dir, cause: cause, message: fmt.Sprintf("etcd cannot work in the data directory %s: %v", dir, cause)}
}

// problemOf converts an error of etcd or of the operating system to a Problem, by the type of the
// error if it is kept, and otherwise by its text: etcd formats many errors before it gives up.
func problemOf(dir string, err error) *Problem {
	var known *Problem
	if errors.As(err, &known) {
		return known
	}
	switch {
	case isAny(err, unix.ENOSPC, unix.EDQUOT, unix.EFBIG),
		mentions(err, "no space left on device", "disk quota exceeded", "file too large"):
		return full(dir, err)
	case isAny(err, unix.EMFILE, unix.ENFILE), mentions(err, "too many open files", "file descriptor limit"):
		return tooFewFiles(dir, err)
	case isAny(err, unix.ENOMEM), mentions(err, "cannot allocate memory"):
		return tooLittleMemory(dir, err)
	case isAny(err, unix.EROFS), mentions(err, "read-only file system"):
		return readOnly(dir, err)
	case isAny(err, unix.EIO), mentions(err, "input/output error"):
		return failingDisk(dir, err)
	case isAny(err, fs.ErrPermission, unix.ENOTDIR),
		mentions(err, "permission denied", "operation not permitted"):
		return unwritable(dir, err)
	case isAny(err, bolterrors.ErrTimeout), mentions(err, "resource temporarily unavailable"):
		return inUse(dir, 0)
	case mentions(err, "invalid downgrade", "storage version is not supported", "cannot downgrade storage"),
		errors.Is(err, bolterrors.ErrVersionMismatch):
		return newer(dir, "of another version", ourVersion())
	case isAny(err, wal.ErrCRCMismatch, wal.ErrFileNotFound, wal.ErrMetadataConflict, wal.ErrSnapshotMismatch,
		wal.ErrSnapshotNotFound, wal.ErrSliceOutOfRange, wal.ErrDecoderNotFound, bolterrors.ErrInvalid, bolterrors.ErrChecksum),
		mentions(err, "wal", "crc", "corrupt", "failed to open database", "database file", "from snapshot",
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

func mentions(err error, phrases ...string) bool {
	text := strings.ToLower(err.Error())
	for _, phrase := range phrases {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}
