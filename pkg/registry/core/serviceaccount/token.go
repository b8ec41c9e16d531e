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

package serviceaccount

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
)

// TokenREST is the token endpoint of service accounts: creating a TokenRequest there issues a
// token of the account. The right to create serviceaccounts/token is as much as being the account.
type TokenREST struct {
	tokenrequest.Endpoint
	issuer tokenrequest.Issuer
}

var _ rest.NamedCreater = &TokenREST{}

// NewTokenREST returns the endpoint.
func NewTokenREST(issuer tokenrequest.Issuer) *TokenREST { return &TokenREST{issuer: issuer} }

// Create issues a token of the named account.
func (r *TokenREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	asked, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	namespace, ok := request.NamespaceFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("a service account is in a namespace: name it in the URL")
	}
	return r.issuer.RequestToken(ctx, namespace, name, asked, createValidation, dryrun.IsDryRun(options.DryRun))
}
