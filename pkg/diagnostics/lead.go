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

package diagnostics

import (
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// pluginAddition begins the addition of the admission chain to the message of a refusal.
const pluginAddition = "(admission plugin "

// lead adds the gate that refused and the way to the trace to the message of a refusal. Callers
// without credentials get only the way: they cannot read the trace, and learn nothing of the gates. It
// returns false for any other response, which stays as it is.
func (r *Record) lead(status *metav1.Status) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hidden || r.verdict != diagnostics.VerdictRefused {
		return false
	}
	way := "why: kubectl gatehouse why " + diagnostics.ShortID(r.id)
	gate := r.gateText()
	if r.code == http.StatusUnauthorized || r.user().name == "" || slices.Contains(r.user().groups, user.AllUnauthenticated) {
		gate = ""
	}
	status.Message = led(status.Message, gate, way)
	// For a 422, kubectl prints only the causes.
	if status.Reason == metav1.StatusReasonInvalid && status.Details != nil && len(status.Details.Causes) > 0 {
		last := &status.Details.Causes[len(status.Details.Causes)-1]
		last.Message = led(last.Message, gate, way)
	}
	return true
}

// led adds to a message, inside of the parentheses of the admission chain where they are.
func led(message, gate, way string) string {
	message = strings.TrimRight(message, ". \n")
	if strings.HasSuffix(message, ")") && strings.Contains(message, pluginAddition) {
		return strings.TrimSuffix(message, ")") + "; " + way + ")"
	}
	if gate != "" {
		gate += "; "
	}
	return message + " (" + gate + way + ")"
}

// gateText returns the gate that decided, in words.
func (r *Record) gateText() string {
	by := r.by
	switch r.decision {
	case Start:
		return "start of the server"
	case Authentication:
		return "authentication"
	case Impersonation:
		return "impersonation"
	case FlowControl:
		text := named("flow schema", by)
		r.edit(FlowControl, by, func(stop *Stop) { text += seatsText(stop, r.user().name) })
		return text
	case Authorization:
		return named("authorizer", by)
	case Limits:
		return "limits"
	case Decoding:
		return "reading the request"
	case MutatingAdmission, ValidatingAdmission:
		return named("admission", by)
	case Validation:
		return "validation"
	}
	return "storage" + r.conflictText()
}

func named(what, by string) string {
	if by == "" {
		return what
	}
	return what + " " + by
}
