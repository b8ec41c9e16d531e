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

package startheap

import (
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// size is the memory that a start takes from the kernel, rounded up, in bytes.
const size = 48 << 20

// Heap is the part of the heap for which huge pages were requested: address and length.
type Heap struct{ address, length uintptr }

// Reserve makes the kernel back the memory of the start with pages of 2 MiB instead of 4 KiB. A
// start touches more than ten thousand of the latter, and if a page fault is expensive, as in
// a virtual machine, page faults take most of its time. Nothing changes if
// /sys/kernel/mm/transparent_hugepage/enabled is "always" or "never".
//
// Reserve grows the heap by an allocation that is never touched and that the next collection
// frees for other allocations. The kernel keeps the advice for the addresses.
func Reserve() Heap {
	block := make([]byte, size)
	_ = unix.Madvise(block, unix.MADV_HUGEPAGE) // advice only: without it the start is slower
	return Heap{uintptr(unsafe.Pointer(unsafe.SliceData(block))), size}
}

// Release returns to the kernel the memory that only the start needed. Without it the runtime
// does so over minutes.
func (h Heap) Release() {
	// Without this, the kernel would build huge pages again from memory that is returned in parts.
	// If huge pages are always on, this part of the heap has none from here on.
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, h.address, h.length, unix.MADV_NOHUGEPAGE)
	debug.FreeOSMemory()
}
