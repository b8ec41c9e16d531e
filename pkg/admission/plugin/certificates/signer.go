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

	certificatesv1 "k8s.io/api/certificates/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"

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
	signerRights
	endpoint, verb string
	// any includes writes that change neither the certificate nor a condition.
	any bool
}

var (
	_ admission.ValidationInterface     = &Signer{}
	_ admission.InitializationValidator = &Signer{}
	_ initializer.WantsAuthorizer       = &Signer{}
)

// NewApproval returns the plugin that requires the right to approve for a signer.
func NewApproval() *Signer {
	return &Signer{signerRights: newSignerRights(ApprovalName, admission.Update), endpoint: "approval", verb: "approve", any: true}
}

// NewSigning returns the plugin that requires the right to sign for a signer. A write to the status that
// changes only metadata needs no right, as in Kubernetes.
func NewSigning() *Signer {
	return &Signer{signerRights: newSignerRights(SigningName, admission.Update), endpoint: "status", verb: "sign"}
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
	return p.require(ctx, a, p.verb, old.Spec.SignerName, p.verb+" requests with")
}
