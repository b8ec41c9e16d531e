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

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// Lock is a lock on a data directory. The kernel releases it when the process ends, however it
// ends, so a stale lock cannot exist.
type Lock struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// AcquireLock takes the lock at the path, in the directory that it protects, without waiting. If
// another process holds it, the error is a *Problem of reason InUse with the pid of that process.
// AcquireLock creates the directory if it is missing.
//
// The lock is taken before Start and released after Close: etcd waits for its own lock on the
// database without a limit and without a log message.
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
	// Never through a link: the lock file is truncated.
	file, err := files.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, untrustedOr(err, problemOf(dir, fmt.Errorf("cannot open the lock file: %w", err)))
	}
	if err := files.TryLock(file); err != nil {
		defer file.Close()
		if errors.Is(err, files.ErrLocked) {
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

// refuseForeign returns an error for a directory that other users can enter, that is not empty and
// has no lock file, such as the current directory: closing it to others would break another use.
func refuseForeign(dir, lockName string) error {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 == 0 {
		return nil // makePrivate handles it
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

// Release releases the lock. Further calls do nothing. The file stays: if it were removed, two
// processes could hold locks on two files of the same name.
func (l *Lock) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	// The pid of a process that has ended would mislead a reader of the file.
	truncateErr := file.Truncate(0)
	if err := errors.Join(truncateErr, file.Close()); err != nil {
		return fmt.Errorf("releasing the lock %s: %w", l.path, err)
	}
	return nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder returns the pid of the process that holds the lock, or 0 if it is unknown: the file is
// empty for a moment between taking the lock and writing the pid.
func holder(file *os.File) int {
	content := make([]byte, 32)
	n, _ := file.ReadAt(content, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content[:n])))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}
