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

package limits

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// reserve is the number of descriptors that clients cannot use, besides a part of the limit:
	// etcd's log and database, the log of the server, certificates that are read again,
	// connections to webhooks and to an external etcd. An idle server has about 25 open.
	reserve = 64
	// reservePart is that part of the limit.
	reservePart = 16
	// fewest is the least number of connections with which a server starts.
	fewest = 16
)

// MaxConnections returns the number of connections that clients may have, from the limit of open
// files of this process. Go has raised the soft limit to the hard one before main.
func MaxConnections() (int, error) {
	limit, err := openFilesLimit()
	if err != nil {
		return 0, err
	}
	return connectionsWithin(limit)
}

func connectionsWithin(limit uint64) (int, error) {
	const most = 1 << 20 // more than fits into memory, if there is no limit
	limit = min(limit, most)
	connections := int(limit) - reserve - int(limit)/reservePart
	if connections < fewest {
		return 0, fmt.Errorf("this process may have %d files open, and the server needs %d at least: raise the limit (ulimit -n, or LimitNOFILE of the service)", limit, least())
	}
	return connections, nil
}

// least returns the smallest limit with which a server starts.
func least() int { return (reserve + fewest) * reservePart / (reservePart - 1) }

func openFilesLimit() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("the limit of open files of this process cannot be read: %w", err)
	}
	return uint64(limit.Cur), nil // the conversion is for systems with a signed field
}

// openFiles returns the number of open descriptors of this process, or 0 if it is unknown.
func openFiles() int {
	for _, dir := range []string{"/proc/self/fd", "/dev/fd"} {
		if entries, err := os.ReadDir(dir); err == nil {
			return len(entries)
		}
	}
	return 0
}
