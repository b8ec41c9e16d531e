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

package boundinstances

import (
	"context"
	"sync"
)

// broadcaster wakes all waiting goroutines on a change. The zero value is ready for use.
type broadcaster struct {
	mu sync.Mutex
	// next is closed by the next change; nil while nothing waits.
	next chan struct{}
}

func (b *broadcaster) broadcast() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

func (b *broadcaster) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// waitFor evaluates a condition now and after each change, until it is met or the context ends.
func (b *broadcaster) waitFor(ctx context.Context, met func() bool) bool {
	for {
		// Taking the channel first ensures that a change after the evaluation is not missed.
		next := b.wait()
		if met() {
			return true
		}
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}
