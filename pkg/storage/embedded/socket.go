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
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// maxSocketPath is the longest path of a unix socket: the kernel's field has 108 bytes, and the
// last one is zero.
const maxSocketPath = 107

const socketName = "etcd.sock"

// socket is the unix socket of etcd.
type socket struct {
	path string
	// temporary is the directory that remove deletes; empty if none was created.
	temporary string
}

// newSocket chooses a path in the wanted directory, or in a temporary one.
func newSocket(wanted string) (*socket, error) {
	if path := filepath.Join(wanted, socketName); fits(path) {
		if err := makePrivate(wanted); err != nil {
			return nil, err
		}
		return &socket{path: path}, nil
	}
	var failures []error
	// TMPDIR may itself be a long path, hence the second.
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(parent, "gatehouse-")
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if path := filepath.Join(dir, socketName); fits(path) {
			return &socket{path: path, temporary: dir}, nil
		}
		failures = append(failures, fmt.Errorf("%s is too long as well", dir), os.Remove(dir))
	}
	return nil, fmt.Errorf("no directory for the unix socket of etcd: %s is longer than %d bytes or has characters that a URL cannot carry, and there is no temporary directory (%w): choose a shorter data directory",
		filepath.Join(wanted, socketName), maxSocketPath, errors.Join(failures...))
}

// fits reports whether a path is short enough for a socket and needs no escaping in a URL: etcd's
// client and server interpret an escaped character in such a URL differently.
func fits(path string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+"
	return len(path) <= maxSocketPath && strings.Trim(path, plain) == ""
}

func (s *socket) url() url.URL { return url.URL{Scheme: "unix", Path: s.path} }

// endpoint returns the address for clients.
func (s *socket) endpoint() string { return "unix://" + s.path }

// remove deletes the remaining socket. etcd deletes it when it closes without an error.
func (s *socket) remove() error {
	err := os.Remove(s.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if s.temporary != "" {
		err = errors.Join(err, os.RemoveAll(s.temporary))
	}
	return err
}
