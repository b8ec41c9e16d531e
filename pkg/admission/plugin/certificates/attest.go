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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"

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
type Attest struct{ signerRights }

var (
	_ admission.ValidationInterface     = &Attest{}
	_ admission.InitializationValidator = &Attest{}
	_ initializer.WantsAuthorizer       = &Attest{}
)

// NewAttest returns the plugin.
func NewAttest() *Attest {
	return &Attest{newSignerRights(AttestName, admission.Create, admission.Update)}
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
	if a.GetOperation() == admission.Update && unchanged(bundle, a.GetOldObject(), clearCollected) {
		return nil
	}
	return p.require(ctx, a, "attest", signer, "attest for")
}

// clearCollected clears what the garbage collector writes, which deletes bundles for which it may not attest.
func clearCollected(object metav1.Object) {
	object.SetOwnerReferences(nil)
	object.SetFinalizers(nil)
}
