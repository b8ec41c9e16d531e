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

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"
)

// LocalEndpoint returns the address of the embedded etcd of a data directory, and an empty string if no
// server on this machine runs one there.
func LocalEndpoint(dataDir string) (string, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", fmt.Errorf("--data-dir: %w", err)
	}
	socket := filepath.Join(dataDir, "etcd", "etcd.sock")
	// A server that was killed leaves its socket, of which a client would wait without end.
	probe, err := net.DialTimeout("unix", socket, dialTimeout)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("the embedded etcd of --data-dir=%s cannot be reached: %w: run the command as the user of the server", dataDir, err)
	}
	_ = probe.Close()
	return "unix://" + socket, nil
}
