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
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// freshBytes is what etcd takes from the disk when it starts for the first time: it
	// reserves one file of its log and the next one, 64 MB each, and the database.
	freshBytes = 144 << 20
	// restartBytes is the least room for a restart. The files of the log are there already;
	// with less than this the database could not grow by a few writes, and etcd would start
	// only to end in the middle of one. It is small because a full disk is where people want
	// to start the server, to delete something.
	restartBytes = 16 << 20
)

// layout is where etcd keeps its files below the data directory.
type layout struct {
	root string
}

func (l layout) database() string { return filepath.Join(l.root, "member", "snap", "db") }
func (l layout) log() string      { return filepath.Join(l.root, "member", "wal") }

// hasLog tells whether etcd has written its log. It has, from the first start on: the log is
// made elsewhere and renamed into its place when it is whole.
func (l layout) hasLog() bool {
	files, err := filepath.Glob(filepath.Join(l.log(), "*.wal"))
	return err == nil && len(files) > 0
}

// prepareDirectory creates the data directory, closes it to other users, and proves that it can
// be written and has room. What it cannot prove it returns as a *Problem.
func prepareDirectory(root string) error {
	if err := makePrivate(root); err != nil {
		return err
	}
	for _, below := range []string{"member", filepath.Join("member", "snap"), filepath.Join("member", "wal")} {
		path := filepath.Join(root, below)
		err := files.Owned(path, true)
		if err == nil {
			err = closeToOthers(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return untrustedOr(err, problemOf(root, err))
		}
	}
	if err := ownedFiles(root); err != nil {
		return untrustedOr(err, problemOf(root, err))
	}
	if err := probe(root); err != nil {
		return problemOf(root, err)
	}
	return checkRoom(root)
}

// makePrivate makes sure that a directory exists and that only its owner can enter it. Data
// that was readable for others may hold secrets, so a directory that cannot be closed is refused.
//
// A directory that another user owns or can replace is refused: what is in it is believed.
func makePrivate(dir string) error {
	if err := files.MakeDirectory(dir); err != nil {
		return untrustedOr(err, problemOf(dir, err))
	}
	if err := closeToOthers(dir); err != nil {
		return problemOf(dir, err)
	}
	return nil
}

// untrustedOr is the error of pkg/files where there is one, since it names the cure, or else the
// other.
func untrustedOr(err, other error) error {
	if untrusted := (*files.UntrustedError)(nil); errors.As(err, &untrusted) {
		return untrusted
	}
	return other
}

// ownedFiles refuses files of the database that belong to another user or are links.
func ownedFiles(root string) error {
	for _, dir := range []string{filepath.Join("member", "snap"), filepath.Join("member", "wal")} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, entry := range entries {
			path := filepath.Join(root, dir, entry.Name())
			// etcd removes files that it no longer needs by renaming and deleting.
			if err := files.Owned(path, entry.IsDir()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func closeToOthers(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("it is open to other users and cannot be closed: %w", err)
	}
	return nil
}

// probe writes a page to the disk. Permissions alone do not tell: the file system may be
// read-only, over quota or full.
func probe(dir string) (err error) {
	file, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, file.Close(), os.Remove(file.Name()))
	}()
	_, err = file.Write(make([]byte, 4096))
	return err
}

func checkRoom(root string) error {
	needed := uint64(freshBytes)
	if (layout{root}).hasLog() {
		needed = restartBytes
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(root, &disk); err != nil {
		return problemOf(root, fmt.Errorf("cannot tell how much room it has: %w", err))
	}
	free := disk.Bavail * uint64(disk.Bsize)
	// File systems without an end, such as some network ones, say that they have no blocks.
	if disk.Blocks == 0 || free >= needed {
		return nil
	}
	return full(root, fmt.Errorf("%d MiB are free and etcd needs %d MiB to start", free>>20, needed>>20))
}
