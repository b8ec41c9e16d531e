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

package tokenreview

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/registry/rest"
)

// REST serves TokenReviews with the authenticator of requests.
type REST struct {
	tokens    authenticator.Token
	audiences authenticator.Audiences
}

var (
	_ rest.Creater              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the endpoint. A review that names no audiences is for audiences.
func NewREST(tokens authenticator.Token, audiences authenticator.Audiences) *REST {
	return &REST{tokens: tokens, audiences: audiences}
}

// New returns an empty TokenReview.
func (*REST) New() runtime.Object { return &authenticationv1.TokenReview{} }

// Destroy does nothing: the kind is not stored.
func (*REST) Destroy() {}

// NamespaceScoped is false: a token is valid in all namespaces.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName returns the singular name.
func (*REST) GetSingularName() string { return "tokenreview" }

// Create processes one review, with the reason if the token is not valid: callers with the right to
// review tokens hold the token.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authenticationv1.TokenReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %T", obj))
	}
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("spec.token is required")
	}
	if createValidation != nil {
		if err := createValidation(ctx, review.DeepCopy()); err != nil {
			return nil, err
		}
	}
	wanted := authenticator.Audiences(review.Spec.Audiences)
	if len(wanted) == 0 {
		wanted = r.audiences
	}
	// The audiences of the caller's own request do not apply to the reviewed token.
	response, ok, err := r.tokens.AuthenticateToken(authenticator.WithAudiences(ctx, wanted), review.Spec.Token)
	out := review.DeepCopy()
	out.Status = authenticationv1.TokenReviewStatus{}
	switch {
	case err != nil:
		out.Status.Error = err.Error()
	case !ok:
		out.Status.Error = "the token is not known here"
	case len(wanted.Intersect(response.Audiences)) == 0:
		return nil, apierrors.NewInternalError(fmt.Errorf("a token for %q was taken for one for %q", response.Audiences, wanted))
	default:
		user := response.User
		out.Status.Authenticated = true
		out.Status.Audiences = response.Audiences
		out.Status.User = authenticationv1.UserInfo{Username: user.GetName(), UID: user.GetUID(), Groups: user.GetGroups(), Extra: map[string]authenticationv1.ExtraValue{}}
		for key, values := range user.GetExtra() {
			out.Status.User.Extra[key] = values
		}
	}
	return out, nil
}
