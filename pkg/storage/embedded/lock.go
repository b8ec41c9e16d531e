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
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// Lock is a lock on a data directory. The kernel frees it when the process that holds it ends,
// however it ends, so a stale lock cannot exist.
type Lock struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// AcquireLock takes the lock at the path, in the directory that it protects, and never waits.
// When another process has it the error is a *Problem of reason InUse that names the process.
// The directory is created when it is missing.
//
// It comes before Start and is released after Close: etcd has a lock of its own on its database,
// and waits for that one without an end and without a word.
func AcquireLock(path string) (*Lock, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("the lock file %s has no absolute path: %w", path, err)
	}
	dir := filepath.Dir(path)
	if err := refuseForeign(dir, filepath.Base(path)); err != nil {
		return nil, err
	}
	if err := makePrivate(dir); err != nil {
		return nil, err
	}
	// Never through a link: what the lock file holds is cut off.
	file, err := files.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, untrustedOr(err, problemOf(dir, fmt.Errorf("cannot open the lock file: %w", err)))
	}
	if err := flock(file); err != nil {
		defer file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, inUse(dir, holder(file))
		}
		return nil, problemOf(dir, fmt.Errorf("cannot lock %s: %w", path, err))
	}
	if err := writeHolder(file); err != nil {
		defer file.Close()
		return nil, problemOf(dir, fmt.Errorf("cannot write the lock file: %w", err))
	}
	return &Lock{path: path, file: file}, nil
}

// refuseForeign keeps us from closing somebody else's directory to others: one that is open
// to them, holds something, and has never been locked by us, such as the one where the user
// happens to be.
func refuseForeign(dir, lockName string) error {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 == 0 {
		return nil // makePrivate deals with it
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return nil
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			return nil
		}
	}
	return fmt.Errorf("the data directory %s holds other things (%s among them) and other users can enter it: name a new or an empty directory, or close this one with chmod 700", dir, entries[0].Name())
}

// Release frees the lock. Releasing it again does nothing. The file stays: removing it would let
// two processes hold locks on two files of the same name.
func (l *Lock) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	// The number of a process that is gone would mislead whoever reads the file.
	truncateErr := file.Truncate(0)
	if err := errors.Join(truncateErr, file.Close()); err != nil {
		return fmt.Errorf("releasing the lock %s: %w", l.path, err)
	}
	return nil
}

func flock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads who has the lock, or 0 where that cannot be told: between taking the lock and
// writing the number there is a moment in which the file is empty.
func holder(file *os.File) int {
	content := make([]byte, 32)
	n, _ := file.ReadAt(content, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content[:n])))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}
