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

package credentials

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

func TestTheStateOfACertificateFollowsItsLifetime(t *testing.T) {
	begin := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	certificate := certificates.Certificate{Certificate: &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(30 * time.Hour)}}
	for _, test := range []struct {
		after   time.Duration
		revoked bool
		want    string
	}{
		{time.Hour, false, "Valid"}, {20 * time.Hour, false, "Valid"}, {21 * time.Hour, false, "ExpiresSoon"}, {31 * time.Hour, false, "Expired"}, {time.Hour, true, "Revoked"},
	} {
		if got := stateOf(certificate, test.revoked, begin.Add(test.after)); got != test.want {
			t.Errorf("after %s, revoked %t: %s, want %s", test.after, test.revoked, got, test.want)
		}
	}
}
