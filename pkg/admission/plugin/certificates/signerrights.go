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

package certificates

import (
	"context"
	"fmt"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
)

// signerRights is what the plugins have in common that check a right on a signer.
type signerRights struct {
	*admission.Handler
	name   string
	access authorizer.Authorizer
}

func newSignerRights(name string, operations ...admission.Operation) signerRights {
	return signerRights{Handler: admission.NewHandler(operations...), name: name}
}

// SetAuthorizer implements initializer.WantsAuthorizer.
func (r *signerRights) SetAuthorizer(access authorizer.Authorizer) { r.access = access }

// ValidateInitialization implements admission.InitializationValidator.
func (r *signerRights) ValidateInitialization() error {
	if r.access == nil {
		return fmt.Errorf("%s needs an authorizer", r.name)
	}
	return nil
}

// require refuses a request of a user without the right to a verb on a signer. action is what is refused, in
// front of the signer's name.
func (r *signerRights) require(ctx context.Context, a admission.Attributes, verb, signer, action string) error {
	allowed, err := r.mayUse(ctx, a.GetUserInfo(), verb, signer)
	if err == nil && !allowed {
		err = fmt.Errorf("user not permitted to %s signerName %q: %s", action, signer, need(verb, signer))
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

// unchanged reports whether an update leaves all as it is but the managed fields and what the function clears.
// Such an update stores the object anew, with another key or in another version.
func unchanged(object, old runtime.Object, clear func(metav1.Object)) bool {
	var cleared [2]runtime.Object
	for i, o := range []runtime.Object{object, old} {
		if o == nil {
			return false
		}
		cleared[i] = o.DeepCopyObject()
		found, err := meta.Accessor(cleared[i])
		if err != nil {
			return false
		}
		// The result of a merge patch has its kind, and the stored object does not.
		cleared[i].GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		found.SetManagedFields(nil)
		clear(found)
	}
	return apiequality.Semantic.DeepEqual(cleared[0], cleared[1])
}

// mayUse reports whether a user has the right to a verb on a signer, or on all signers of its domain.
func (r *signerRights) mayUse(ctx context.Context, caller user.Info, verb, signer string) (bool, error) {
	for _, name := range []string{signer, wildcard(signer)} {
		decision, _, err := r.access.Authorize(ctx, authorizer.AttributesRecord{
			User: caller, Verb: verb, Name: name, APIGroup: certificates.GroupName, APIVersion: "*", Resource: "signers", ResourceRequest: true,
		})
		if err != nil {
			return false, fmt.Errorf("the right to %s for signer %q cannot be determined: %w", verb, signer, err)
		}
		if decision == authorizer.DecisionAllow {
			return true, nil
		}
	}
	return false, nil
}

// wildcard returns the name of the right to all signers in the domain of a signer.
func wildcard(signer string) string {
	domain, _, _ := strings.Cut(signer, "/")
	return domain + "/*"
}

// need names the right that a user without it needs.
func need(verb, signer string) string {
	return fmt.Sprintf("it needs the verb %s on signers.%s of that name or named %s", verb, certificates.GroupName, wildcard(signer))
}
