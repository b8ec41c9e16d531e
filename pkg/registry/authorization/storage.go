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

// StorageProvider builds the endpoints of authorization.k8s.io.
type StorageProvider struct {
	// Authorizer is the one that decides about requests, and Rules lists the rights of a user. Both
	// are required.
	Authorizer authorizer.Authorizer
	Rules      authorizer.RuleResolver
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return authorizationv1.GroupName }

// NewStorage implements base.StorageProvider.
func (p StorageProvider) NewStorage(*runtime.Scheme, base.StorageOptions) (base.GroupStorage, error) {
	may := p.Authorizer
	if may == nil || p.Rules == nil {
		return nil, errors.New("access reviews cannot be served without an authorizer and the rules")
	}
	return base.GroupStorage{authorizationv1.GroupName: {authorizationv1.SchemeGroupVersion.Version: {
		"subjectaccessreviews": &accessREST{may: may, kind: "SubjectAccessReview", singular: "subjectaccessreview",
			new: func() runtime.Object { return &authorizationv1.SubjectAccessReview{} }, decode: decodeSubjectReview},
		"localsubjectaccessreviews": &localREST{accessREST{may: may, kind: "LocalSubjectAccessReview", singular: "localsubjectaccessreview",
			new: func() runtime.Object { return &authorizationv1.LocalSubjectAccessReview{} }, decode: decodeLocalSubjectReview}},
		"selfsubjectaccessreviews": &accessREST{may: may, kind: "SelfSubjectAccessReview", singular: "selfsubjectaccessreview",
			new: func() runtime.Object { return &authorizationv1.SelfSubjectAccessReview{} }, decode: decodeSelfReview},
		"selfsubjectrulesreviews": &rulesREST{rules: p.Rules},
	}}}, nil
}

// decodedReview is a review after decoding. For one that is not valid only errs is set, because reading a large
// one costs as much as answering it.
type decodedReview struct {
	attributes authorizer.AttributesRecord
	status     *authorizationv1.SubjectAccessReviewStatus
	errs       field.ErrorList
}

// accessREST serves one of the three kinds of reviews of a single request.
type accessREST struct {
	may            authorizer.Authorizer
	kind, singular string
	new            func() runtime.Object
	// decode reads the review, which has the type that new returns.
	decode func(ctx context.Context, obj runtime.Object) (decodedReview, error)
}

var (
	_ rest.Creater              = &accessREST{}
	_ rest.Scoper               = &accessREST{}
	_ rest.SingularNameProvider = &accessREST{}
)

// New returns an empty review.
func (r *accessREST) New() runtime.Object { return r.new() }

// Destroy does nothing: the kind is not stored.
func (*accessREST) Destroy() {}

// NamespaceScoped is false.
func (*accessREST) NamespaceScoped() bool { return false }

// GetSingularName returns the singular name.
func (r *accessREST) GetSingularName() string { return r.singular }

// Create returns the review with its status. An error of the authorizer allows nothing, and is part
// of the status.
func (r *accessREST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	q, err := r.decode(ctx, obj)
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

// evaluationError returns the errors of the authorizer and of selectors that cannot be parsed,
// without which the review covers more than intended.
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

// localREST is the namespaced kind.
type localREST struct{ accessREST }

// NamespaceScoped is true.
func (*localREST) NamespaceScoped() bool { return true }

func decodeSubjectReview(_ context.Context, obj runtime.Object) (decodedReview, error) {
	review, ok := obj.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return decodedReview{}, apierrors.NewBadRequest("not a SubjectAccessReview")
	}
	if errs := validation.ValidateSubjectAccessReview(review); len(errs) > 0 {
		return decodedReview{errs: errs}, nil
	}
	return decodedReview{attributes: attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), status: &review.Status}, nil
}

func decodeLocalSubjectReview(ctx context.Context, obj runtime.Object) (decodedReview, error) {
	review, ok := obj.(*authorizationv1.LocalSubjectAccessReview)
	if !ok {
		return decodedReview{}, apierrors.NewBadRequest("not a LocalSubjectAccessReview")
	}
	if namespace := request.NamespaceValue(ctx); namespace != review.Namespace {
		return decodedReview{}, apierrors.NewBadRequest("spec.resourceAttributes.namespace must be the namespace of the path, " + namespace)
	}
	if errs := validation.ValidateLocalSubjectAccessReview(review); len(errs) > 0 {
		return decodedReview{errs: errs}, nil
	}
	return decodedReview{attributes: attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), status: &review.Status}, nil
}

func decodeSelfReview(ctx context.Context, obj runtime.Object) (decodedReview, error) {
	review, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
	if !ok {
		return decodedReview{}, apierrors.NewBadRequest("not a SelfSubjectAccessReview")
	}
	caller, ok := request.UserFrom(ctx)
	if !ok {
		return decodedReview{}, apierrors.NewBadRequest("a review of oneself without a caller")
	}
	if errs := validation.ValidateSelfSubjectAccessReview(review); len(errs) > 0 {
		return decodedReview{errs: errs}, nil
	}
	return decodedReview{attributes: attributesOf(caller, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), status: &review.Status}, nil
}
