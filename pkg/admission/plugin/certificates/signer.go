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
	"io"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
)

// Names of the plugins in flags and messages, the same as in Kubernetes.
const (
	ApprovalName = "CertificateApproval"
	SigningName  = "CertificateSigning"
)

// requests are the resource of all plugins but Attest and Revocation.
var requests = certificates.Resource("certificatesigningrequests")

// RegisterApproval adds the plugin's factory.
func RegisterApproval(plugins *admission.Plugins) {
	plugins.Register(ApprovalName, func(io.Reader) (admission.Interface, error) { return NewApproval(), nil })
}

// RegisterSigning adds the plugin's factory.
func RegisterSigning(plugins *admission.Plugins) {
	plugins.Register(SigningName, func(io.Reader) (admission.Interface, error) { return NewSigning(), nil })
}

// Signer refuses writes at an endpoint of a request by users without the right to the verb on its
// signer. It implements admission.ValidationInterface.
type Signer struct {
	*admission.Handler
	name, endpoint, verb string
	// any includes writes that change neither the certificate nor a condition.
	any    bool
	access authorizer.Authorizer
}

var (
	_ admission.ValidationInterface     = &Signer{}
	_ admission.InitializationValidator = &Signer{}
	_ initializer.WantsAuthorizer       = &Signer{}
)

// NewApproval returns the plugin that requires the right to approve for a signer.
func NewApproval() *Signer {
	return &Signer{Handler: admission.NewHandler(admission.Update), name: ApprovalName, endpoint: "approval", verb: "approve", any: true}
}

// NewSigning returns the plugin that requires the right to sign for a signer. A write to the status that
// changes only metadata needs no right, as in Kubernetes.
func NewSigning() *Signer {
	return &Signer{Handler: admission.NewHandler(admission.Update), name: SigningName, endpoint: "status", verb: "sign"}
}

// SetAuthorizer implements initializer.WantsAuthorizer.
func (p *Signer) SetAuthorizer(access authorizer.Authorizer) { p.access = access }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Signer) ValidateInitialization() error {
	if p.access == nil {
		return fmt.Errorf("%s needs an authorizer", p.name)
	}
	return nil
}

// Validate checks the right for the signer of the stored request: the spec never changes.
func (p *Signer) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != requests || a.GetSubresource() != p.endpoint {
		return nil
	}
	old, ok := a.GetOldObject().(*certificatesv1.CertificateSigningRequest)
	now, nowOK := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok || !nowOK {
		return admission.NewForbidden(a, fmt.Errorf("no CertificateSigningRequest: %T instead of %T", a.GetObject(), a.GetOldObject()))
	}
	if !p.any && apiequality.Semantic.DeepEqual(now.Status, old.Status) {
		return nil
	}
	signer := old.Spec.SignerName
	if allowed, err := mayUse(ctx, p.access, a.GetUserInfo(), p.verb, signer); err != nil {
		return admission.NewForbidden(a, err)
	} else if allowed {
		return nil
	}
	return admission.NewForbidden(a, fmt.Errorf("user not permitted to %s requests with signerName %q: %s", p.verb, signer, need(p.verb, signer)))
}

// mayUse reports whether a user has the right to a verb on a signer, or on all signers of its domain.
func mayUse(ctx context.Context, access authorizer.Authorizer, caller user.Info, verb, signer string) (bool, error) {
	for _, name := range []string{signer, wildcard(signer)} {
		decision, _, err := access.Authorize(ctx, authorizer.AttributesRecord{
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
