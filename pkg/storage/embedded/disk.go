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

import "golang.org/x/sys/unix"

// Disk returns the free bytes of the disk of the data directory for this process. ok is false if they are unknown.
func (s *Server) Disk() (free int64, ok bool) {
	var disk unix.Statfs_t
	// File systems without a fixed size, such as some network ones, report 0 blocks.
	if err := unix.Statfs(s.dir, &disk); err != nil || disk.Blocks == 0 {
		return 0, false
	}
	return int64(disk.Bavail) * int64(disk.Bsize), true
}
