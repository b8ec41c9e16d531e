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

import "go.etcd.io/etcd/server/v3/embed"

// defaultSnapshotCount and keptLogFiles bound the part of the log that a start has to read: etcd reads
// all of it that is on the disk, twice. With etcd's defaults of 10,000 writes and 5 files of 64 MB,
// the restart of a server after many writes reads 640 MB, and takes 0.8 s for 20,000 objects instead
// of 0.4 s. Fewer writes would mean more pauses to sync. etcd keeps a file that it still
// needs, in addition to that number.
const (
	defaultSnapshotCount = 5000
	keptLogFiles         = 1
	// keptEntries is the number of writes that the log in memory keeps, besides the up to 100 since the
	// last time that etcd cut it. They are for members that are late, of which there is none: with
	// etcd's default of 5,000, large objects occupy gigabytes.
	keptEntries = 100
)

// keepHistory configures the history that etcd keeps: snapshots and files of the log, and all revisions of
// the keys until the API server compacts them. etcd must not compact by itself.
func keepHistory(config *embed.Config, snapshotCount uint64) {
	config.SnapshotCount = snapshotCount
	config.SnapshotCatchUpEntries = keptEntries
	config.MaxWalFiles = keptLogFiles
	config.AutoCompactionRetention = "0"
}
