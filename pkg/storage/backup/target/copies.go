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
	"io/fs"
	"path/filepath"
	"slices"
)

// CopyError is the error of a file that is in the directory of Copies and not in the other target.
type CopyError struct{ Err error }

// Error implements error.
func (e *CopyError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the other target.
func (e *CopyError) Unwrap() error { return e.Err }

// Copies keeps every file in a directory and in another target.
type Copies struct {
	Directory
	Other Target
}

var _ Target = Copies{}

// String implements fmt.Stringer.
func (c Copies) String() string { return fmt.Sprintf("%s and %s", c.Directory, c.Other) }

// Put implements Target. The error is a *CopyError if the file is in the directory.
func (c Copies) Put(ctx context.Context, name, path string) error {
	if err := c.Directory.Put(ctx, name, path); err != nil {
		return err
	}
	if err := c.Other.Put(ctx, name, filepath.Join(string(c.Directory), name)); err != nil {
		return &CopyError{fmt.Errorf("%s has the backup, and %s has not: %w", c.Directory, c.Other, err)}
	}
	return nil
}

// List implements Target. A file in both is listed once.
func (c Copies) List(ctx context.Context) ([]File, error) {
	found, err := c.Directory.List(ctx)
	if err != nil {
		return nil, err
	}
	others, err := c.Other.List(ctx)
	for _, file := range others {
		if !slices.ContainsFunc(found, func(f File) bool { return f.Name == file.Name }) {
			found = append(found, file)
		}
	}
	return found, err
}

// Fetch implements Target.
func (c Copies) Fetch(ctx context.Context, name, path string) error {
	err := c.Directory.Fetch(ctx, name, path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.Other.Fetch(ctx, name, path)
	}
	return err
}

// Delete implements Target.
func (c Copies) Delete(ctx context.Context, name string) error {
	return errors.Join(c.Directory.Delete(ctx, name), c.Other.Delete(ctx, name))
}
