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

package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// largest bounds what ReadFile reads, in bytes: keys, certificates and kubeconfigs are far below.
const largest = 4 << 20

// Open opens a file without following a symbolic link at its end, and refuses one that Owned
// refuses or that has a second name (a hard link), because its content may be that of another user. Nothing
// is truncated: O_TRUNC is not for it, because it would act before the checks.
func Open(path string, flag int, mode fs.FileMode) (*os.File, error) {
	// Without O_NONBLOCK the open of a pipe would wait for its other end.
	file, err := os.OpenFile(path, flag&^os.O_TRUNC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, mode)
	if err != nil {
		if isLink(path) {
			return nil, Owned(path, false)
		}
		return nil, err
	}
	if err := checkOpened(path, file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func checkOpened(path string, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := ownedInfo(path, info, false); err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return &UntrustedError{path, fmt.Sprintf("has %d names (hard links), so it may be another file of this machine: remove it, or copy it and put the copy in its place", stat.Nlink)}
	}
	return nil
}

// ReadFile reads a file as Open opens it, of at most 4 MiB.
func ReadFile(path string) ([]byte, error) {
	file, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, largest+1))
	if err == nil && len(data) > largest {
		err = fmt.Errorf("%s is larger than %d bytes: no certificate, key or kubeconfig is as large", path, largest)
	}
	return data, err
}

// WriteNew writes a file that does not exist yet, and does not return before its content is on
// disk. A file or a link of that name is an fs.ErrExist.
func WriteNew(path string, data []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	// The umask may have removed wanted bits.
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Replace replaces the file at the path by a rename: a reader sees the old file or the new one, and
// a link is replaced and not followed. A file with the same content and mode stays.
func Replace(path string, data []byte, mode fs.FileMode) error {
	if same(path, data, mode) {
		return nil
	}
	dir := filepath.Dir(path)
	// CreateTemp opens with O_EXCL and a name that cannot be guessed.
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return SyncDirectory(dir)
}

// RemoveLeftovers removes the temporary files of a Replace of the path that was killed. No other process may
// replace the file meanwhile.
func RemoveLeftovers(path string) error {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)+"-"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		random, found := strings.CutPrefix(entry.Name(), prefix)
		if _, err := strconv.ParseUint(random, 10, 64); !found || err != nil || !entry.Type().IsRegular() {
			continue
		}
		errs = append(errs, os.Remove(filepath.Join(dir, entry.Name())))
	}
	return errors.Join(errs...)
}

func same(path string, data []byte, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode || ownedInfo(path, info, false) != nil {
		return false
	}
	old, err := ReadFile(path)
	return err == nil && bytes.Equal(old, data)
}

// SyncDirectory makes renames in a directory survive a power cut.
func SyncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Given checks a file that an administrator has named, such as one of a mounted Secret: links are
// followed, but it must belong to the user of this process or to root, and no other user may write
// it. Directories above it are not checked.
func Given(path string) error {
	// Without O_NONBLOCK the open of a pipe would wait for its other end.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if uid := owner(info); !trusted(uid) {
		return &UntrustedError{path, fmt.Sprintf("belongs to %s, a user that can change it, and this process runs as %s: run \"chown %d %s\" if you trust what it holds", name(uid), name(os.Geteuid()), os.Geteuid(), path)}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if mode := info.Mode().Perm(); mode&0o002 != 0 || mode&0o020 != 0 && ok && !ownGroup(int(stat.Gid)) {
		return &UntrustedError{path, fmt.Sprintf("can be written by other users (mode %04o): run \"chmod go-w %s\"", mode, path)}
	}
	return nil
}
