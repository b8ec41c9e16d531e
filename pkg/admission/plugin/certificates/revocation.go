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
	"io"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
)

// RevocationName is its name in flags and messages. Kubernetes has no such plugin.
const RevocationName = "RevocationRestriction"

// RevocationSigner is the signer whose certificates are revoked by the ConfigMap of revocations.
const RevocationSigner = certificatesv1.KubeAPIServerClientSignerName

// configMaps are its resource.
var configMaps = corev1.Resource("configmaps")

// RegisterRevocation adds the plugin's factory.
func RegisterRevocation(plugins *admission.Plugins) {
	plugins.Register(RevocationName, func(io.Reader) (admission.Interface, error) { return NewRevocation(), nil })
}

// Revocation refuses writes of the ConfigMap of revocations by users without the right to revoke for the signer of
// clients: the right to write ConfigMaps, which the roles edit and admin have in every namespace that they are
// bound in, would include the revocation of every user and its undoing. It implements
// admission.ValidationInterface.
type Revocation struct{ signerRights }

var (
	_ admission.ValidationInterface     = &Revocation{}
	_ admission.InitializationValidator = &Revocation{}
	_ initializer.WantsAuthorizer       = &Revocation{}
)

// NewRevocation returns the plugin.
func NewRevocation() *Revocation {
	return &Revocation{newSignerRights(RevocationName, admission.Create, admission.Update, admission.Delete)}
}

// Validate checks the right for each write of the ConfigMap, except for one that changes nothing: every object is
// stored anew after a change of the encryption key. An owner is a change: the garbage collector deletes the
// ConfigMap with it. The deletion of a collection has no name when it begins, and is then validated for each of
// its objects.
func (p *Revocation) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != configMaps || !aboutRevocations(a) {
		return nil
	}
	if a.GetOperation() == admission.Update && unchanged(a.GetObject(), a.GetOldObject(), func(metav1.Object) {}) {
		return nil
	}
	return p.require(ctx, a, "revoke", RevocationSigner, "change revocations of certificates with")
}

// aboutRevocations reports whether a request names the ConfigMap of revocations, or has it as an object.
func aboutRevocations(a admission.Attributes) bool {
	if a.GetNamespace() == revocation.Namespace && a.GetName() == revocation.ConfigMap {
		return true
	}
	for _, object := range []runtime.Object{a.GetObject(), a.GetOldObject()} {
		if object == nil {
			continue
		}
		if found, err := meta.Accessor(object); err == nil && found.GetNamespace() == revocation.Namespace && found.GetName() == revocation.ConfigMap {
			return true
		}
	}
	return false
}
