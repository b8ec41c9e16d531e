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
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestWhichReleasesAnEventEnqueues(t *testing.T) {
	old := made("a", owned)
	changed := func(changes ...change) *v1alpha1.Instance {
		i := old.DeepCopy()
		i.ResourceVersion = "2"
		for _, c := range changes {
			c(i)
		}
		return i
	}
	orphaned := func(i *v1alpha1.Instance) { i.OwnerReferences = nil }
	const atOnce, soon, never = "at once", "soon", "never"
	for _, tc := range []struct {
		name string
		when func(*world)
		want string
	}{
		{"an instance of its own shows up", func(w *world) { w.instanceAdded(old) }, atOnce},
		{"an orphan that it chooses shows up", func(w *world) { w.instanceAdded(made("b", labelled("web"))) }, atOnce},
		{"an orphan that it does not choose shows up", func(w *world) { w.instanceAdded(made("b", labelled("db"))) }, never},
		{"the first of several that are missing shows up", func(w *world) {
			w.expectations.Creating("web-uid")
			w.expectations.Created("web-uid", "a")
			w.expectations.Created("web-uid", "b")
			w.expectations.CreationsSent("web-uid")
			w.instanceAdded(old)
		}, soon},
		{"an instance of its own becomes ready", func(w *world) { w.instanceChanged(old, changed(readyFor(0))) }, soon},
		{"one ends", func(w *world) { w.instanceChanged(old, changed(in(v1alpha1.InstanceFailed))) }, atOnce},
		{"one gets other labels", func(w *world) { w.instanceChanged(old, changed(labelled("db"))) }, atOnce},
		{"one is orphaned", func(w *world) { w.instanceChanged(old, changed(orphaned)) }, atOnce},
		{"an orphan comes to be chosen", func(w *world) { w.instanceChanged(changed(orphaned, labelled("db")), changed(orphaned)) }, atOnce},
		{"an orphan that it chooses changes otherwise", func(w *world) { w.instanceChanged(changed(orphaned), changed(orphaned, readyFor(0))) }, never},
		{"one begins to go", func(w *world) { w.instanceChanged(old, changed(deleted)) }, atOnce},
		{"one is gone", func(w *world) { w.instanceGone(old) }, atOnce},
		{"an orphan is gone", func(w *world) { w.instanceGone(changed(orphaned)) }, never},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, web(100))
			later := &laterQueue{TypedRateLimitingInterface: w.queue}
			w.queue = later
			tc.when(w)
			got := never
			switch {
			case w.queue.Len() > 0:
				got = atOnce
			case slices.Equal(later.pauses, []time.Duration{500 * time.Millisecond}):
				got = soon
			case len(later.pauses) > 0:
				got = fmt.Sprint(later.pauses)
			}
			if got != tc.want {
				t.Errorf("looks again %s, want %s", got, tc.want)
			}
		})
	}
}
