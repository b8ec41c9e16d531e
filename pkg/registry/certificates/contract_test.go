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

package certificates_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	clientcert "k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	certificatesregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/certificates"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// newPEM returns a request of jane, and a certificate of another.
func newPEM(t *testing.T) (signingRequest, certificate []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err = clientcert.GenerateSelfSignedCertKey("jane.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), certificate
}

func newRequest(signingRequest []byte) *certificatesv1.CertificateSigningRequest {
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "jane"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: signingRequest, SignerName: "example.com/signer", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}
}

// newAnchor returns the certificate of an authority in PEM.
func newAnchor(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := clientcert.NewSelfSignedCACert(clientcert.Config{CommonName: "anchor"}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: anchor.Raw}))
}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	signingRequest, certificate := newPEM(t)
	anchor, nextAnchor := newAnchor(t), newAnchor(t)
	then := metav1.NewTime(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
	below := func(name string, leavesAlone ...string) registrytest.Subresource {
		return registrytest.Subresource{Name: name, Kind: "CertificateSigningRequest", Verbs: []string{"get", "patch", "update"}, LeavesAlone: leavesAlone}
	}
	registrytest.Contract(t, registrytest.Group{
		Name:       certificates.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: registrytest.NewStorage(certificatesregistry.StorageProvider{}, certificates.GroupName),
		Builtin:    true,
		Resources: []registrytest.Resource{{
			Name:                 "certificatesigningrequests",
			Singular:             "certificatesigningrequest",
			Kind:                 "CertificateSigningRequest",
			ShortNames:           []string{"csr"},
			Verbs:                registrytest.StandardVerbs,
			Columns:              []string{"NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION"},
			SelectableFields:     []string{"spec.signerName"},
			Key:                  "/registry/certificatesigningrequests/jane",
			NoGeneration:         true,
			Unconditional:        true,
			StatusWritesMetadata: true,
			LeavesAlone:          []string{"spec", "status"},
			Sample: func() runtime.Object {
				csr := newRequest(signingRequest)
				csr.Status = certificatesv1.CertificateSigningRequestStatus{
					Certificate: certificate,
					Conditions: []certificatesv1.CertificateSigningRequestCondition{{
						Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: "Tested", LastUpdateTime: then, LastTransitionTime: then,
					}},
				}
				return csr
			},
			Subresources: []registrytest.Subresource{
				below("approval", "spec", "status.certificate"),
				below("status", "spec", "status.conditions"),
			},
		}, {
			Name:             "clustertrustbundles",
			Singular:         "clustertrustbundle",
			Kind:             "ClusterTrustBundle",
			Verbs:            registrytest.StandardVerbs,
			Columns:          []string{"NAME", "SIGNERNAME"},
			SelectableFields: []string{"spec.signerName"},
			Key:              "/registry/clustertrustbundles/anchors",
			NoGeneration:     true,
			Sample: func() runtime.Object {
				// Without a signer, so that the contract can choose other names.
				return &certificatesv1.ClusterTrustBundle{ObjectMeta: metav1.ObjectMeta{Name: "anchors"}, Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: anchor}}
			},
			ChangeSpec: func(obj runtime.Object) {
				obj.(*certificatesv1.ClusterTrustBundle).Spec.TrustBundle = nextAnchor
			},
		}},
	})
}

// endpoints are the storages of the group, on a real etcd.
type endpoints map[string]rest.Storage

func newEndpoints(t *testing.T) endpoints {
	t.Helper()
	scheme, codecs := apiserver.NewBuiltinScheme()
	built, err := registrytest.NewStorage(certificatesregistry.StorageProvider{}, certificates.GroupName)(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, storage := range built["v1"] {
			storage.Destroy()
		}
	})
	return built["v1"]
}

// as returns the context of a request of a user.
func as(caller user.Info) context.Context {
	return request.WithNamespace(request.WithUser(request.NewContext(), caller), metav1.NamespaceNone)
}

func (e endpoints) create(t *testing.T, ctx context.Context, csr *certificatesv1.CertificateSigningRequest) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	created, err := e["certificatesigningrequests"].(rest.Creater).Create(ctx, csr, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created.(*certificatesv1.CertificateSigningRequest)
}

func (e endpoints) write(ctx context.Context, path string, csr *certificatesv1.CertificateSigningRequest) (*certificatesv1.CertificateSigningRequest, error) {
	written, _, err := e[path].(rest.Updater).Update(ctx, csr.Name, rest.DefaultUpdatedObjectInfo(csr), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return written.(*certificatesv1.CertificateSigningRequest), nil
}

func TestTheServerRecordsTheCaller(t *testing.T) {
	signingRequest, certificate := newPEM(t)
	storages := newEndpoints(t)
	for _, tc := range []struct {
		name   string
		caller *user.DefaultInfo
	}{
		{"with everything", &user.DefaultInfo{Name: "jane", UID: "1", Groups: []string{"team"}, Extra: map[string][]string{"example.com/a": {"b"}}}},
		{"with nothing", &user.DefaultInfo{Name: "joe"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			forged := newRequest(signingRequest)
			forged.Name = tc.caller.Name
			forged.Spec.Username, forged.Spec.UID, forged.Spec.Groups = "gatehouse-admin", "0", []string{"system:masters"}
			forged.Spec.Extra = map[string]certificatesv1.ExtraValue{"example.com/forged": {"yes"}}
			forged.Status.Certificate = certificate
			forged.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}}
			csr := storages.create(t, as(tc.caller), forged)
			extra := map[string][]string{}
			for key, values := range csr.Spec.Extra {
				extra[key] = values
			}
			if csr.Spec.Username != tc.caller.Name || csr.Spec.UID != tc.caller.UID || !slices.Equal(csr.Spec.Groups, tc.caller.Groups) || !apiequality.Semantic.DeepEqual(extra, tc.caller.Extra) {
				t.Errorf("recorded %+v", csr.Spec)
			}
			if len(csr.Status.Conditions) > 0 || len(csr.Status.Certificate) > 0 {
				t.Errorf("the status is %+v", csr.Status)
			}
			csr.Spec.Username, csr.Spec.SignerName = "gatehouse-admin", "example.com/other"
			written, err := storages.write(as(tc.caller), "certificatesigningrequests", csr)
			if err != nil || written.Spec.Username != tc.caller.Name || written.Spec.SignerName != "example.com/signer" {
				t.Errorf("a write left %+v, %v", written, err)
			}
		})
	}
}

// change changes a request before it is written.
type change = func(*certificatesv1.CertificateSigningRequest)

// has sets conditions of these types, and no others.
func has(kinds ...certificatesv1.RequestConditionType) change {
	return func(csr *certificatesv1.CertificateSigningRequest) {
		csr.Status.Conditions = nil
		for _, kind := range kinds {
			csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue, Message: string(kind)})
		}
	}
}

// withStatus sets one condition.
func withStatus(kind certificatesv1.RequestConditionType, value corev1.ConditionStatus) change {
	return func(csr *certificatesv1.CertificateSigningRequest) {
		has(kind)(csr)
		csr.Status.Conditions[0].Status = value
	}
}

func issued(data []byte) change {
	return func(csr *certificatesv1.CertificateSigningRequest) { csr.Status.Certificate = data }
}

func all(changes ...change) change {
	return func(csr *certificatesv1.CertificateSigningRequest) {
		for _, f := range changes {
			f(csr)
		}
	}
}

func TestConditionsAndTheCertificateAreWrittenWhereTheyBelong(t *testing.T) {
	signingRequest, certificate := newPEM(t)
	_, other := newPEM(t)
	const main, approval, status = "certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status"
	message := func(csr *certificatesv1.CertificateSigningRequest) { csr.Status.Conditions[0].Message = "changed" }
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	nothing := func(*certificatesv1.CertificateSigningRequest) {}
	for _, tc := range []struct {
		name   string
		before change
		path   string
		change change
		// fields are those of the error; unchanged is true if the write is accepted and changes nothing.
		fields    []string
		unchanged bool
	}{
		{"an approval", nothing, approval, has(approved), nil, false},
		{"a denial", nothing, approval, has(denied), nil, false},
		{"an approval and a denial", nothing, approval, has(approved, denied), []string{"status.conditions"}, false},
		{"a denial of an approved request", has(approved), approval, has(approved, denied), []string{"status.conditions"}, false},
		{"a denial in place of an approval", has(approved), approval, has(denied), []string{"status.conditions"}, false},
		{"an approval that is taken back", has(approved), approval, has(), []string{"status.conditions"}, false},
		{"a failure that is taken back", has(approved, failed), approval, has(approved), []string{"status.conditions"}, false},
		{"an approval that is False", nothing, approval, withStatus(approved, corev1.ConditionFalse), []string{"status.conditions[0].status"}, false},
		{"an approval without a status", nothing, approval, withStatus(approved, ""), []string{"status.conditions[0].status"}, false},
		{"another condition that is False", nothing, approval, withStatus("Seen", corev1.ConditionFalse), nil, false},
		{"another condition with another status", nothing, approval, withStatus("Seen", "Maybe"), []string{"status.conditions[0].status"}, false},
		{"two approvals", nothing, approval, has(approved, approved), []string{"status.conditions[1].type"}, false},
		{"a condition without a type", nothing, approval, has(""), []string{"status.conditions[0].type"}, false},
		{"65 conditions", nothing, approval, has(make([]certificatesv1.RequestConditionType, 65)...), []string{"status.conditions"}, false},
		{"a certificate at the approval", has(approved), approval, issued(certificate), nil, true},
		{"a certificate", has(approved), status, issued(certificate), nil, false},
		{"a failure", has(approved), status, has(approved, failed), nil, false},
		{"a certificate that is changed", all(has(approved), issued(certificate)), status, issued(other), []string{"status.certificate"}, false},
		{"a certificate that is taken back", all(has(approved), issued(certificate)), status, issued(nil), []string{"status.certificate"}, false},
		{"a request as certificate", has(approved), status, issued(signingRequest), []string{"status.certificate"}, false},
		{"text as certificate", has(approved), status, issued([]byte("x")), []string{"status.certificate"}, false},
		{"an approval at the status", nothing, status, has(approved), []string{"status.conditions"}, false},
		{"a denial at the status", has(approved), status, has(approved, denied), []string{"status.conditions"}, false},
		{"an approval that is taken back at the status", has(approved), status, has(), []string{"status.conditions"}, false},
		{"the message of an approval at the status", has(approved), status, message, nil, true},
		{"a status at the request itself", has(approved), main, all(has(denied), issued(certificate)), nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			storages := newEndpoints(t)
			ctx := as(&user.DefaultInfo{Name: "jane"})
			csr := storages.create(t, ctx, newRequest(signingRequest))
			for _, path := range []string{approval, status} {
				tc.before(csr)
				next, err := storages.write(ctx, path, csr)
				if err != nil {
					t.Fatal(err)
				}
				csr = next
			}
			changed := csr.DeepCopy()
			tc.change(changed)
			written, err := storages.write(ctx, tc.path, changed)
			if got := registrytest.RefusedFields(err); !slices.Equal(got, tc.fields) {
				t.Fatalf("the error names %q, want %q: %v", got, tc.fields, err)
			}
			if err != nil {
				return
			}
			if (written.ResourceVersion == csr.ResourceVersion) != tc.unchanged {
				t.Errorf("changed from %+v to %+v", csr.Status, written.Status)
			}
			for _, condition := range written.Status.Conditions {
				if condition.LastUpdateTime.IsZero() || condition.LastTransitionTime.IsZero() {
					t.Errorf("%s has no times", condition.Type)
				}
			}
		})
	}
}
