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

package prober

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// kind is a probe of a container.
type kind int

const (
	startup kind = iota
	liveness
	readiness
	kinds
)

func (k kind) String() string { return [...]string{"startup", "liveness", "readiness"}[k] }

// Result is the health of a container.
type Result struct {
	// Started and Ready are as in the status of a container.
	Started, Ready bool
	// Message explains why the container is not ready, or must stop. It changes only when the result
	// does.
	Message string
	// Stop is set once the liveness or the startup probe has failed: the container must stop.
	Stop bool
	// GraceSeconds is the grace period of that stop; nil for that of the instance.
	GraceSeconds *int64
}

// tracker counts the outcomes of the probes of one container.
type tracker struct {
	specs  [kinds]*v1alpha1.Probe
	result Result
	last   [kinds]bool
	run    [kinds]int32
}

// newTracker returns the health of a container before its first probe. A container that an earlier
// process of the agent reported keeps what was reported.
func newTracker(spec *v1alpha1.Container, before Result) *tracker {
	t := &tracker{specs: [kinds]*v1alpha1.Probe{spec.StartupProbe, spec.LivenessProbe, spec.ReadinessProbe}}
	t.result.Started = spec.StartupProbe == nil || before.Started
	t.result.Ready = t.result.Started && (spec.ReadinessProbe == nil || before.Ready)
	if !t.result.Ready {
		t.result.Message = "no probe has succeeded yet"
	}
	return t
}

// due reports whether a probe runs now: the others wait for the startup probe, which ends with its
// success, and none runs once the container must stop.
func (t *tracker) due(k kind) bool {
	switch {
	case t.specs[k] == nil || t.result.Stop:
		return false
	case k == startup:
		return !t.result.Started
	}
	return t.result.Started
}

// record counts an outcome, and reports whether the result has changed.
func (t *tracker) record(k kind, success bool, output string) (changed bool) {
	if !t.due(k) {
		return false // decided meanwhile
	}
	spec := t.specs[k]
	if t.last[k] == success {
		t.run[k]++
	} else {
		t.last[k], t.run[k] = success, 1
	}
	if success && t.run[k] < max(spec.SuccessThreshold, 1) || !success && t.run[k] < max(spec.FailureThreshold, 1) {
		return false
	}
	before := t.result
	switch {
	case success && k == startup:
		t.result.Started = true
		t.result.Ready = t.specs[readiness] == nil
		if t.result.Ready {
			t.result.Message = ""
		}
	case success && k == readiness:
		t.result.Ready, t.result.Message = true, ""
	case !success && k == readiness:
		if before.Ready || t.run[k] == max(spec.FailureThreshold, 1) {
			t.result.Message = fmt.Sprintf("%s probe failed: %s", k, output)
		}
		t.result.Ready = false
	case !success:
		t.result.Stop, t.result.GraceSeconds = true, spec.TerminationGracePeriodSeconds
		t.result.Ready, t.result.Message = false, fmt.Sprintf("%s probe failed: %s", k, output)
	}
	return t.result != before
}
