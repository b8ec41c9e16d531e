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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	clientcert "k8s.io/client-go/util/cert"
	internal "k8s.io/kubernetes/pkg/apis/certificates"
	"k8s.io/kubernetes/pkg/apis/certificates/install"
	upstream "k8s.io/kubernetes/pkg/apis/certificates/validation"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates/validation"
)

type request = certificatesv1.CertificateSigningRequest

// scheme converts requests to upstream's internal type.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}

func toInternal(t *testing.T, scheme *runtime.Scheme, r *request) *internal.CertificateSigningRequest {
	t.Helper()
	out := &internal.CertificateSigningRequest{}
	if err := scheme.Convert(r, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// valid returns a valid request, and a certificate.
func valid(t *testing.T) (*request, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err := clientcert.GenerateSelfSignedCertKey("jane.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &request{
		ObjectMeta: metav1.ObjectMeta{Name: "jane", ResourceVersion: "1"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: "example.com/signer",
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, certificate
}

// errorsOf returns the field and the type of each error, sorted and each once.
func errorsOf(list field.ErrorList) []string {
	var out []string
	for _, err := range list {
		out = append(out, err.Field+" "+string(err.Type))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestNewRequestsAreRefusedForTheSameFields(t *testing.T) {
	scheme := newScheme()
	for name, change := range map[string]func(*request){
		"a valid one":                         func(*request) {},
		"one without a request":               func(r *request) { r.Spec.Request = nil },
		"one that is text":                    func(r *request) { r.Spec.Request = []byte("x") },
		"one without usages":                  func(r *request) { r.Spec.Usages = nil },
		"one with an unknown usage":           func(r *request) { r.Spec.Usages = append(r.Spec.Usages, "flying") },
		"one with a usage twice":              func(r *request) { r.Spec.Usages = append(r.Spec.Usages, r.Spec.Usages...) },
		"one for 599 seconds":                 func(r *request) { r.Spec.ExpirationSeconds = ptr.To[int32](599) },
		"one for 600 seconds":                 func(r *request) { r.Spec.ExpirationSeconds = ptr.To[int32](600) },
		"one without a signer":                func(r *request) { r.Spec.SignerName = "" },
		"one for the legacy signer":           func(r *request) { r.Spec.SignerName = "kubernetes.io/legacy-unknown" },
		"one for a signer without a domain":   func(r *request) { r.Spec.SignerName = "signer" },
		"one for a signer of a top domain":    func(r *request) { r.Spec.SignerName = "com/signer" },
		"one for a signer with two slashes":   func(r *request) { r.Spec.SignerName = "example.com/a/b" },
		"one for a signer in capitals":        func(r *request) { r.Spec.SignerName = "Example.com/Signer" },
		"one for a signer with a wildcard":    func(r *request) { r.Spec.SignerName = "example.com/*" },
		"one for a signer with an empty name": func(r *request) { r.Spec.SignerName = "example.com/" },
		"one for a signer with many dots":     func(r *request) { r.Spec.SignerName = "a.b.example.com/c.d.e-f" },
		"one for a signer of a long domain":   func(r *request) { r.Spec.SignerName = strings.Repeat("a.", 130) + "com/signer" },
		"one without a name":                  func(r *request) { r.Name = "" },
		"one with a colon in its name":        func(r *request) { r.Name = "system:host:edge-1:a" },
		"one with a finalizer of no domain":   func(r *request) { r.Finalizers = []string{"nonsense"} },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := valid(t)
			change(r)
			want := errorsOf(upstream.ValidateCertificateSigningRequestCreate(toInternal(t, scheme, r)))
			if got := errorsOf(validation.ValidateCertificateSigningRequest(r)); !slices.Equal(got, want) {
				t.Errorf("got %q, upstream returns %q", got, want)
			}
		})
	}
}

// states are statuses between which writes change.
func states(certificate []byte) map[string]certificatesv1.CertificateSigningRequestStatus {
	with := func(certificate []byte, kinds ...certificatesv1.RequestConditionType) certificatesv1.CertificateSigningRequestStatus {
		status := certificatesv1.CertificateSigningRequestStatus{Certificate: certificate}
		for _, kind := range kinds {
			status.Conditions = append(status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue})
		}
		return status
	}
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	all := map[string]certificatesv1.CertificateSigningRequestStatus{
		"pending":             with(nil),
		"approved":            with(nil, approved),
		"denied":              with(nil, denied),
		"failed":              with(nil, failed),
		"approved, failed":    with(nil, approved, failed),
		"approved, denied":    with(nil, approved, denied),
		"approved, approved":  with(nil, approved, approved),
		"approved, seen":      with(nil, approved, "Seen"),
		"without a type":      with(nil, ""),
		"issued":              with(certificate, approved),
		"issued, not decided": with(certificate),
		"issued again":        with(append([]byte("again\n"), certificate...), approved),
		"issued text":         with([]byte("x"), approved),
	}
	other := with(nil, approved)
	other.Conditions[0].Message = "other"
	all["approved with a message"] = other
	for _, value := range []corev1.ConditionStatus{"", corev1.ConditionFalse, "Maybe"} {
		for _, kind := range []certificatesv1.RequestConditionType{approved, "Seen"} {
			status := with(nil, kind)
			status.Conditions[0].Status = value
			all[string(kind)+" is "+string(value)] = status
		}
	}
	return all
}

func TestChangesOfTheStatusAreRefusedForTheSameFields(t *testing.T) {
	scheme := newScheme()
	base, certificate := valid(t)
	possible := map[string]bool{"pending": true, "approved": true, "denied": true, "failed": true, "approved, failed": true, "approved, seen": true, "approved with a message": true, "issued": true}
	count := 0
	for before, old := range states(certificate) {
		if !possible[before] {
			continue // upstream tolerates what is stored already
		}
		for after, now := range states(certificate) {
			oldRequest, newRequest := base.DeepCopy(), base.DeepCopy()
			oldRequest.Status, newRequest.Status = old, now
			oldInternal, newInternal := toInternal(t, scheme, oldRequest), toInternal(t, scheme, newRequest)
			for endpoint, c := range map[string]struct{ got, want field.ErrorList }{
				"status":   {validation.ValidateCertificateSigningRequestStatusUpdate(newRequest, oldRequest), upstream.ValidateCertificateSigningRequestStatusUpdate(newInternal, oldInternal)},
				"approval": {validation.ValidateCertificateSigningRequestApprovalUpdate(newRequest, oldRequest), upstream.ValidateCertificateSigningRequestApprovalUpdate(newInternal, oldInternal)},
			} {
				count++
				// Ours has one error for a certificate; upstream may add one for its content.
				got, want := errorsOf(c.got), errorsOf(c.want)
				if len(got) > 0 && slices.Contains(got, "status.certificate FieldValueForbidden") {
					want = slices.DeleteFunc(want, func(text string) bool { return text == "status.certificate FieldValueInvalid" })
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: from %q to %q: got %q, upstream returns %q", endpoint, before, after, got, want)
				}
			}
		}
	}
	t.Logf("%d changes", count)
}
