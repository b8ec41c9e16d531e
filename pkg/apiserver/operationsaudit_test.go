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

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
)

// collected is a backend that keeps its events.
type collected struct {
	audit.Backend
	events []*auditinternal.Event
}

func (c *collected) ProcessEvents(events ...*auditinternal.Event) bool {
	c.events = append(c.events, events...)
	return true
}

func TestTheAuditOfOperationsHasWritesAndRefusalsWithTheirGate(t *testing.T) {
	for _, test := range []struct {
		name     string
		verb     string
		stage    auditinternal.Stage
		code     int32
		decision string
		kept     bool
		gate     string
	}{
		{"a write", "create", auditinternal.StageResponseComplete, 201, "allow", true, ""},
		{"a deletion", "delete", auditinternal.StageResponseComplete, 200, "allow", true, ""},
		{"a read", "list", auditinternal.StageResponseComplete, 200, "allow", false, ""},
		{"a watch that begins", "watch", auditinternal.StageResponseStarted, 200, "allow", false, ""},
		{"a watch that ends", "watch", auditinternal.StageResponseComplete, 200, "allow", false, ""},
		{"a panic in a write", "update", auditinternal.StagePanic, 500, "allow", true, ""},
		{"a read of what does not exist", "get", auditinternal.StageResponseComplete, 404, "allow", false, ""},
		{"a deletion of what does not exist", "delete", auditinternal.StageResponseComplete, 404, "allow", true, ""},
		{"a read that fails", "get", auditinternal.StageResponseComplete, 500, "allow", true, ""},
		{"a request without valid credentials", "get", auditinternal.StageResponseStarted, 401, "", true, "authentication"},
		{"a read without the right", "get", auditinternal.StageResponseComplete, 403, "forbid", true, "authorization"},
		{"an impersonation without the right", "get", auditinternal.StageResponseComplete, 403, "", true, "authorization"},
		{"a write that a policy refuses", "create", auditinternal.StageResponseComplete, 403, "allow", true, "admission"},
		{"a request beyond a share of seats", "list", auditinternal.StageResponseComplete, 429, "", true, "flow-control"},
		{"a watch beyond the limit of a user", "watch", auditinternal.StageResponseComplete, 429, "allow", true, "limits"},
		{"a body that is too large", "create", auditinternal.StageResponseComplete, 413, "allow", true, "limits"},
		{"an invalid object", "create", auditinternal.StageResponseComplete, 422, "allow", true, "validation"},
		{"a conflict", "update", auditinternal.StageResponseComplete, 409, "allow", true, "storage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			event := &auditinternal.Event{Verb: test.verb, Stage: test.stage, ResponseStatus: &metav1.Status{Code: test.code}}
			if test.decision != "" {
				event.Annotations = map[string]string{decisionAnnotation: test.decision}
			}
			sink := &collected{}
			if !(operations{sink}).ProcessEvents(event) {
				t.Error("processing failed")
			}
			if kept := len(sink.events) == 1; kept != test.kept {
				t.Fatalf("kept %v, want %v", kept, test.kept)
			}
			if test.kept && sink.events[0].Annotations[GateAnnotation] != test.gate {
				t.Errorf("gate %q, want %q", sink.events[0].Annotations[GateAnnotation], test.gate)
			}
			if _, changed := event.Annotations[GateAnnotation]; changed {
				t.Error("the event of the caller was changed")
			}
		})
	}
	for verb, want := range map[string]int{"get": 0, "create": 1} {
		event := &auditinternal.Event{Verb: verb, ResponseStatus: &metav1.Status{Code: 500}}
		event.User.Username = user.APIServerUser
		sink := &collected{}
		if (operations{sink}).ProcessEvents(event); len(sink.events) != want {
			t.Errorf("%d events of a %s by the server itself, want %d", len(sink.events), verb, want)
		}
	}
	if !(operations{&collected{}}).ProcessEvents(&auditinternal.Event{Verb: "create"}) {
		t.Error("an event without a response failed")
	}
}
