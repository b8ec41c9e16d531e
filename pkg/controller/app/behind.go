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
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// longestWait bounds the time for which an app waits for the cache: after a restore from a backup, versions are lower
// than those that were written before it.
const longestWait = 5 * time.Second

// writes remembers the version of each app that this controller wrote last. An older one in the cache is not
// reconciled: a write of its status would be a conflict. The event of the write enqueues the app.
type writes struct {
	lock sync.Mutex
	of   map[types.UID]write
}

type write struct {
	version string
	at      time.Time
}

// wrote remembers a version that was written.
func (w *writes) wrote(app *v1alpha1.App, now time.Time) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.of[app.UID] = write{app.ResourceVersion, now}
}

// wait returns the longest time to wait if an app of the cache is older than what was written.
func (w *writes) wait(app *v1alpha1.App, now time.Time) (time.Duration, bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	last, known := w.of[app.UID]
	if !known {
		return 0, false
	}
	order, err := resourceversion.CompareResourceVersion(last.version, app.ResourceVersion)
	if left := longestWait - now.Sub(last.at); err == nil && order > 0 && left > 0 {
		return left, true
	}
	delete(w.of, app.UID)
	return 0, false
}

func (w *writes) forget(app types.UID) {
	w.lock.Lock()
	defer w.lock.Unlock()
	delete(w.of, app)
}
