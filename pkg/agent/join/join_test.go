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

package join

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestAHostWaitsForTheDecisionOnItsRequest(t *testing.T) {
	decided := func(kind certificatesv1.RequestConditionType, message string) certificatesv1.CertificateSigningRequestStatus {
		return certificatesv1.CertificateSigningRequestStatus{Conditions: []certificatesv1.CertificateSigningRequestCondition{
			{Type: kind, Status: corev1.ConditionTrue, Message: message},
		}}
	}
	issued := decided(certificatesv1.CertificateApproved, "")
	issued.Certificate = []byte("certificate")
	for _, tc := range []struct {
		name   string
		states []certificatesv1.CertificateSigningRequestStatus // one for each look
		uid    string
		want   string // the certificate, or a part of the error
		ok     bool
	}{
		{"issued after an approval", []certificatesv1.CertificateSigningRequestStatus{{}, decided(certificatesv1.CertificateApproved, ""), issued}, "", "certificate", true},
		{"denied", []certificatesv1.CertificateSigningRequestStatus{decided(certificatesv1.CertificateDenied, `host "edge-1" is alive`)}, "", `request host-join-1 is refused: host "edge-1" is alive`, false},
		{"not signed", []certificatesv1.CertificateSigningRequestStatus{decided(certificatesv1.CertificateFailed, "too long")}, "", "is refused: too long", false},
		{"replaced by the request of another", []certificatesv1.CertificateSigningRequestStatus{issued}, "other", "was replaced: join again", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, created, looks := fake.NewClientset(), (*certificatesv1.CertificateSigningRequest)(nil), 0
			client.PrependReactor("create", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
				create, _ := a.(clienttesting.CreateAction)
				created, _ = create.GetObject().(*certificatesv1.CertificateSigningRequest)
				created.Name = created.GenerateName + "1"
				return true, created, nil
			})
			client.PrependReactor("get", "certificatesigningrequests", func(clienttesting.Action) (bool, runtime.Object, error) {
				current := created.DeepCopy()
				current.Status = tc.states[min(looks, len(tc.states)-1)]
				if looks++; tc.uid != "" {
					current.UID = "other"
				}
				return true, current, nil
			})
			key, _, err := loadKey(filepath.Join(t.TempDir(), keyName))
			if err != nil {
				t.Fatal(err)
			}
			var notes bytes.Buffer
			certificate, err := request(t.Context(), client.CertificatesV1().CertificateSigningRequests(), key, &Options{Name: "edge-1", Notes: &notes})
			got := string(certificate)
			if err != nil {
				got = err.Error()
			}
			if (err == nil) != tc.ok || !strings.Contains(got, tc.want) || looks != len(tc.states) {
				t.Errorf("got %q after %d looks, want %q", got, looks, tc.want)
			}
			if notes.String() != "Requested a certificate for edge-1 as host-join-1.\n" {
				t.Errorf("the notes are %q", notes.String())
			}
		})
	}
}

func TestTheKeyOfAnInterruptedAttemptIsUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), keyName)
	first, _, err := loadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := loadKey(path)
	if err != nil || !second.Equal(first) {
		t.Errorf("another key is made: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

func TestAHostThatHasJoinedKeepsItsCertificate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Join(t.Context(), Options{Kubeconfig: path})
	if err == nil || !strings.Contains(err.Error(), "exists: the host has joined already; remove the file to join again") {
		t.Errorf("got %v", err)
	}
}
