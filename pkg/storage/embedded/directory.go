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
	// freshBytes is what etcd needs on the disk at its first start: it reserves two files of its
	// log, 64 MB each, and the database.
	freshBytes = 144 << 20
	// restartBytes is the minimum for a restart: the files of the log exist already. With less the
	// database could not grow by a few writes, and etcd would fail in the middle of one. It is
	// small so that the server can start on a full disk, to delete objects.
	restartBytes = 16 << 20
)

// layout returns the paths of etcd's files below the data directory.
type layout struct {
	root string
}

func (l layout) database() string { return filepath.Join(l.root, "member", "snap", "db") }
func (l layout) log() string      { return filepath.Join(l.root, "member", "wal") }

// hasLog reports whether etcd has written its log. etcd creates the log elsewhere at the first
// start and renames it into place when it is complete.
func (l layout) hasLog() bool {
	files, err := filepath.Glob(filepath.Join(l.log(), "*.wal"))
	return err == nil && len(files) > 0
}

// prepareDirectory creates the data directory, closes it to other users, and checks that it is
// writable and has free space. It returns a *Problem if not, and an *files.UntrustedError if
// another user could have written it.
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

// makePrivate creates a directory if needed and closes it to other users. It refuses a directory
// that it cannot close, because the data holds secrets, and one that another user owns or can
// replace, because the server trusts its content.
func makePrivate(dir string) error {
	if err := files.MakeDirectory(dir); err != nil {
		return untrustedOr(err, problemOf(dir, err))
	}
	if err := closeToOthers(dir); err != nil {
		return problemOf(dir, err)
	}
	return nil
}

// untrustedOr returns the error of pkg/files if there is one, because it names the cure, and the
// other error otherwise.
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
			// etcd renames and deletes files that it no longer needs, so one may be gone by now.
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

// probe writes a page to the disk. Permissions are not enough: the file system may be read-only,
// over quota or full.
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
		return problemOf(root, fmt.Errorf("its free space cannot be determined: %w", err))
	}
	free := disk.Bavail * uint64(disk.Bsize)
	// File systems without a fixed size, such as some network ones, report 0 blocks.
	if disk.Blocks == 0 || free >= needed {
		return nil
	}
	return full(root, fmt.Errorf("%d MiB are free and etcd needs %d MiB to start", free>>20, needed>>20))
}
