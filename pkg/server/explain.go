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

package server

import (
	"context"
	"slices"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	recorded "github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// explainRoles returns a function that adds to the trace of a request which no role allowed what came
// closest, and the command that would allow it.
func explainRoles(roles *rbac.Escalation, namespaces corelisters.NamespaceLister) func(context.Context, *diagnostics.RequestTrace) {
	return func(ctx context.Context, trace *diagnostics.RequestTrace) {
		if d := trace.DecidedBy; d == nil || d.Stop != diagnostics.StopAuthorization || trace.User.Username == "" || denied(trace) {
			return
		}
		of := &user.DefaultInfo{Name: trace.User.Username, UID: trace.User.UID, Groups: trace.User.Groups}
		r := trace.Request
		attributes := authorizer.AttributesRecord{
			User: of, Verb: r.Verb, Namespace: r.Namespace, APIGroup: r.APIGroup, APIVersion: r.APIVersion, Resource: r.Resource, Subresource: r.Subresource,
			Name: r.Name, Path: r.Path, ResourceRequest: r.Resource != "",
		}
		for _, miss := range roles.NearMisses(of, attributes) {
			trace.NearMisses = append(trace.NearMisses, diagnostics.NearMiss{
				Binding: diagnostics.TracedObject(miss.Binding), Role: diagnostics.TracedObject(miss.Role), RoleMissing: miss.RoleMissing, Rule: miss.Rule, Misfits: miss.Misfits,
			})
		}
		if r.Namespace != "" {
			if _, err := namespaces.Get(r.Namespace); err != nil {
				return // a namespace that does not exist has no bindings
			}
		}
		trace.Cure = roles.Cure(ctx, of, attributes)
	}
}

// explainDelegated names the place of the roles that did not allow the request of a trace: the cluster has them, so
// that this server knows no near misses.
func explainDelegated(_ context.Context, trace *diagnostics.RequestTrace) {
	for i := range trace.Stops {
		stop := &trace.Stops[i]
		if stop.Stop == diagnostics.StopAuthorization && stop.Verdict == diagnostics.StopRefused && stop.Reason == recorded.ReasonNotAllowed {
			stop.Reason += "; the cluster has the roles: kubectl auth can-i --list shows what they allow, with --as for another user"
		}
	}
}

// denied reports whether an authorizer denied the request or failed: no role changes its decision.
func denied(trace *diagnostics.RequestTrace) bool {
	return slices.ContainsFunc(trace.Stops, func(stop diagnostics.TraceStop) bool {
		return stop.Stop == diagnostics.StopAuthorization && stop.Verdict == diagnostics.StopRefused && stop.Reason != recorded.ReasonNotAllowed
	})
}
