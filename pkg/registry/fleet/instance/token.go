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

package instance

import (
	"context"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// defaultAccount is whose token an instance gets that names no service account.
const defaultAccount = "default"

// longestToken is the longest that a token of an instance is good for, in seconds. Whoever
// needs one for longer asks again; whoever stole one has it no longer than that. Tokens of a
// cluster are held to the same by what asks for them (authentication.ClusterTokens), because
// there nothing else ends them.
const longestToken = 60 * 60

// TokenREST is the token endpoint of instances. By creating a TokenRequest there, the host
// to which an instance is bound gets a short-lived token of the instance's service account,
// so that what runs in the instance can talk to the API as itself.
//
// The bound host may, and nobody else: not another host, and not whom some role allows it.
// Who may have tokens of an account asks for them at serviceaccounts/token.
type TokenREST struct {
	instances rest.Getter
	tokens    base.AccountTokens
}

var (
	_ rest.NamedCreater                   = &TokenREST{}
	_ rest.GroupVersionKindProvider       = &TokenREST{}
	_ rest.SubresourceObjectMetaPreserver = &TokenREST{}
)

// New makes an empty TokenRequest.
func (*TokenREST) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy does nothing: nothing is stored.
func (*TokenREST) Destroy() {}

// NamespaceScoped is true, as for instances.
func (*TokenREST) NamespaceScoped() bool { return true }

// GroupVersionKind says that the endpoint's kind is not of its own group.
func (*TokenREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the request's uid: it is a
// precondition on the instance.
func (*TokenREST) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create gives out a token of the service account of the instance of the name, bound to the
// instance.
func (r *TokenREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	asked, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	instance, err := r.boundTo(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := checkRequest(asked, instance); err != nil {
		return nil, err
	}
	asked.Name, asked.Namespace, asked.UID = instance.Name, instance.Namespace, instance.UID
	if createValidation != nil {
		if err := createValidation(ctx, asked.DeepCopy()); err != nil {
			return nil, err
		}
	}
	account := instance.Spec.ServiceAccountName
	if account == "" {
		account = defaultAccount
	}
	forAccount := &authenticationv1.TokenRequest{Spec: *asked.Spec.DeepCopy()}
	forAccount.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Instance", Name: instance.Name, UID: instance.UID,
	}
	if seconds := forAccount.Spec.ExpirationSeconds; seconds != nil && *seconds > longestToken {
		forAccount.Spec.ExpirationSeconds = ptr.To[int64](longestToken)
	}
	given, err := r.tokens.RequestToken(ctx, instance.Namespace, account, forAccount, nil, dryrun.IsDryRun(options.DryRun))
	if err != nil {
		return nil, err
	}
	out := asked.DeepCopy()
	out.CreationTimestamp, out.Spec, out.Status = given.CreationTimestamp, given.Spec, given.Status
	return out, nil
}

// boundTo returns the instance if the caller is the host to which it is bound. Everybody
// else gets the same answer, whether the instance exists or not.
func (r *TokenREST) boundTo(ctx context.Context, name string) (*fleet.Instance, error) {
	caller, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("a request for a token without a caller"))
	}
	refused := apierrors.NewForbidden(fleet.Resource("instances/token"), name,
		fmt.Errorf("tokens of an instance are for the host to which it is bound, and %s is not it", caller.GetName()))
	if !slices.Contains(caller.GetGroups(), v1alpha1.HostsGroup) {
		return nil, refused
	}
	obj, err := r.instances.Get(ctx, name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	instance, ok := obj.(*fleet.Instance)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is no Instance", obj))
	}
	if instance.Spec.HostName == "" || caller.GetName() != v1alpha1.HostUserPrefix+instance.Spec.HostName {
		return nil, refused
	}
	return instance, nil
}

// checkRequest holds a body to the instance that its URL names.
func checkRequest(asked *authenticationv1.TokenRequest, instance *fleet.Instance) error {
	var errs field.ErrorList
	metadata := field.NewPath("metadata")
	if asked.Name != "" && asked.Name != instance.Name {
		errs = append(errs, field.Invalid(metadata.Child("name"), asked.Name, "must be the name of the instance, "+instance.Name+", or be left out"))
	}
	if asked.Namespace != "" && asked.Namespace != instance.Namespace {
		errs = append(errs, field.Invalid(metadata.Child("namespace"), asked.Namespace, "must be the instance's namespace, "+instance.Namespace+", or be left out"))
	}
	if asked.Spec.BoundObjectRef != nil {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "boundObjectRef"), "the token is always bound to the instance: leave it out"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), instance.Name, errs)
	}
	if asked.UID != "" && asked.UID != instance.UID {
		return apierrors.NewConflict(fleet.Resource("instances/token"), instance.Name,
			fmt.Errorf("the request is for the instance with the UID %s, but the one of that name has the UID %s", asked.UID, instance.UID))
	}
	return nil
}
