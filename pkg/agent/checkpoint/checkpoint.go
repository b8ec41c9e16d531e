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

// Package checkpoint keeps the accepted instances of a host on its disk, a file each, so that the
// agent runs them without the server: also after a reboot.
package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	suffix = ".json"
	// reserveName is a file of reserveSize bytes that is given up when the disk is full: instances can then still
	// be saved.
	reserveName = "reserve"
	reserveSize = 1 << 20
	// fileMode: the environment variables of containers may be secrets.
	fileMode fs.FileMode = 0o600
)

// Directory is the checkpoint in a directory.
type Directory struct{ path string }

// Open creates the directory and reserves space in it.
func Open(path string) (*Directory, error) {
	if err := files.MakeDirectory(path); err != nil {
		return nil, err
	}
	d := &Directory{path: path}
	d.reserve()
	return d, nil
}

// reserve allocates the reserved space again. A full disk has none, which is no error.
func (d *Directory) reserve() {
	path := filepath.Join(d.path, reserveName)
	if info, err := os.Lstat(path); err == nil && info.Size() == reserveSize {
		return
	}
	if os.WriteFile(path, make([]byte, reserveSize), fileMode) != nil {
		_ = os.Remove(path)
	}
}

// file returns the file of an instance. A UID that is not a plain name is refused: it comes from the
// server.
func (d *Directory) file(uid types.UID) (string, error) {
	name := string(uid) + suffix
	if uid == "" || filepath.Base(name) != name || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is not the UID of an instance", uid)
	}
	return filepath.Join(d.path, name), nil
}

// Load returns the saved instances. It skips files that it cannot read, and returns an error for them.
func (d *Directory) Load() ([]*v1alpha1.Instance, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var instances []*v1alpha1.Instance
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(d.path, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			// A replacement that was interrupted: the file that it would have replaced is complete.
			errs = append(errs, os.Remove(path))
			continue
		}
		if !strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		instance, err := read(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		instances = append(instances, instance)
	}
	return instances, errors.Join(errs...)
}

func read(path string) (*v1alpha1.Instance, error) {
	data, err := files.ReadTrusted(path)
	if err != nil {
		return nil, err
	}
	instance := &v1alpha1.Instance{}
	if err := json.Unmarshal(data, instance); err != nil {
		return nil, err
	}
	if string(instance.UID)+suffix != filepath.Base(path) || instance.Name == "" || instance.Namespace == "" {
		return nil, errors.New("it is not the file of an instance: remove it")
	}
	return instance, nil
}

// Save stores an instance so that it survives a power failure.
func (d *Directory) Save(instance *v1alpha1.Instance) error {
	path, err := d.file(instance.UID)
	if err != nil {
		return err
	}
	data, err := json.Marshal(instance)
	if err != nil {
		return err
	}
	if err = files.Replace(path, data, fileMode); err == nil {
		return nil
	}
	if os.Remove(filepath.Join(d.path, reserveName)) != nil {
		return err
	}
	return files.Replace(path, data, fileMode)
}

// Remove removes an instance.
func (d *Directory) Remove(uid types.UID) error {
	path, err := d.file(uid)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	d.reserve()
	return files.SyncDirectory(d.path)
}
