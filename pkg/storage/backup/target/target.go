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

// Package target has the places in which backups are kept: directories, and buckets of S3. Read Target.
package target

import (
	"context"
	"fmt"
)

// Target keeps files.
type Target interface {
	fmt.Stringer
	// Put stores the file at a path under a name. A file of this name is never overwritten. No other reader sees a part
	// of the file under the name, and it is on disk when Put returns. The source may be moved.
	Put(ctx context.Context, name, path string) error
	// List returns the files, also those that are no backups.
	List(ctx context.Context) ([]File, error)
	// Fetch copies a file to a path that does not exist.
	Fetch(ctx context.Context, name, path string) error
	// Delete deletes a file. A missing one is no error.
	Delete(ctx context.Context, name string) error
	// Sweep removes what a Put that was killed has left. No other Put may run meanwhile.
	Sweep() error
}

// File is a file of a target.
type File struct {
	Name  string
	Bytes int64
}
