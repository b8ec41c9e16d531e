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

package apiserver

import "sync"

const (
	// recheckWorkers bounds the number of watches of one authenticator that are checked concurrently.
	recheckWorkers = 4
	// recheckQueue bounds the number of watches of one authenticator that wait for a check. Others are due
	// again at the next tick.
	recheckQueue = 1024
)

// lanes check watches. Each authenticator, and each issuer of --authentication-config, has its own queue and
// workers, so a provider, a webhook or a cluster that does not respond delays the checks of its own users only.
type lanes struct {
	check   func(*openWatch)
	queues  map[string]chan *openWatch
	workers sync.WaitGroup
}

func newLanes(check func(*openWatch)) *lanes {
	return &lanes{check: check, queues: map[string]chan *openWatch{}}
}

// offer queues a watch, and reports whether there was space. It is not safe for concurrent use.
func (l *lanes) offer(o *openWatch) bool {
	queue, ok := l.queues[o.by]
	if !ok {
		queue = make(chan *openWatch, recheckQueue)
		l.queues[o.by] = queue
		for range recheckWorkers {
			l.workers.Go(func() {
				for o := range queue {
					l.check(o)
				}
			})
		}
	}
	select {
	case queue <- o:
		return true
	default:
		return false
	}
}

// close waits until the queued watches are checked.
func (l *lanes) close() {
	for _, queue := range l.queues {
		close(queue)
	}
	l.workers.Wait()
}
