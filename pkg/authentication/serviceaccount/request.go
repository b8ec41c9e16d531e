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
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	authenticationjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// The bounds of lifetimes are those of Kubernetes.
const (
	minExpirationSeconds = 10 * 60
	maxExpirationSeconds = 1 << 32
)

// Bounds of audiences, which Kubernetes does not have. A token with more or longer ones would not fit
// into a header that servers accept.
const (
	maxAudiences     = 32
	maxAudienceBytes = 512
)

// InstanceKind is the kind of an Instance in a TokenRequest's boundObjectRef, in any version.
var InstanceKind = v1alpha1.SchemeGroupVersion.WithKind("Instance").GroupKind()

var requestKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind()

// Requests serves TokenRequests, which are authorized before.
type Requests struct {
	Issuer *Issuer
	// Lookup returns accounts and the objects that tokens are bound to. It must not be stale: a
	// token for an account that was just replaced would be refused at once.
	Lookup Lookup
	// Audiences are those of a token if the request has none.
	Audiences []string
	// MaxLifetime is the maximum lifetime; zero for no bound.
	MaxLifetime time.Duration
}

// RequestToken serves a TokenRequest for an account. It calls admit, if not nil, once the request is
// complete and valid. A dry run does everything but issue a token.
func (r *Requests) RequestToken(ctx context.Context, namespace, account string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error, dryRun bool) (*authenticationv1.TokenRequest, error) {
	if errs := matches(request, namespace, account); len(errs) > 0 {
		return nil, apierrors.NewInvalid(requestKind, account, errs)
	}
	object, err := r.Lookup.ServiceAccount(ctx, namespace, account)
	if err != nil {
		return nil, err
	}
	if request.UID != "" && request.UID != object.GetUID() {
		return nil, replaced(requestKind, account, request.UID, object.GetUID())
	}
	out := request.DeepCopy()
	out.Name, out.Namespace, out.UID = object.GetName(), object.GetNamespace(), object.GetUID()
	out.CreationTimestamp = metav1.NewTime(r.Issuer.clock.Now())
	out.Status = authenticationv1.TokenRequestStatus{}
	if len(out.Spec.Audiences) == 0 {
		out.Spec.Audiences = slices.Clone(r.Audiences)
	}
	if errs := ValidateTokenRequest(out); len(errs) > 0 {
		return nil, apierrors.NewInvalid(requestKind, account, errs)
	}
	if admit != nil {
		if err := admit(ctx, out.DeepCopy()); err != nil {
			return nil, err
		}
	}
	grant := Grant{Account: object, Audiences: out.Spec.Audiences}
	if err := r.bind(ctx, namespace, out.Spec.BoundObjectRef, &grant); err != nil {
		return nil, err
	}
	r.shorten(ctx, out)
	grant.Lifetime = time.Duration(*out.Spec.ExpirationSeconds) * time.Second
	if dryRun {
		out.Status.ExpirationTimestamp = metav1.NewTime(out.CreationTimestamp.Add(grant.Lifetime))
		return out, nil
	}
	issued, err := r.Issuer.Issue(grant)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	audit.AddAuditAnnotation(ctx, serviceaccount.IssuedCredentialIDAuditAnnotationKey, authenticationjwt.CredentialIDForJTI(issued.ID))
	out.Status = authenticationv1.TokenRequestStatus{Token: issued.Token, ExpirationTimestamp: metav1.NewTime(issued.Expires)}
	return out, nil
}

// matches compares the metadata of a body with the URL.
func matches(request *authenticationv1.TokenRequest, namespace, account string) field.ErrorList {
	var errs field.ErrorList
	metadata := field.NewPath("metadata")
	if request.Name != "" && request.Name != account {
		errs = append(errs, field.Invalid(metadata.Child("name"), request.Name, "must be the name of the service account, "+account+", or be left out"))
	}
	if request.Namespace != "" && request.Namespace != namespace {
		errs = append(errs, field.Invalid(metadata.Child("namespace"), request.Namespace, "must be the service account's namespace, "+namespace+", or be left out"))
	}
	return errs
}

// ValidateTokenRequest validates the spec of a request.
func ValidateTokenRequest(request *authenticationv1.TokenRequest) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec", "expirationSeconds")
	switch seconds := ptr.Deref(request.Spec.ExpirationSeconds, 0); {
	case seconds < minExpirationSeconds:
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	case seconds > maxExpirationSeconds:
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	errs = append(errs, validateAudiences(request.Spec.Audiences)...)
	if len(request.Spec.Attestations) > 0 {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "attestations"), "attestations belong to tokens that are bound to webhooks, which this server does not issue"))
	}
	return errs
}

func validateAudiences(audiences []string) field.ErrorList {
	path := field.NewPath("spec", "audiences")
	if len(audiences) > maxAudiences {
		return field.ErrorList{field.TooMany(path, len(audiences), maxAudiences)}
	}
	var errs field.ErrorList
	for i, audience := range audiences {
		if len(audience) > maxAudienceBytes {
			errs = append(errs, field.TooLong(path.Index(i), "", maxAudienceBytes))
		}
	}
	return errs
}

// bind looks up the object that the token is bound to, and adds it to the grant.
func (r *Requests) bind(ctx context.Context, namespace string, ref *authenticationv1.BoundObjectReference, grant *Grant) error {
	if ref == nil {
		return nil
	}
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	var object metav1.Object
	var err error
	switch kind {
	case schema.GroupKind{Kind: "Secret"}:
		object, err = r.Lookup.Secret(ctx, namespace, ref.Name)
		if err == nil {
			grant.Secret = ReferenceTo(object)
		}
	case InstanceKind:
		object, err = r.Lookup.Instance(ctx, namespace, ref.Name)
		if err == nil {
			grant.Instance = ReferenceTo(object)
		}
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("a token cannot be bound to a %s: spec.boundObjectRef takes a Secret (v1) or an Instance (%s)", kind, InstanceKind.Group))
	}
	if err == nil && ref.UID != "" && ref.UID != object.GetUID() {
		return replaced(kind, ref.Name, ref.UID, object.GetUID())
	}
	return err
}

func replaced(kind schema.GroupKind, name string, asked, is types.UID) error {
	return apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, name,
		fmt.Errorf("the request is for the object with the UID %s, but the one of that name has the UID %s: it may have been deleted and recreated", asked, is))
}

// shorten bounds the token's lifetime by MaxLifetime, with a warning.
func (r *Requests) shorten(ctx context.Context, request *authenticationv1.TokenRequest) {
	most := int64(r.MaxLifetime / time.Second)
	if asked := *request.Spec.ExpirationSeconds; most > 0 && asked > most {
		warning.AddWarning(ctx, "", fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", asked, most))
		request.Spec.ExpirationSeconds = &most
	}
}
