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
// every response, and then proves that no acknowledged write is lost. It prints a table of
// what clients observed, for how long, and what recovered without help.
//
//	make bench-faults
//	go run ./test/faults -only full-disk,slow-disk
//
// It needs Linux, and root for the faults of disks and of memory: file systems of loop devices
// in a separate mount namespace, strace, which makes system calls of the server fail or delays
// them, and a cgroup. Faults that the machine cannot run are skipped with
// the reason. It exits with 1 if a write was lost or a read was wrong.
//
// Read faults.go for the faults, and model.go for the proof.
package main
