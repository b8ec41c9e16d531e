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
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"

	diagnosticsapi "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/requestreview"
)

// reviews serves the requests of reviews through a second handler chain, which no listener has: with the same
// filters and the same endpoints as the first, so that a review and a request cannot differ, but without
// authentication, the audit log and seats of flow control.
type reviews struct {
	*traced
	// Set when the handler chain is built.
	chain    http.Handler
	resolver request.RequestInfoResolver
}

// newReviews returns reviews with the recorder, whatever requests it keeps.
func newReviews(t *traced) *reviews { return &reviews{traced: &traced{recorder: t.recorder}} }

// storage has the inputs of the storage of reviews.
func (v *reviews) storage(c *Config) requestreview.Config {
	return requestreview.Config{Run: v.run, Authorizer: c.Generic.Authorization.Authorizer, Explain: c.Traces.Explain, Behind: c.Builtins == nil}
}

// configOf returns the configuration of the chain.
func (v *reviews) configOf(c *genericapiserver.Config) *genericapiserver.Config {
	v.resolver = c.RequestInfoResolver
	config := *v.config(c)
	config.Authentication.Authenticator = authenticator.RequestFunc(diagnostics.AuthenticateReview)
	// The log is about requests that users have sent.
	config.AuditBackend, config.AuditPolicyRuleEvaluator = nil, nil
	return &config
}

// gates are the gates before which a review can end.
var gates = map[diagnosticsapi.TraceStopName]diagnostics.Gate{
	"": diagnostics.Start, diagnosticsapi.StopDecoding: diagnostics.Decoding, diagnosticsapi.StopStorage: diagnostics.Storage,
}

// run implements requestreview.Config.Run.
func (v *reviews) run(r *http.Request, of user.Info, want requestreview.Target, endBefore diagnosticsapi.TraceStopName) (*diagnosticsapi.RequestTrace, diagnosticsapi.TraceStopName, error) {
	gate, ok := gates[endBefore]
	if !ok || v.chain == nil {
		return nil, "", fmt.Errorf("a review cannot end before %q", endBefore)
	}
	if diagnostics.From(r.Context()).Reviewed() {
		return nil, "", errors.New("a review of a review is not possible")
	}
	info, err := v.resolver.NewRequestInfo(r)
	if err != nil {
		return nil, "", err
	}
	if got := targetOf(info); got != want {
		return nil, "", fmt.Errorf("the request %s %s is %+v", r.Method, r.URL.Path, got)
	}
	trace, ended := v.recorder.Review(v.chain, r, diagnostics.Review{User: of, EndBefore: gate})
	return trace, ended, nil
}

// targetOf returns what a request asks for. A namespace is in itself.
func targetOf(info *request.RequestInfo) requestreview.Target {
	target := requestreview.Target{Verb: info.Verb, ReviewedResource: diagnosticsapi.ReviewedResource{
		Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource, Subresource: info.Subresource, Namespace: info.Namespace, Name: info.Name,
	}}
	if info.APIGroup == "" && info.Resource == "namespaces" {
		target.Namespace = ""
	}
	return target
}
