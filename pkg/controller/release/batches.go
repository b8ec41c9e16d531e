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

package release

import (
	"sync"
	"sync/atomic"
)

// FirstBatch is the number of instances in the first batch.
const FirstBatch = 1

// SlowStart calls do count times, in concurrent batches: the first has the given size, each further
// one is twice as large, and a batch with a failure is the last. What fails for one instance, such
// as a quota, mostly fails for all: a thousand refusals would only be a thousand events. It returns
// the number of successes, and the first failure.
func SlowStart(count, first int, do func() error) (int, error) {
	succeeded := 0
	for batch := min(first, count); batch > 0; batch = min(2*batch, count-succeeded) {
		var failures atomic.Int64
		var failure error
		var once sync.Once
		var wg sync.WaitGroup
		for range batch {
			wg.Go(func() {
				if err := do(); err != nil {
					failures.Add(1)
					once.Do(func() { failure = err })
				}
			})
		}
		wg.Wait()
		succeeded += batch - int(failures.Load())
		if failure != nil {
			return succeeded, failure
		}
	}
	return succeeded, nil
}
