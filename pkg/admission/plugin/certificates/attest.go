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
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
)

// AttestName is its name in flags and messages, the same as in Kubernetes.
const AttestName = "ClusterTrustBundleAttest"

// bundles are its resource.
var bundles = certificates.Resource("clustertrustbundles")

// RegisterAttest adds the plugin's factory.
func RegisterAttest(plugins *admission.Plugins) {
	plugins.Register(AttestName, func(io.Reader) (admission.Interface, error) { return NewAttest(), nil })
}

// Attest refuses trust bundles of a signer by users without the right to attest for it: readers of a bundle trust
// what it contains. It implements admission.ValidationInterface.
type Attest struct {
	*admission.Handler
	access authorizer.Authorizer
}

var (
	_ admission.ValidationInterface     = &Attest{}
	_ admission.InitializationValidator = &Attest{}
	_ initializer.WantsAuthorizer       = &Attest{}
)

// NewAttest returns the plugin.
func NewAttest() *Attest {
	return &Attest{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetAuthorizer implements initializer.WantsAuthorizer.
func (p *Attest) SetAuthorizer(access authorizer.Authorizer) { p.access = access }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Attest) ValidateInitialization() error {
	if p.access == nil {
		return fmt.Errorf("%s needs an authorizer", AttestName)
	}
	return nil
}

// Validate checks the right for the signer of the new object: validation refuses another signer than the stored
// one. A bundle without a signer needs no right, and neither does a write that changes at most what the garbage
// collector writes, such as one that only stores the object anew.
func (p *Attest) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != bundles {
		return nil
	}
	bundle, ok := a.GetObject().(*certificatesv1.ClusterTrustBundle)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("no ClusterTrustBundle: %T", a.GetObject()))
	}
	signer := bundle.Spec.SignerName
	if signer == "" {
		return nil
	}
	if old, ok := a.GetOldObject().(*certificatesv1.ClusterTrustBundle); ok && onlyCollected(bundle, old) {
		return nil
	}
	if allowed, err := mayUse(ctx, p.access, a.GetUserInfo(), "attest", signer); err != nil {
		return admission.NewForbidden(a, err)
	} else if allowed {
		return nil
	}
	return admission.NewForbidden(a, fmt.Errorf("user not permitted to attest for signerName %q: %s", signer, need("attest", signer)))
}

// onlyCollected reports whether the two differ at most in owners, finalizers and managed fields.
func onlyCollected(bundle, old *certificatesv1.ClusterTrustBundle) bool {
	same := bundle.DeepCopy()
	same.OwnerReferences, same.Finalizers, same.ManagedFields = old.OwnerReferences, old.Finalizers, old.ManagedFields
	return apiequality.Semantic.DeepEqual(same, old)
}
