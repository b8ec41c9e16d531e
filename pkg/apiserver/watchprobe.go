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
	"context"
	"errors"
	"net"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/filters/impersonation"
	genericfeatures "k8s.io/apiserver/pkg/features"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
	"github.com/gatehouse-dev/gatehouse/pkg/watches"
)

var (
	errWatchExpired     error = &watches.End{Reason: diagnostics.WatchEndExpired, Text: "its time, its certificate or its token has come to an end"}
	errNotAuthenticated error = &watches.End{Reason: diagnostics.WatchEndIdentityRevoked, Text: "its credentials are not accepted any more"}
	errNotAuthorized    error = &watches.End{Reason: diagnostics.WatchEndAccessRevoked, Text: "its user may not watch this any more"}
)

// accessProbe returns the library's filters of impersonation and authorization around a handler that
// returns 200: the same filters check the request that opens a watch.
func accessProbe(config *genericapiserver.Config) http.Handler {
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	handler = genericapifilters.WithAuthorization(handler, config.Authorization.Authorizer, config.Serializer)
	if config.FeatureGate.Enabled(genericfeatures.ConstrainedImpersonation) {
		return impersonation.WithConstrainedImpersonation(handler, config.Authorization.Authorizer, config.Serializer)
	}
	return impersonation.WithImpersonation(handler, config.Authorization.Authorizer, config.Serializer)
}

// probeWriter records the code of a response.
type probeWriter struct {
	header http.Header
	code   int
}

// Header implements http.ResponseWriter.
func (w *probeWriter) Header() http.Header { return w.header }

// Write implements http.ResponseWriter.
func (w *probeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

// WriteHeader implements http.ResponseWriter.
func (w *probeWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
}

// isTransient reports whether the authenticator that accepted a watch failed without a decision: the
// cluster or the token webhook does not respond, or is busy. Failures of others do not count: the token of
// a removed issuer reaches the webhook, and the watch must end also while that does not respond. Without a
// name the failures of all count.
func isTransient(err error, by string) bool {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		switch inner := inner.(type) {
		case *origin.Error:
			if by != "" && inner.Name() != by {
				return false
			}
		case utilerrors.Aggregate:
			return slices.ContainsFunc(inner.Errors(), func(one error) bool { return isTransient(one, by) })
		}
	}
	var network net.Error
	var status apierrors.APIStatus
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &status) && (status.Status().Code >= http.StatusInternalServerError || status.Status().Code == http.StatusTooManyRequests)
}
