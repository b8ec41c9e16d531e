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
	"k8s.io/apiserver/pkg/admission"

	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// SubjectName is its name in flags and messages, the same as in Kubernetes.
const SubjectName = "CertificateSubjectRestriction"

// RegisterSubject adds the plugin's factory.
func RegisterSubject(plugins *admission.Plugins) {
	plugins.Register(SubjectName, func(io.Reader) (admission.Interface, error) { return NewSubject(), nil })
}

// Subject refuses requests with reserved subjects. It implements admission.ValidationInterface.
type Subject struct{ *admission.Handler }

var _ admission.ValidationInterface = &Subject{}

// NewSubject returns the plugin.
func NewSubject() *Subject { return &Subject{admission.NewHandler(admission.Create)} }

// Validate refuses a new request with a subject that its signer never signs. Kubernetes refuses only
// the organization system:masters; here every name that the server reserves is refused, because the
// signer, which checks it once more, signs none of them.
func (p *Subject) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != requests || a.GetSubresource() != "" {
		return nil
	}
	object, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return admission.NewForbidden(a, fmt.Errorf("no CertificateSigningRequest: %T", a.GetObject()))
	}
	if object.Spec.SignerName != signers.Client {
		return nil
	}
	request, err := signers.ParseRequest(object.Spec.Request)
	if err == nil {
		err = signers.CheckSubject(object.Spec.SignerName, request)
	}
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("spec.request: %w", err))
	}
	return nil
}
