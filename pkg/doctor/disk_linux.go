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

package doctor

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Fsyncs implements Disk. The file has no name (O_TMPFILE), so the directory stays as it is, and the kernel frees the
// file when it is closed, however the process ends.
func (RealDisk) Fsyncs(ctx context.Context, dir string, n int) (times []time.Duration, err error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		return nil, errors.ErrUnsupported
	} else if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "fsync")
	defer file.Close()
	record := make([]byte, 2300) // about the record of an object in etcd's log
	for range n {
		if ctx.Err() != nil {
			return times, nil
		}
		began := time.Now()
		if _, err := file.Write(record); err != nil {
			return times, err
		}
		if err := unix.Fdatasync(fd); err != nil {
			return times, err
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}
