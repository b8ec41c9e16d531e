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

package requestreview

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// AuditAnnotation is set on the audit event of a review: the user and the request that it is about.
const AuditAnnotation = diagnostics.GroupName + "/reviewed"

// Target is what a request asks for.
type Target struct {
	Verb string
	diagnostics.ReviewedResource
}

// Config has the inputs of REST.
type Config struct {
	// Run serves a request as a dry run of a user, and returns its trace, and the gate before which the
	// review has ended if it has. It returns an error if the request is not for the target. The review
	// ends before the gate endBefore: Decoding, Storage, or "" for none.
	Run func(r *http.Request, of user.Info, target Target, endBefore diagnostics.TraceStopName) (trace *diagnostics.RequestTrace, ended diagnostics.TraceStopName, err error)
	// Authorizer decides which users may review the requests of others, and which objects they may read.
	Authorizer authorizer.Authorizer
	// Explain adds the near misses of a refusal; nil for nothing.
	Explain func(ctx context.Context, trace *diagnostics.RequestTrace)
	// Behind is true if a kube-apiserver is in front of this server: it has gates of its own, and serves other
	// resources.
	Behind bool
}

// REST serves reviews.
type REST struct{ Config }

var (
	_ rest.Creater              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the endpoint.
func NewREST(c Config) (*REST, error) {
	if c.Run == nil || c.Authorizer == nil {
		return nil, errors.New("reviews need a server of requests and an authorizer")
	}
	return &REST{c}, nil
}

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &diagnostics.RequestReview{} }

// Destroy implements rest.Storage.
func (*REST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*REST) GetSingularName() string { return "requestreview" }

// Create returns the review with its status.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*diagnostics.RequestReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a RequestReview: %T", obj))
	}
	if errs := validate(&review.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(diagnostics.Kind("RequestReview"), review.Name, errs)
	}
	if createValidation != nil {
		if err := createValidation(ctx, review.DeepCopy()); err != nil {
			return nil, err
		}
	}
	caller, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewUnauthorized("only authenticated users may review requests")
	}
	of, err := r.reviewed(ctx, caller, review.Spec.User)
	if err != nil {
		return nil, err
	}
	out := review.DeepCopy()
	out.ManagedFields = nil
	if out.Status, err = r.run(ctx, caller, of, &out.Spec); err != nil {
		return nil, err
	}
	return out, nil
}

// reviewed returns the user of the request: the caller, or another one, whose requests the caller needs a right
// to review.
func (r *REST) reviewed(ctx context.Context, caller user.Info, of *diagnostics.ReviewedUser) (user.Info, error) {
	if of == nil {
		return caller, nil
	}
	attributes := authorizer.AttributesRecord{
		User: caller, Verb: v1alpha1.VerbReviewAll, APIGroup: diagnostics.GroupName, APIVersion: v1alpha1.SchemeGroupVersion.Version, Resource: v1alpha1.RequestReviews, ResourceRequest: true,
	}
	if !r.allows(ctx, attributes) {
		return nil, apierrors.NewForbidden(diagnostics.Resource(v1alpha1.RequestReviews), "", fmt.Errorf("user %q may review only its own requests, without spec.user: those of others need the verb %s, which the cluster role gatehouse:diagnostics has", caller.GetName(), v1alpha1.VerbReviewAll))
	}
	return impersonated(of), nil
}

func (r *REST) allows(ctx context.Context, attributes authorizer.Attributes) bool {
	decision, _, err := r.Authorizer.Authorize(ctx, attributes)
	return err == nil && decision == authorizer.DecisionAllow
}

func (r *REST) run(ctx context.Context, caller, of user.Info, spec *diagnostics.RequestReviewSpec) (diagnostics.RequestReviewStatus, error) {
	target := Target{spec.Verb, spec.Resource}
	endBefore, why := r.end(ctx, caller, spec)
	wanted, err := newRequest(ctx, spec)
	if err != nil {
		return diagnostics.RequestReviewStatus{}, apierrors.NewInternalError(err)
	}
	audit.AddAuditAnnotation(ctx, AuditAnnotation, fmt.Sprintf("user %q: %s", of.GetName(), describe(target)))
	trace, ended, err := r.Run(wanted, of, target, endBefore)
	if err != nil {
		return diagnostics.RequestReviewStatus{}, apierrors.NewBadRequest(fmt.Sprintf("spec.resource is not a resource of the API: %v", err))
	}
	if trace.Code == http.StatusNotFound && trace.Reason == "" {
		return diagnostics.RequestReviewStatus{}, r.notServed(spec)
	}
	if r.Explain != nil {
		r.Explain(ctx, trace)
	}
	if r.Behind {
		trace.Stops = slices.Insert(trace.Stops, 0, frontStop())
	}
	status := diagnostics.RequestReviewStatus{
		Server: trace.Server, User: trace.User, Verdict: trace.Verdict, Code: trace.Code, Reason: trace.Reason, DecidedBy: trace.DecidedBy, TimedOut: trace.TimedOut,
		Stops: trace.Stops, EndedBefore: ended, NearMisses: trace.NearMisses, Cure: trace.Cure,
	}
	status.User.ImpersonatedBy = ""
	if ended != "" {
		status.EndedFor = why
	}
	return status, nil
}

// notServed returns the error for a resource without a handler: the server has no gates for it.
func (r *REST) notServed(spec *diagnostics.RequestReviewSpec) error {
	at := spec.Resource
	text := fmt.Sprintf("this server serves no resource %q in %q, version %s", path.Join(at.Resource, at.Subresource), at.Group, at.Version)
	cure := "kubectl api-resources lists the resources with their versions"
	if r.Behind {
		cure = "it reviews requests for its own resources; for those of the cluster use kubectl auth can-i, and --dry-run=server"
	}
	return apierrors.NewBadRequest("spec.resource: " + text + ": " + cure)
}

// frontStop names the gates that a review does not ask, because another server has them.
func frontStop() diagnostics.TraceStop {
	return diagnostics.TraceStop{
		Stop: diagnostics.StopFlowControl, By: "kube-apiserver", Verdict: diagnostics.StopSkipped,
		Reason: "a review does not ask the kube-apiserver, whose authentication and flow control are before those of this server",
	}
}

// end returns the gate before which a review ends, and the reason. What the server says about an object that
// is stored may depend on its content: a patch with the operation "test", an apply that conflicts only
// if a value differs, and an immutable field would each let a caller guess it. So the object of another user's
// request is reached only if the caller may get it. A caller can make its own requests as dry runs anyway.
func (r *REST) end(ctx context.Context, caller user.Info, spec *diagnostics.RequestReviewSpec) (gate diagnostics.TraceStopName, why string) {
	switch spec.Verb {
	case "list", "watch":
		return diagnostics.StopStorage, "a review reads no lists and opens no watches"
	case "deletecollection":
		return diagnostics.StopDecoding, "a review does not ask the gates about each object of a collection"
	}
	if spec.User == nil {
		return "", ""
	}
	at := spec.Resource
	attributes := authorizer.AttributesRecord{
		User: caller, Verb: "get", Namespace: at.Namespace, APIGroup: at.Group, APIVersion: at.Version, Resource: at.Resource, Name: at.Name, ResourceRequest: true,
	}
	if r.allows(ctx, attributes) {
		return "", ""
	}
	// The name of a new object is in the body: only the right to get all of them counts.
	why = fmt.Sprintf("user %q may not get this object, and a review tells about objects only what its caller may read", caller.GetName())
	if spec.Verb == "get" || spec.Verb == "create" && at.Name == "" {
		return diagnostics.StopStorage, why
	}
	return diagnostics.StopDecoding, why
}
