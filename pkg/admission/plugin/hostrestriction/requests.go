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

package hostrestriction

import (
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/admission"

	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// checkRequest lets a host request the certificate with which it serves, and the next one of its agent, under a
// name by which it may read the request. The signer checks the alternative names of the first when it signs.
func checkRequest(name string, a admission.Attributes) error {
	object, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok || a.GetOperation() != admission.Create {
		return fmt.Errorf("host %q may create certificate signing requests, not %s them", name, a.GetOperation())
	}
	if prefix := host.RequestPrefix(name); !strings.HasPrefix(object.Name, prefix) {
		return fmt.Errorf("metadata.name: a request of host %q must have a name that begins with %s, not %q", name, prefix, object.Name)
	}
	request, err := signers.ParseRequest(object.Spec.Request)
	by := signers.Requester{Name: a.GetUserInfo().GetName(), Groups: a.GetUserInfo().GetGroups()}
	switch {
	case object.Spec.SignerName != signers.HostServing && object.Spec.SignerName != signers.Client:
		return fmt.Errorf("spec.signerName: host %q may request only certificates of %s and %s, not of %q", name, signers.HostServing, signers.Client, object.Spec.SignerName)
	case err != nil:
	case object.Spec.SignerName == signers.Client:
		err = signers.CheckRenewal(request, object.Spec.Usages, by)
	default:
		_, err = signers.CheckHostServing(request, object.Spec.Usages, by)
	}
	if err != nil {
		return fmt.Errorf("spec.request: %w", err)
	}
	return checkMetadata(name, object, &certificatesv1.CertificateSigningRequest{})
}
