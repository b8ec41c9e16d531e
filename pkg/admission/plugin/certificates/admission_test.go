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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// rights allow a verb on a name of signers.
type rights map[string]bool

func (r rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if r["broken"] {
		return authorizer.DecisionNoOpinion, "", errors.New("no answer")
	}
	if a.GetAPIGroup() == "certificates.k8s.io" && a.GetResource() == "signers" && a.IsResourceRequest() && r[a.GetVerb()+" "+a.GetName()] {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (r rights) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(r.Authorize(ctx, a))
}

func (rights) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

func attributesOf(object, old runtime.Object, subresource string) admission.Attributes {
	operation := admission.Update
	if old == nil {
		operation = admission.Create
	}
	return admission.NewAttributesRecord(object, old, schema.GroupVersionKind{}, "", "a",
		certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), subresource, operation, nil, false, &user.DefaultInfo{Name: "jane"})
}

func request(change ...func(*certificatesv1.CertificateSigningRequest)) *certificatesv1.CertificateSigningRequest {
	r := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: "example.com/signer"}}
	for _, f := range change {
		f(r)
	}
	return r
}

func signed(r *certificatesv1.CertificateSigningRequest) { r.Status.Certificate = []byte("x") }

func failed(r *certificatesv1.CertificateSigningRequest) {
	r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateFailed}}
}

func labelled(r *certificatesv1.CertificateSigningRequest) { r.Labels = map[string]string{"a": "b"} }

func otherSigner(r *certificatesv1.CertificateSigningRequest) {
	r.Spec.SignerName = "example.com/other"
}

func TestAWriteForASignerNeedsItsVerb(t *testing.T) {
	for _, tc := range []struct {
		name        string
		plugin      *Signer
		subresource string
		object      *certificatesv1.CertificateSigningRequest
		rights      rights
		message     string
	}{
		{"an approval with the right", NewApproval(), "approval", request(), rights{"approve example.com/signer": true}, ""},
		{"an approval with the right for the domain", NewApproval(), "approval", request(), rights{"approve example.com/*": true}, ""},
		{"an approval without any right", NewApproval(), "approval", request(), rights{}, `not permitted to approve requests with signerName "example.com/signer"`},
		{"an approval with the right to sign", NewApproval(), "approval", request(), rights{"sign example.com/signer": true}, "not permitted to approve"},
		{"an approval with the right for another signer", NewApproval(), "approval", request(), rights{"approve example.com/other": true}, "not permitted to approve"},
		{"an approval that changes the signer to an allowed one", NewApproval(), "approval", request(otherSigner), rights{"approve example.com/other": true}, "not permitted to approve"},
		{"an approval with the right for another domain", NewApproval(), "approval", request(), rights{"approve com/*": true, "approve *": true}, "not permitted to approve"},
		{"an approval while rights cannot be determined", NewApproval(), "approval", request(), rights{"broken": true}, "cannot be determined"},
		{"an approval is not signing", NewSigning(), "approval", request(), rights{}, ""},
		{"a certificate with the right", NewSigning(), "status", request(signed), rights{"sign example.com/signer": true}, ""},
		{"a certificate with the right for the domain", NewSigning(), "status", request(signed), rights{"sign example.com/*": true}, ""},
		{"a certificate without the right", NewSigning(), "status", request(signed), rights{"approve example.com/signer": true}, `not permitted to sign requests with signerName "example.com/signer"`},
		{"a condition without the right", NewSigning(), "status", request(failed), rights{}, "not permitted to sign"},
		{"a label at the status without the right", NewSigning(), "status", request(labelled), rights{}, ""},
		{"a certificate at the approval is not signing", NewApproval(), "status", request(signed), rights{}, ""},
		{"a write to the request itself", NewSigning(), "", request(labelled), rights{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.plugin.SetAuthorizer(tc.rights)
			err := tc.plugin.Validate(t.Context(), attributesOf(tc.object, request(), tc.subresource), nil)
			check(t, err, tc.message)
		})
	}
}

func check(t *testing.T, err error, message string) {
	t.Helper()
	switch {
	case message == "":
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), message):
		t.Errorf("got %v, want a 403 with %q", err, message)
	}
}

func TestAPluginWithoutAnAuthorizerIsAnError(t *testing.T) {
	for _, plugin := range []*Signer{NewApproval(), NewSigning()} {
		if err := plugin.ValidateInitialization(); err == nil {
			t.Errorf("%s does not report it", plugin.name)
		}
	}
}

func TestReservedSubjectsAreRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, signer string
		subject      pkix.Name
		message      string
	}{
		{"a user in groups", "kubernetes.io/kube-apiserver-client", pkix.Name{CommonName: "jane", Organization: []string{"team"}}, ""},
		{"the administrators", "kubernetes.io/kube-apiserver-client", pkix.Name{CommonName: "jane", Organization: []string{"team", "system:masters"}}, "system:masters"},
		{"a controller", "kubernetes.io/kube-apiserver-client", pkix.Name{CommonName: "system:controller:scheduler"}, "reserved"},
		{"the administrators at another signer", "example.com/signer", pkix.Name{CommonName: "jane", Organization: []string{"system:masters"}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: tc.subject}, key)
			if err != nil {
				t.Fatal(err)
			}
			object := request(func(r *certificatesv1.CertificateSigningRequest) {
				r.Spec.SignerName = tc.signer
				r.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
			})
			check(t, NewSubject().Validate(t.Context(), attributesOf(object, nil, ""), nil), tc.message)
		})
	}
	unparsed := request(func(r *certificatesv1.CertificateSigningRequest) {
		r.Spec.SignerName = "kubernetes.io/kube-apiserver-client"
	})
	check(t, NewSubject().Validate(t.Context(), attributesOf(unparsed, nil, ""), nil), "spec.request")
}
