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
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// pair issues the certificate of a host.
func pair(t *testing.T, ca certificates.KeyPair, host string, at time.Time) (certificate, key []byte) {
	t.Helper()
	certificate, key, err := certificates.IssueHost(ca, "system:host:"+host, []string{"system:hosts"}, 100*24*time.Hour, at)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func authority(t *testing.T) certificates.KeyPair {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if _, err := certificates.Ensure(dir, certificates.Options{}); err != nil {
		t.Fatal(err)
	}
	ca, err := certificates.LoadCA(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestTheNewerCertificateOfTheHostCounts(t *testing.T) {
	ca, now := authority(t), time.Now()
	file := filepath.Join(t.TempDir(), "pki", "host.pem")
	use := func(certificate, key []byte, host string) *x509.Certificate {
		t.Helper()
		config := &rest.Config{Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CertData: certificate, KeyData: key}}
		r, err := NewRenewer(config, host, file)
		if err != nil {
			t.Fatal(err)
		}
		if config.CertFile != file || config.KeyFile != file || config.CertData != nil || config.KeyData != nil {
			t.Error("the configuration does not read the file")
		}
		if saved, err := r.read(); err != nil || !saved.Equal(r.current) {
			t.Errorf("the file has another certificate: %v", err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file is %v, %v", info, err)
		}
		return r.current
	}
	oldCertificate, oldKey := pair(t, ca, "edge-1", now.Add(-time.Hour))
	newCertificate, newKey := pair(t, ca, "edge-1", now)
	otherCertificate, otherKey := pair(t, ca, "edge-2", now.Add(-2*time.Hour))
	first := use(oldCertificate, oldKey, "edge-1")
	renewed := use(newCertificate, newKey, "edge-1")
	if renewed.Equal(first) {
		t.Error("a newer certificate in the kubeconfig is not used")
	}
	if !use(oldCertificate, oldKey, "edge-1").Equal(renewed) {
		t.Error("the older certificate in the kubeconfig replaces a renewed one")
	}
	if use(otherCertificate, otherKey, "edge-2").Subject.CommonName != "system:host:edge-2" {
		t.Error("the certificate of another host is used")
	}
	if err := os.WriteFile(file, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !use(oldCertificate, oldKey, "edge-1").Equal(first) {
		t.Error("a damaged file is not replaced")
	}
}

func TestACertificateIsRenewedInTheLastThirdOfItsLife(t *testing.T) {
	certificate := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(100 * time.Hour)}
	for part, want := range map[float64]time.Duration{0: 70 * time.Hour, 0.5: 80 * time.Hour, 1: 90 * time.Hour} {
		if got := renewAt(certificate, part); got.Sub(begin).Round(time.Second) != want {
			t.Errorf("%v: renewed after %s, want %s", part, got.Sub(begin), want)
		}
	}
}

func TestTheConditionSaysUntilWhenTheCertificateIsValid(t *testing.T) {
	clock := clocktesting.NewFakeClock(begin)
	r := &Renewer{clock: clock, current: &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(100 * time.Hour)}}
	for _, tc := range []struct {
		after  time.Duration
		failed error
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		{time.Hour, nil, metav1.ConditionTrue, "Valid", "valid until 2026-01-05T04:00:00Z"},
		{91 * time.Hour, errors.New("denied"), metav1.ConditionTrue, "Valid", "valid until"},
		{96 * time.Hour, errors.New("denied"), metav1.ConditionFalse, "ExpiresSoon", "is not renewed: denied"},
		{101 * time.Hour, errors.New("denied"), metav1.ConditionFalse, "Expired", "join again"},
	} {
		clock.SetTime(begin.Add(tc.after))
		r.failed = tc.failed
		c := r.Condition()
		if c.Type != CertificateValid || c.Status != tc.status || c.Reason != tc.reason || !strings.Contains(c.Message, tc.says) {
			t.Errorf("after %s: %+v", tc.after, c)
		}
	}
}
