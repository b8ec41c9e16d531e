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

package authorization

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/authorization/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// NewStorage builds the endpoints of the group, by version and path. may decides about
// requests, and so about these questions; rules lists what a user may.
func NewStorage(may authorizer.Authorizer, rules authorizer.RuleResolver) (map[string]map[string]rest.Storage, error) {
	if may == nil || rules == nil {
		return nil, errors.New("questions about what somebody may need an authorizer and the rules")
	}
	return map[string]map[string]rest.Storage{
		authorizationv1.SchemeGroupVersion.Version: {
			"subjectaccessreviews": &accessREST{may: may, kind: "SubjectAccessReview", singular: "subjectaccessreview",
				new: func() runtime.Object { return &authorizationv1.SubjectAccessReview{} }, ask: askAboutSubject},
			"localsubjectaccessreviews": &localREST{accessREST{may: may, kind: "LocalSubjectAccessReview", singular: "localsubjectaccessreview",
				new: func() runtime.Object { return &authorizationv1.LocalSubjectAccessReview{} }, ask: askAboutLocalSubject}},
			"selfsubjectaccessreviews": &accessREST{may: may, kind: "SelfSubjectAccessReview", singular: "selfsubjectaccessreview",
				new: func() runtime.Object { return &authorizationv1.SelfSubjectAccessReview{} }, ask: askAboutCaller},
			"selfsubjectrulesreviews": &rulesREST{rules: rules},
		},
	}, nil
}

// question is a review, read; nothing but errs where it is not valid, because reading what is
// too large costs as much as answering it.
type question struct {
	attributes authorizer.AttributesRecord
	status     *authorizationv1.SubjectAccessReviewStatus
	errs       field.ErrorList
}

// accessREST answers one of the three kinds that ask about one request.
type accessREST struct {
	may            authorizer.Authorizer
	kind, singular string
	new            func() runtime.Object
	// ask reads the review, which is of the type that new makes.
	ask func(ctx context.Context, obj runtime.Object) (question, error)
}

var (
	_ rest.Creater              = &accessREST{}
	_ rest.Scoper               = &accessREST{}
	_ rest.SingularNameProvider = &accessREST{}
)

// New makes an empty review.
func (r *accessREST) New() runtime.Object { return r.new() }

// Destroy does nothing: nothing is stored.
func (*accessREST) Destroy() {}

// NamespaceScoped is false.
func (*accessREST) NamespaceScoped() bool { return false }

// GetSingularName is the singular name.
func (r *accessREST) GetSingularName() string { return r.singular }

// Create answers with the review and its status. An authorizer that fails has not allowed
// anything, and the status says so.
func (r *accessREST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	q, err := r.ask(ctx, obj)
	if err != nil {
		return nil, err
	}
	if len(q.errs) > 0 {
		return nil, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind(r.kind).GroupKind(), "", base.CutErrors(q.errs))
	}
	if createValidation != nil {
		if err := createValidation(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	decision, reason, err := r.may.Authorize(ctx, q.attributes)
	*q.status = authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	q.status.EvaluationError = evaluationError(err, q.attributes)
	return obj, nil
}

// evaluationError tells what stood in the way of an answer: an authorizer that failed, and
// selectors that could not be read, without which more was asked about than was meant.
func evaluationError(err error, a authorizer.AttributesRecord) string {
	var parts []string
	if err != nil {
		parts = append(parts, err.Error())
	}
	for _, selector := range []struct {
		name string
		left int
		err  error
	}{
		{"fieldSelector", len(a.FieldSelectorRequirements), a.FieldSelectorParsingErr},
		{"labelSelector", len(a.LabelSelectorRequirements), a.LabelSelectorParsingErr},
	} {
		how := "ignored"
		if selector.left > 0 {
			how = "partially ignored"
		}
		if selector.err != nil {
			parts = append(parts, fmt.Sprintf("spec.resourceAttributes.%s %s due to parse error: %v", selector.name, how, selector.err))
		}
	}
	return strings.Join(parts, "; ")
}

// localREST is asked within a namespace.
type localREST struct{ accessREST }

// NamespaceScoped is true.
func (*localREST) NamespaceScoped() bool { return true }

func askAboutSubject(_ context.Context, obj runtime.Object) (question, error) {
	review, ok := obj.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return question{}, apierrors.NewBadRequest("not a SubjectAccessReview")
	}
	if errs := validation.ValidateSubjectAccessReview(review); len(errs) > 0 {
		return question{errs: errs}, nil
	}
	return question{attributes: attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), status: &review.Status}, nil
}

func askAboutLocalSubject(ctx context.Context, obj runtime.Object) (question, error) {
	review, ok := obj.(*authorizationv1.LocalSubjectAccessReview)
	if !ok {
		return question{}, apierrors.NewBadRequest("not a LocalSubjectAccessReview")
	}
	if namespace := request.NamespaceValue(ctx); namespace != review.Namespace {
		return question{}, apierrors.NewBadRequest("spec.resourceAttributes.namespace must be the namespace of the path, " + namespace)
	}
	if errs := validation.ValidateLocalSubjectAccessReview(review); len(errs) > 0 {
		return question{errs: errs}, nil
	}
	return question{attributes: attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), status: &review.Status}, nil
}

func askAboutCaller(ctx context.Context, obj runtime.Object) (question, error) {
	review, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
	if !ok {
		return question{}, apierrors.NewBadRequest("not a SelfSubjectAccessReview")
	}
	caller, ok := request.UserFrom(ctx)
	if !ok {
		return question{}, apierrors.NewBadRequest("a review of oneself without a caller")
	}
	if errs := validation.ValidateSelfSubjectAccessReview(review); len(errs) > 0 {
		return question{errs: errs}, nil
	}
	return question{attributes: attributesOf(caller, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), status: &review.Status}, nil
}
