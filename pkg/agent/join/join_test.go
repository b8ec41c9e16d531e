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
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/failover"
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
			certificate, err := request(t.Context(), client.CertificatesV1().CertificateSigningRequests(), key, &Options{Name: "edge-1", Notes: &notes}, metav1.ObjectMeta{GenerateName: "host-join-"})
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

// api is a server at which a request for a certificate is issued at once.
func api(t *testing.T) *httptest.Server {
	t.Helper()
	const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	respond := func(w http.ResponseWriter, status certificatesv1.CertificateSigningRequestStatus) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&certificatesv1.CertificateSigningRequest{
			TypeMeta:   metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"},
			ObjectMeta: metav1.ObjectMeta{Name: "host-join-1", UID: "1"}, Status: status,
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, _ *http.Request) {
		respond(w, certificatesv1.CertificateSigningRequestStatus{})
	})
	mux.HandleFunc("GET "+path+"/host-join-1", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, certificatesv1.CertificateSigningRequestStatus{Certificate: []byte("certificate")})
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestAHostJoinsAtTheServerThatAnswersAndKnowsAllOfThem(t *testing.T) {
	away, there := api(t), api(t)
	away.Close()
	path := filepath.Join(t.TempDir(), "agent", "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: there.Certificate().Raw})
	// The first server is chosen at random, so one attempt does not show that the other is tried.
	for range 4 {
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		err := Join(t.Context(), Options{Servers: []string{away.URL, there.URL}, CA: ca, Token: "id.secret", Name: "edge-1", Kubeconfig: path, Notes: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, servers, err := failover.ReadFile(path)
	if want := away.URL + ", " + there.URL; err == nil && servers.String() != want {
		t.Errorf("the kubeconfig has %s, not %s", servers, want)
	} else if err != nil && !strings.Contains(err.Error(), "certificate") { // the one of this test cannot be used
		t.Error(err)
	}
}
