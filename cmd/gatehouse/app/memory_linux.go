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

package app

import (
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// startHeap is the memory that a start takes from the kernel, rounded up.
const startHeap = 48 << 20

// hugeHeap is the part of the heap for which huge pages were asked: address and length.
type hugeHeap struct{ address, length uintptr }

// askForHugePages has the kernel hand out the memory of the start in pages of 2 MiB and not of
// 4 KiB. A start touches more than ten thousand of the latter, and where a page fault is dear,
// as in a virtual machine, they are most of its time. Where the system always does this
// (/sys/kernel/mm/transparent_hugepage/enabled says "always") nothing changes, and where it
// never does, neither.
//
// The heap grows by what is allocated here, of which nothing is touched and which the next
// collection frees for others. The kernel remembers the advice for the addresses.
func askForHugePages() hugeHeap {
	block := make([]byte, startHeap)
	_ = unix.Madvise(block, unix.MADV_HUGEPAGE) // advice: whoever does not take it is slower
	return hugeHeap{uintptr(unsafe.Pointer(unsafe.SliceData(block))), startHeap}
}

// giveBackStart gives back to the kernel what only the start needed: left to itself the runtime
// does so over minutes.
func giveBackStart(heap hugeHeap) {
	// Or the kernel would make huge pages again of what is given back in parts. Where the system
	// always has them, this part of the heap has none from here on.
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, heap.address, heap.length, unix.MADV_NOHUGEPAGE)
	debug.FreeOSMemory()
}
