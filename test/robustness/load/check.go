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

package load

import (
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/history"
	"github.com/gatehouse-dev/gatehouse/test/robustness/watches"
)

// decision bounds the search for an order of the operations on one key.
const decision = time.Minute

// Check checks what the clients have seen, with the objects that Final has returned. It returns the
// acknowledged writes that are lost, and all violations, lost writes included. Without final objects
// lost writes are unknown.
func (l *Load) Check(final map[string]watches.Object) (lost, violations []string) {
	operations := l.Recorder.All()
	objects := map[string]history.Operation{}
	for key, object := range final {
		objects[key] = history.Operation{Value: object.Value}
	}
	var writes []watches.Object
	for _, o := range operations {
		// The response to a delete has the version before it.
		if o.AcknowledgedWrite() && o.Kind != history.Delete {
			writes = append(writes, watches.Object{Key: o.Key, Value: o.Value, Basis: o.Basis, Revision: o.Revision})
		}
	}
	if final != nil {
		lost = history.Lost(operations, objects)
	}
	return lost, slices.Concat(lost, history.Check(operations, l.config.Rewrites, decision), watches.Check(l.Streams(), writes, l.config.Rewrites))
}
