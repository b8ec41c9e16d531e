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

package delegation

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/readiness"
)

// HealthChecks returns a check for /readyz for each vital need. Other needs never fail a check: a
// server that can still serve reads must stay in service, or its whole API group would be missing
// in the cluster.
func (c *Checker) HealthChecks() []healthz.HealthChecker {
	var checks []healthz.HealthChecker
	for _, need := range c.needs {
		if need.Vital {
			checks = append(checks, healthz.NamedCheck("cluster-"+need.Name, func(*http.Request) error { return c.Missing(need.Name) }))
		}
	}
	return checks
}

// NotesPath is the path that a caller must be allowed to get in order to read the notes of
// WithNotes.
const NotesPath = "/readyz/cluster"

// WithNotes appends the missing needs to the response of /readyz?verbose, and for callers that
// may read them the reasons and consequences.
func (c *Checker) WithNotes(handler http.Handler, may func(*http.Request) bool) http.Handler {
	return readiness.WithNotes(handler, NotesPath, may, func() []readiness.Note {
		var notes []readiness.Note
		for _, need := range c.needs {
			if err := c.Missing(need.Name); err != nil {
				notes = append(notes, readiness.Note{Name: need.Name, Text: err.Error()})
			}
		}
		return notes
	})
}

// syncedOnce returns a check that passes permanently once every informer with a fulfilled need has
// synced: before that, writes would wait. Missing permissions do not keep the server from serving
// reads, and a permission that is granted later must not take the server out of service. The
// library's own check would wait forever.
func syncedOnce(synced map[string]cache.InformerSynced, missing func(need string) error) healthz.HealthChecker {
	var once atomic.Bool
	return healthz.NamedCheck("cluster-objects", func(*http.Request) error {
		if once.Load() {
			return nil
		}
		for need, hasSynced := range synced {
			if missing(need) == nil && !hasSynced() {
				return fmt.Errorf("%s have not been read yet", need)
			}
		}
		once.Store(true)
		return nil
	})
}
