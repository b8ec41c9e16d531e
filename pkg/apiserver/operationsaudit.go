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
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration"
)

// GateAnnotation is set on events of refused requests: the stage of the request's path that refused.
const GateAnnotation = "audit." + v1alpha1.Domain + "/gate"

// decisionAnnotation is set by the library's authorization filter: allow or forbid.
const decisionAnnotation = "authorization.k8s.io/decision"

// The rotation of the audit log of operations: at most 1.1 GB in files of 100 MB, for 30 days at most.
const (
	operationsLogSize    = 100
	operationsLogBackups = 10
	operationsLogAge     = 30
)

// OperationsAudit is the audit of what users did and of what was refused.
type OperationsAudit struct {
	// File is the log, in a directory that exists.
	File string
	// Controllers are the users whose status writes are not recorded: the server's own controllers.
	Controllers []string
}

// ApplyOperationsAudit records writes, and refused requests with the stage that refused them, at level
// Metadata: without bodies, which contain secrets. It leaves out events, leases, reviews and the
// status writes of hosts, of controllers and of the server itself, which are many and say nothing of users.
func ApplyOperationsAudit(o OperationsAudit, options *genericoptions.AuditOptions, generic *genericapiserver.Config) error {
	log := *options
	log.LogOptions.Path = o.File
	log.LogOptions.MaxSize, log.LogOptions.MaxBackups, log.LogOptions.MaxAge = operationsLogSize, operationsLogBackups, operationsLogAge
	if err := applyAuditPolicy(&log, filepath.Dir(o.File), o.policy(), generic); err != nil {
		return err
	}
	generic.AuditBackend = operations{generic.AuditBackend}
	return nil
}

// policy returns the audit policy. It cannot tell reads that are refused from others: operations
// drops those that are not.
func (o OperationsAudit) policy() string {
	return `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*]
- level: None
  resources:
  - {group: "", resources: [events]}
  - {group: events.k8s.io}
  - {group: coordination.k8s.io}
  - {group: ` + v1alpha1.GroupName + `, resources: [hostleases]}
  - {group: authentication.k8s.io}
  - {group: authorization.k8s.io}
- level: None
  userGroups: ["` + v1alpha1.HostsGroup + `"]
  resources: [{group: ` + v1alpha1.GroupName + `, resources: ["*/status"]}]
- level: None
  users: [` + strings.Join(append([]string{user.APIServerUser}, o.Controllers...), ", ") + `]
  resources:
  - {group: "", resources: ["*/status"]}
  - {group: ` + v1alpha1.GroupName + `, resources: ["*/status"]}
  - {group: ` + flowcontrol.GroupName + `, resources: ["*/status"]}
  - {group: ` + storagemigration.GroupName + `, resources: ["*/status"]}
- level: Metadata
`
}

// operations passes on the events of writes and of refused requests.
type operations struct{ audit.Backend }

// ProcessEvents implements audit.Sink.
func (o operations) ProcessEvents(events ...*auditinternal.Event) bool {
	kept := make([]*auditinternal.Event, 0, len(events))
	for _, event := range events {
		if !isOperation(event) {
			continue
		}
		if gate := gateOf(event); gate != "" {
			event = withGate(event, gate)
		}
		kept = append(kept, event)
	}
	return len(kept) == 0 || o.Backend.ProcessEvents(kept...)
}

// reads are the verbs that change nothing.
var reads = []string{"get", "list", "watch", "head", "options"}

// isOperation reports whether an event is of a write or of a refused request. A read of what does not exist is
// no refusal, and those of the server itself say nothing of users. The library emits the
// stage ResponseStarted of a long-running request, which has another event at its end, and of a
// request that was not authenticated, which has no other one.
func isOperation(event *auditinternal.Event) bool {
	if event.Stage == auditinternal.StageResponseStarted {
		return code(event) == http.StatusUnauthorized
	}
	if !slices.Contains(reads, event.Verb) {
		return true
	}
	return code(event) >= http.StatusBadRequest && code(event) != http.StatusNotFound && event.User.Username != user.APIServerUser
}

func code(event *auditinternal.Event) int32 {
	if event.ResponseStatus == nil {
		return 0
	}
	return event.ResponseStatus.Code
}

// gateOf returns the stage that refused a request; empty if no stage did. It is derived from the code
// and from the decision of authorization, because a refusal does not name its stage otherwise.
func gateOf(event *auditinternal.Event) string {
	allowed := event.Annotations[decisionAnnotation] == "allow"
	switch code(event) {
	case http.StatusUnauthorized:
		return "authentication"
	case http.StatusForbidden:
		if allowed {
			return "admission"
		}
		return "authorization"
	case http.StatusTooManyRequests:
		if allowed {
			return "limits"
		}
		return "flow-control"
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		return "limits"
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return "validation"
	case http.StatusConflict, http.StatusInsufficientStorage:
		return "storage"
	}
	return ""
}

// withGate returns a copy of an event with the annotation; the caller of a sink reuses the event.
func withGate(event *auditinternal.Event, gate string) *auditinternal.Event {
	annotated := *event
	annotated.Annotations = maps.Clone(event.Annotations)
	if annotated.Annotations == nil {
		annotated.Annotations = map[string]string{}
	}
	annotated.Annotations[GateAnnotation] = gate
	return &annotated
}
