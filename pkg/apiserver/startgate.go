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
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"
)

// startRetrySeconds is the Retry-After of a request during the start. A start takes less than a
// second; client-go retries a 503 with this header.
const startRetrySeconds = 1

// startGate returns 503 with Retry-After for requests until all objects that authentication,
// authorization and admission read have been read once. Without it the first requests after a start
// would be decided from an incomplete state: users with valid roles would get a 403, which clients
// do not retry, and existing policies would not be applied.
//
// Health checks pass, and so does the server's own loopback client, because its identity and rights do not
// depend on stored objects.
type startGate struct {
	serializer    runtime.NegotiatedSerializer
	healthPaths   []string
	loopbackToken string
	// cures reports whether an administrator's request passes; see mayCure. It may be nil.
	cures func(*http.Request) bool

	open atomic.Bool
	// checks must each pass once. They are set before the server serves; a gate without
	// checks stays closed.
	checks []healthz.HealthChecker
}

// ready reports whether all checks have passed. After that the gate stays open: /readyz reports later
// failures, and each stage refuses requests that it cannot decide.
func (g *startGate) ready(r *http.Request) bool {
	if g.open.Load() {
		return true
	}
	if len(g.checks) == 0 {
		return false
	}
	for _, check := range g.checks {
		if err := check.Check(r); err != nil {
			klog.V(4).InfoS("Request refused during the start", "check", check.Name(), "reason", err)
			return false
		}
	}
	g.open.Store(true)
	return true
}

// passes reports whether the request is served although the gate is closed.
func (g *startGate) passes(r *http.Request) bool {
	if slices.Contains(g.healthPaths, r.URL.Path) {
		return true
	}
	if g.cures != nil && g.cures(r) {
		return true
	}
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return found && g.loopbackToken != "" && subtle.ConstantTimeCompare([]byte(token), []byte(g.loopbackToken)) == 1
}

// wrap adds the gate in front of the handler chain.
func (g *startGate) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.ready(r) || g.passes(r) {
			handler.ServeHTTP(w, r)
			return
		}
		err := apierrors.NewServiceUnavailable("the server is starting and has not read the roles and policies that decide about requests yet: try again in a second, or wait until /readyz answers 200")
		err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: startRetrySeconds}
		responsewriters.ErrorNegotiated(err, g.serializer, schema.GroupVersion{Version: "v1"}, w, r)
	})
}
