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

package certificatecleaner

import (
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcert "k8s.io/client-go/util/cert"
)

func TestRequestsAreDeletedAtTheAgesOfKubernetes(t *testing.T) {
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	now := time.Now()
	// It is valid for a year.
	certificate, _, err := clientcert.GenerateSelfSignedCertKey("edge-1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name        string
		created     time.Duration
		conditions  map[certificatesv1.RequestConditionType]time.Duration
		certificate []byte
		later       time.Duration
		outdated    bool
	}{
		{"a new request", time.Minute, nil, nil, 0, false},
		{"a request without a decision for 23 hours", 23 * time.Hour, nil, nil, 0, false},
		{"a request without a decision for 25 hours", 25 * time.Hour, nil, nil, 0, true},
		{"a request with only another condition for 25 hours", 25 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{"Seen": time.Minute}, nil, 0, true},
		{"a denied request after half an hour", 30 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{denied: 30 * time.Minute}, nil, 0, false},
		{"a denied request after two hours", 2 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{denied: 2 * time.Hour}, nil, 0, true},
		{"a failed request after half an hour", 30 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: 45 * time.Minute, failed: 30 * time.Minute}, nil, 0, false},
		{"a failed request after two hours", 3 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: 3 * time.Hour, failed: 2 * time.Hour}, nil, 0, true},
		{"an issued request after half an hour", 30 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: 30 * time.Minute}, certificate, 0, false},
		{"an issued request after two hours", 2 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: 2 * time.Hour}, certificate, 0, true},
		{"an approved request without a certificate after 23 hours", 30 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: 23 * time.Hour}, nil, 0, false},
		{"an approved request without a certificate after 25 hours", 30 * time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: 25 * time.Hour}, nil, 0, true},
		{"an expired certificate with a time of approval in the future", time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: -2 * 8760 * time.Hour}, certificate, 366 * 24 * time.Hour, true},
		{"a certificate that cannot be parsed", time.Hour, map[certificatesv1.RequestConditionType]time.Duration{approved: time.Minute}, []byte("x"), 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-tc.created))}}
			request.Status.Certificate = tc.certificate
			for kind, age := range tc.conditions {
				request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, LastUpdateTime: metav1.NewTime(now.Add(-age))})
			}
			if reason := Outdated(request, now.Add(tc.later)); (reason != "") != tc.outdated {
				t.Errorf("got %q", reason)
			}
		})
	}
}
