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

package uisession

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// Pages makes links to the page of this server.
type Pages interface {
	// Offer makes a link for the user of the request of the context, by the hash of its secret. It returns
	// the address of the page, and the time until which the link must be opened.
	Offer(ctx context.Context, u user.Info, secretHash [sha256.Size]byte) (url string, expires time.Time, err error)
}

// REST serves UISessions.
type REST struct{ pages Pages }

var (
	_ rest.Creater              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the endpoint. pages is nil if this server has no page.
func NewREST(pages Pages) *REST { return &REST{pages: pages} }

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &diagnostics.UISession{} }

// Destroy implements rest.Storage.
func (*REST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*REST) GetSingularName() string { return "uisession" }

// Create makes one link.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	wanted, ok := obj.(*diagnostics.UISession)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a UISession: %T", obj))
	}
	sum, err := hashOf(wanted.Spec.SecretHash)
	if err != nil {
		return nil, apierrors.NewInvalid(diagnostics.Kind("UISession"), wanted.Name, field.ErrorList{err})
	}
	if createValidation != nil {
		if err := createValidation(ctx, wanted.DeepCopy()); err != nil {
			return nil, err
		}
	}
	u, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewUnauthorized("links are for authenticated users only")
	}
	if r.pages == nil {
		return nil, noPage()
	}
	out := wanted.DeepCopy()
	out.Status = diagnostics.UISessionStatus{Username: u.GetName()}
	if options != nil && len(options.DryRun) > 0 {
		return out, nil
	}
	url, expires, offerErr := r.pages.Offer(ctx, u, sum)
	if offerErr != nil {
		return nil, offerErr
	}
	out.Status.URL, out.Status.ExpirationTimestamp = url, metav1.NewTime(expires)
	return out, nil
}

// noPage is the error of a server without a page.
func noPage() error {
	err := apierrors.NewGenericServerResponse(http.StatusNotFound, "create", diagnostics.Resource(v1alpha1.UISessions), "", "", 0, false)
	err.ErrStatus.Message = "this server serves no page: start it with --ui-listen, or run kubectl gatehouse ui without --on-server"
	return err
}

// hashOf returns the hash in hexadecimal digits.
func hashOf(digits string) (sum [sha256.Size]byte, _ *field.Error) {
	path := field.NewPath("spec", "secretHash")
	if digits == "" {
		return sum, field.Required(path, "it is the SHA-256 of the secret of the link")
	}
	decoded, err := hex.DecodeString(digits)
	if err != nil || len(decoded) != len(sum) || digits != strings.ToLower(digits) {
		// The value may be the secret itself.
		return sum, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("must have %d hexadecimal digits in lower case", 2*len(sum)))
	}
	return [sha256.Size]byte(decoded), nil
}
