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

// Command faults runs the real server under faults of the machine, with clients that record
// every answer, and proves afterwards that no acknowledged write is lost. It prints a table of
// what clients saw, for how long, and what recovered by itself.
//
//	make bench-faults
//	go run ./test/faults -only full-disk,slow-disk
//
// It needs Linux, and root for the faults of disks and of memory: file systems of loop devices,
// which are mounted in a mount namespace of its own, strace, which has the kernel answer system
// calls of the server with errors or late, and a cgroup. What the machine lacks is skipped with
// the reason. It exits with 1 where a write was lost or a read was wrong.
//
// Read faults.go for the faults, and model.go for what is proved.
package main
