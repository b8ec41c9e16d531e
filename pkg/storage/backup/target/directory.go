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

package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// partialPrefix is the prefix of the names of files that are not complete.
const partialPrefix = ".partial-"

const fileMode = 0o600

// Directory is a directory that only this user, or root, can write.
type Directory string

var _ Target = Directory("")

// String implements fmt.Stringer.
func (d Directory) String() string { return string(d) }

// Put implements Target.
func (d Directory) Put(ctx context.Context, name, path string) error {
	if err := files.MakeDirectory(string(d)); err != nil {
		return err
	}
	final := filepath.Join(string(d), name)
	if _, err := os.Lstat(final); err == nil {
		return &fs.PathError{Op: "create", Path: final, Err: fs.ErrExist}
	}
	err := os.Rename(path, final)
	if errors.Is(err, syscall.EXDEV) {
		err = d.copyIn(ctx, final, path)
	}
	if err != nil {
		return err
	}
	return files.SyncDirectory(string(d))
}

// copyIn copies a file from another file system, and renames it when it is on disk.
func (d Directory) copyIn(ctx context.Context, final, path string) error {
	partial := filepath.Join(string(d), partialPrefix+filepath.Base(final))
	if err := copyFile(ctx, partial, path); err != nil {
		return errors.Join(err, removeIfThere(partial))
	}
	return os.Rename(partial, final)
}

// copyFile copies a file to a new one, which is on disk when copyFile returns.
func copyFile(ctx context.Context, to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return writeFile(ctx, to, source)
}

func writeFile(ctx context.Context, to string, source io.Reader) error {
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, stoppable{ctx, source})
	return errors.Join(err, file.Sync(), file.Close())
}

// stoppable ends with the context.
type stoppable struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.from.Read(p)
}

// List implements Target. A directory that does not exist is empty.
func (d Directory) List(context.Context) ([]File, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var found []File
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		} else if err != nil {
			return nil, err
		}
		found = append(found, File{entry.Name(), info.Size()})
	}
	return found, nil
}

// Fetch implements Target.
func (d Directory) Fetch(ctx context.Context, name, path string) error {
	return copyFile(ctx, path, filepath.Join(string(d), name))
}

// Delete implements Target.
func (d Directory) Delete(_ context.Context, name string) error {
	if filepath.Base(name) != name {
		return fmt.Errorf("%q is no name of a file", name)
	}
	return removeIfThere(filepath.Join(string(d), name))
}

// Sweep implements Target.
func (d Directory) Sweep() error {
	left, err := filepath.Glob(filepath.Join(string(d), partialPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range left {
		errs = append(errs, removeIfThere(path))
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
