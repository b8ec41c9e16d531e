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

package scheduler

import "container/heap"

// ordered is a heap from which any item can be removed.
type ordered[T any] struct {
	heap itemHeap[T]
}

// itemHeap implements heap.Interface; at returns where an item stores its index, -1 for none.
type itemHeap[T any] struct {
	items []T
	less  func(a, b T) bool
	at    func(T) *int
}

func newOrdered[T any](less func(a, b T) bool, at func(T) *int) ordered[T] {
	return ordered[T]{itemHeap[T]{less: less, at: at}}
}

func (o *ordered[T]) len() int { return len(o.heap.items) }

func (o *ordered[T]) first() T { return o.heap.items[0] }

func (o *ordered[T]) push(item T) { heap.Push(&o.heap, item) }

func (o *ordered[T]) pop() T { return heap.Pop(&o.heap).(T) }

func (o *ordered[T]) remove(item T) {
	if at := *o.heap.at(item); at >= 0 {
		heap.Remove(&o.heap, at)
	}
}

func (h *itemHeap[T]) Len() int           { return len(h.items) }
func (h *itemHeap[T]) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }

func (h *itemHeap[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.at(h.items[i]), *h.at(h.items[j]) = i, j
}

func (h *itemHeap[T]) Push(item any) {
	*h.at(item.(T)) = len(h.items)
	h.items = append(h.items, item.(T))
}

func (h *itemHeap[T]) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	*h.at(item) = -1
	return item
}
