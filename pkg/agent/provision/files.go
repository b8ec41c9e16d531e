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

package provision

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// dataLink is the link to the current directory of files. Its name begins with two dots, which
	// those of files do not.
	dataLink = "..data"
	// versionPrefix begins the names of directories of files.
	versionPrefix = "..version-"
)

// file is a file of a volume.
type file struct {
	data []byte
	mode fs.FileMode
}

// writeFiles makes the files the content of a directory that containers may have mounted. All change
// at once: each name is a link to ..data, a link to a directory of files, which a rename replaces.
// Programs that watch ..data, as for volumes of a kubelet, notice the change. Files with the same
// content stay.
func writeFiles(dir string, content map[string]file) error {
	if err := makeDir(dir, 0o755); err != nil {
		return err
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if old != "" && unchanged(filepath.Join(dir, old), content) {
		return nil
	}
	version, err := os.MkdirTemp(dir, versionPrefix+"*")
	if err != nil {
		return err
	}
	if err := fill(version, content); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	temporary := filepath.Join(dir, "..data-next")
	if err := errors.Join(removeFile(temporary), os.Symlink(filepath.Base(version), temporary), os.Rename(temporary, filepath.Join(dir, dataLink))); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	return linkNames(dir, filepath.Base(version), content)
}

// fill writes the files of a new directory.
func fill(version string, content map[string]file) error {
	if err := os.Chmod(version, 0o755); err != nil {
		return err
	}
	for name, f := range content {
		path := filepath.Join(version, filepath.FromSlash(name))
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("%q is not the name of a file in a volume", name)
		}
		for parent := filepath.Dir(filepath.FromSlash(name)); parent != "."; parent = filepath.Dir(parent) {
			if err := os.MkdirAll(filepath.Join(version, parent), 0o755); err != nil {
				return err
			}
			if err := os.Chmod(filepath.Join(version, parent), 0o755); err != nil { // whatever the umask
				return err
			}
		}
		if err := errors.Join(os.WriteFile(path, f.data, f.mode), os.Chmod(path, f.mode)); err != nil {
			return err
		}
	}
	return nil
}

// linkNames links the first segment of each name, and removes what is left of earlier content.
func linkNames(dir, version string, content map[string]file) error {
	names := map[string]bool{}
	for name := range content {
		first, _, _ := strings.Cut(name, "/")
		names[first] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case names[name]:
			delete(names, name) // it is there, and leads to the new files
		case name == dataLink || name == version:
		default:
			errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		errs = append(errs, os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// unchanged reports whether a directory has exactly these files.
func unchanged(version string, content map[string]file) bool {
	count := 0
	err := filepath.WalkDir(version, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		count++
		name, err := filepath.Rel(version, path)
		if err != nil {
			return err
		}
		want, found := content[filepath.ToSlash(name)]
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !found || info.Mode() != want.mode || !bytes.Equal(data, want.data) {
			return errors.Join(fs.ErrInvalid, err)
		}
		return nil
	})
	return err == nil && count == len(content)
}

// makeDir creates a directory with its parents, and sets its mode whatever the umask.
func makeDir(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(path, mode)
}
