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

package resourcequota

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// announcedFor bounds the time from the admission of a quota's creation until the informer has the quota. It
// matters only for a creation that fails afterwards.
const announcedFor = 10 * time.Second

// announcements are the quotas whose creation this server has admitted and that its informer may not have yet.
// Without them a create right after that of the namespace's quota is not charged: the watch of quotas is
// milliseconds behind, or more on a busy server.
type announcements struct {
	mu          sync.Mutex
	byNamespace map[string][]announcement
}

type announcement struct {
	name    string
	uid     types.UID
	expires time.Time
}

func (a *announcements) add(namespace, name string, uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byNamespace == nil {
		a.byNamespace = map[string][]announcement{}
	}
	now := time.Now()
	for other := range a.byNamespace {
		a.keep(other, func(known announcement) bool { return now.Before(known.expires) })
	}
	a.byNamespace[namespace] = append(a.byNamespace[namespace], announcement{name, uid, now.Add(announcedFor)})
}

// in returns the announcements of a namespace that have not expired.
func (a *announcements) in(namespace string) []announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.keep(namespace, func(known announcement) bool { return now.Before(known.expires) })
	return slices.Clone(a.byNamespace[namespace])
}

func (a *announcements) drop(namespace string, uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(namespace, func(known announcement) bool { return known.uid != uid })
}

func (a *announcements) keep(namespace string, f func(announcement) bool) {
	if len(a.byNamespace[namespace]) == 0 {
		return
	}
	kept := slices.DeleteFunc(a.byNamespace[namespace], func(known announcement) bool { return !f(known) })
	if a.byNamespace[namespace] = kept; len(kept) == 0 {
		delete(a.byNamespace, namespace)
	}
}
