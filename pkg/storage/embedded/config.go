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
	// defaultTickMs and defaultElectionMs are etcd's own. A shorter tick would only speed up the
	// election at start, and would cost CPU for as long as the member runs; elect makes a lone
	// member leader at once, whatever the tick is.
	defaultTickMs     = 100
	defaultElectionMs = 1000

	// DefaultQuotaBytes is the size of the database at which etcd refuses to grow further, and
	// the largest that etcd's documentation recommends. etcd's default of 2 GiB is too small for
	// 20,000 objects and their history between two compactions.
	DefaultQuotaBytes = 8 << 30

	// defaultMaxRequestBytes lets etcd store any object that the API server accepts: a body may
	// have 3 MiB, and managedFields are added after that check.
	defaultMaxRequestBytes = 8 << 20

	// defaultStartTimeout bounds Start. Reading a database at the quota from a slow disk takes
	// minutes and is no failure.
	defaultStartTimeout = 5 * time.Minute
)

// Config holds the directories of etcd and its settings. Only DataDir is required; the zero value
// of every other field selects its default.
type Config struct {
	// DataDir is the directory of etcd alone. Start creates it with mode 0700.
	DataDir string
	// SocketDir is the directory of the unix socket; empty means DataDir. If the path of the socket
	// would be too long for the kernel or has characters that a URL cannot carry, Start uses a
	// temporary directory, which Close removes.
	SocketDir string
	// TickMs and ElectionMs are the heartbeat and the election timeout in milliseconds. ElectionMs
	// must be at least five times TickMs.
	TickMs, ElectionMs uint
	// QuotaBackendBytes is the size that the database may grow to.
	QuotaBackendBytes int64
	// MaxRequestBytes is the largest request.
	MaxRequestBytes uint
	// SnapshotCount is the number of writes between two snapshots, from which the log is read.
	SnapshotCount uint64
	// StartTimeout bounds Start.
	StartTimeout time.Duration
	// PeerTLS has the files by which members authenticate each other. A lone member without it stays
	// alone: see Grow.
	PeerTLS *PeerTLS
	// Member makes this a member of a cluster; nil for a lone member.
	Member *Member
}

// completed is a Config with all fields set and absolute paths.
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
	if c.Member != nil {
		if err := c.Member.validate(c.PeerTLS); err != nil {
			return nil, err
		}
	}
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
