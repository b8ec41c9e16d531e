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
	"path/filepath"
	"time"
)

const (
	// defaultTickMs and defaultElectionMs are etcd's own. A short tick would only buy a fast
	// election at start, and at a price for all time after it; see elect for how a lone member
	// gets elected at once whatever the tick is.
	defaultTickMs     = 100
	defaultElectionMs = 1000

	// DefaultQuotaBytes is the size of the database at which etcd refuses to grow further, and
	// the largest that etcd's authors recommend. Their default of 2 GiB is too small for what
	// an API server of 20,000 objects and its history can reach between two compactions.
	DefaultQuotaBytes = 8 << 30

	// defaultMaxRequestBytes lets etcd take any object that the API server takes: its limit for
	// a body is 3 MiB, and managedFields are added after that is checked.
	defaultMaxRequestBytes = 8 << 20

	// defaultSnapshotCount and keptLogFiles bound how much of the log a start has to read: etcd
	// reads all of it that is on the disk, twice. With etcd's 10,000 writes and 5 files of
	// 64 MB a restart of a server that has taken many writes reads 640 MB, and takes 0.8 s for
	// 20,000 objects where these take 0.4 s. Fewer writes would mean more pauses to sync. A
	// file that is still needed is kept whatever the number.
	defaultSnapshotCount = 5000
	keptLogFiles         = 1

	// defaultStartTimeout bounds a start that makes no progress. Reading a database at the
	// quota from a slow disk takes minutes and is no failure.
	defaultStartTimeout = 5 * time.Minute
)

// Config says where etcd keeps its data and how it behaves. Only DataDir is required; the zero
// value of every other field means its default.
type Config struct {
	// DataDir is the directory for etcd and nothing else. It is created with mode 0700.
	DataDir string
	// SocketDir is the directory for the unix socket; DataDir when empty. Where the path of the
	// socket would be too long for the kernel, or has characters that a URL cannot carry, a
	// temporary directory takes its place and Close removes it.
	SocketDir string
	// TickMs and ElectionMs are the heartbeat and the election timeout in milliseconds. The
	// second must be five times the first or more.
	TickMs, ElectionMs uint
	// QuotaBackendBytes is the size that the database may grow to.
	QuotaBackendBytes int64
	// MaxRequestBytes is the largest request.
	MaxRequestBytes uint
	// SnapshotCount is the number of writes between two points from which the log can be read.
	SnapshotCount uint64
	// StartTimeout bounds Start.
	StartTimeout time.Duration
}

// completed is a Config whose every field is set and whose paths are absolute.
type completed struct {
	Config
}

func (c Config) complete() (*completed, error) {
	if c.DataDir == "" {
		return nil, errors.New("embedded etcd needs a data directory: set DataDir")
	}
	var err error
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return nil, fmt.Errorf("the data directory %s has no absolute path: %w", c.DataDir, err)
	}
	if c.SocketDir == "" {
		c.SocketDir = c.DataDir
	}
	if c.SocketDir, err = filepath.Abs(c.SocketDir); err != nil {
		return nil, fmt.Errorf("the socket directory %s has no absolute path: %w", c.SocketDir, err)
	}
	setDefault(&c.TickMs, defaultTickMs)
	setDefault(&c.ElectionMs, defaultElectionMs)
	setDefault(&c.QuotaBackendBytes, DefaultQuotaBytes)
	setDefault(&c.MaxRequestBytes, defaultMaxRequestBytes)
	setDefault(&c.SnapshotCount, defaultSnapshotCount)
	setDefault(&c.StartTimeout, defaultStartTimeout)
	if c.ElectionMs < 5*c.TickMs {
		return nil, fmt.Errorf("an election timeout of %d ms is too short for a heartbeat of %d ms: make it %d ms or more", c.ElectionMs, c.TickMs, 5*c.TickMs)
	}
	return &completed{Config: c}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
