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
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
)

// defaultAccount is the service account of an instance that names none.
const defaultAccount = "default"

// maxExpirationSeconds bounds the lifetime of a token of an instance, in seconds, and so the time
// for which a stolen token is valid. A client renews its token. authentication.ClusterTokens has the
// same bound for tokens of a cluster, which only their expiration ends.
const maxExpirationSeconds = 60 * 60

// TokenREST is the token endpoint of instances. By creating a TokenRequest there, the host to which an
// instance is bound gets a short-lived token of the instance's service account, with which the
// programs in the instance call the API.
//
// Only the bound host may create one: no other host, and no user with a role that allows it. Users
// create tokens of an account at serviceaccounts/token.
type TokenREST struct {
	tokenrequest.Endpoint
	instances rest.Getter
	issuer    tokenrequest.Issuer
}

var _ rest.NamedCreater = &TokenREST{}

// Create issues a token of the service account of the named instance, bound to the instance.
func (r *TokenREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	asked, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	instance, err := boundTo(ctx, r.instances, name, "token", "tokens of an instance are for the host to which it is bound")
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
	if seconds := forAccount.Spec.ExpirationSeconds; seconds != nil && *seconds > maxExpirationSeconds {
		forAccount.Spec.ExpirationSeconds = ptr.To[int64](maxExpirationSeconds)
	}
	given, err := r.issuer.RequestToken(ctx, instance.Namespace, account, forAccount, nil, dryrun.IsDryRun(options.DryRun))
	if err != nil {
		return nil, err
	}
	out := asked.DeepCopy()
	out.CreationTimestamp, out.Spec, out.Status = given.CreationTimestamp, given.Spec, given.Status
	return out, nil
}

// boundTo returns the instance if the caller is the host to which it is bound. All other callers get
// the same error, which begins with the rule, whether the instance exists or not.
func boundTo(ctx context.Context, instances rest.Getter, name, subresource, rule string) (*fleet.Instance, error) {
	caller, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("a request for instances/%s without a caller", subresource))
	}
	refused := apierrors.NewForbidden(fleet.Resource("instances/"+subresource), name, fmt.Errorf("%s, and %s is not it", rule, caller.GetName()))
	if !slices.Contains(caller.GetGroups(), v1alpha1.HostsGroup) {
		return nil, refused
	}
	obj, err := instances.Get(ctx, name, &metav1.GetOptions{})
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

// checkRequest refuses a body for another instance than that of the URL.
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
