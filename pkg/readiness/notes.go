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

package readiness

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Note describes a part of the server that does not work.
type Note struct {
	// Name names the part; every caller may read it.
	Name string
	// Text has the reason and the consequence.
	Text string
}

// WithNotes appends notes to the response of /readyz?verbose, with their texts for callers that may
// get the path. Nothing is served at the path; roles for monitoring, such as system:monitoring of
// Kubernetes, grant /readyz/*. The texts name addresses and permissions, and /readyz is open to
// callers without credentials. The library withholds the reason of a failed check from all callers.
func WithNotes(handler http.Handler, path string, may func(*http.Request) bool, notes func() []Note) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		if _, verbose := r.URL.Query()["verbose"]; r.URL.Path != "/readyz" || !verbose {
			return
		}
		found := notes()
		if len(found) == 0 {
			return
		}
		permitted := may(r)
		for _, note := range found {
			text := note.Text
			if !permitted {
				text = "reason withheld; it is in the log, and on this page for callers that may get " + path
			}
			_, _ = fmt.Fprintf(w, "[!]%s: %s\n", note.Name, text)
		}
	})
}

// MayGet authorizes a caller for the path.
func MayGet(access authorizer.Authorizer, path string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		caller, ok := request.UserFrom(r.Context())
		if !ok {
			return false
		}
		decision, _, err := access.Authorize(r.Context(), authorizer.AttributesRecord{User: caller, Verb: "get", Path: path})
		return err == nil && decision == authorizer.DecisionAllow
	}
}
