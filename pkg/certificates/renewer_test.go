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
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

func TestRenewerChecksEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t)
		first := h.ensure("box")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		var told []*Bundle
		fail := true
		r := NewRenewer(h.dir, Options{ExtraSANs: []string{"box"}, Clock: h.clock}, func(b *Bundle) error {
			told = append(told, b)
			if fail {
				return errors.New("the disk is full")
			}
			return nil
		})
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		synctest.Wait()

		h.clock.Step(checkInterval)
		synctest.Wait()
		if len(told) > 0 {
			t.Fatal("renewed although there is nothing to renew")
		}
		h.clock.Step(250 * day)
		synctest.Wait()
		if len(told) != 1 || !slices.Equal(told[0].Issued, []string{"serving", "admin"}) {
			t.Fatalf("after 250 days: %v", told)
		}
		if bytes.Equal(told[0].Serving.CertPEM, first.Serving.CertPEM) || !covers(told[0].Serving.Cert, []string{"box"}, nil) {
			t.Error("the serving certificate was not renewed with the same names")
		}

		fail = false
		h.clock.Step(checkInterval)
		synctest.Wait()
		if len(told) != 2 || !bytes.Equal(told[1].Admin.CertPEM, told[0].Admin.CertPEM) {
			t.Fatalf("the failed call was not repeated with the same certificates: %d calls", len(told))
		}
		h.clock.Step(checkInterval)
		synctest.Wait()
		if len(told) != 2 {
			t.Error("the call was repeated although it succeeded")
		}

		cancel()
		<-done
	})
}

func TestRenewerNeverMakesACA(t *testing.T) {
	h := newHome(t)
	h.ensure()
	h.remove("ca.crt", "ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key")
	err := NewRenewer(h.dir, Options{Clock: h.clock}, nil).check()
	if err == nil || !strings.Contains(err.Error(), "are gone") {
		t.Errorf("got %v", err)
	}
	if left := h.files(); len(left) > 0 {
		t.Errorf("it made %v", left)
	}
}

func TestTheServersProviderReloadsRenewedFiles(t *testing.T) {
	h := newHome(t)
	h.clock.SetTime(time.Now())
	b := h.ensure()
	provider, err := dynamiccertificates.NewDynamicServingContentFromFiles("serving", b.ServingCertFile, b.ServingKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Step(300 * day)
	if err := NewRenewer(h.dir, Options{Clock: h.clock}, nil).check(); err != nil {
		t.Fatal(err)
	}
	if err := provider.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := provider.CurrentCertKeyContent()
	if bytes.Equal(certPEM, b.Serving.CertPEM) || bytes.Equal(keyPEM, b.Serving.KeyPEM) {
		t.Error("the provider has the old pair")
	}
}

func TestANewNameIsInTheCertificateAMinuteLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t)
		names := []string{"10.0.0.1"}
		options := Options{Changing: func() []string { return names }, Clock: h.clock}
		first, err := Ensure(h.dir, options)
		if err != nil || !covers(first.Serving.Cert, nil, []net.IP{net.IPv4(10, 0, 0, 1)}) {
			t.Fatalf("the first certificate is for %v: %v", first.Serving.Cert.IPAddresses, err)
		}
		var told []*Bundle
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() {
			NewRenewer(h.dir, options, func(b *Bundle) error { told = append(told, b); return nil }).Run(ctx)
			close(done)
		}()
		synctest.Wait()
		step := func() {
			h.clock.Step(changingInterval)
			synctest.Wait()
		}
		step()
		if len(told) != 0 {
			t.Error("renewed although nothing has changed")
		}
		names = []string{"10.0.0.2"}
		step()
		if len(told) != 1 || !slices.Equal(told[0].Issued, []string{"serving"}) || !covers(told[0].Serving.Cert, nil, []net.IP{net.IPv4(10, 0, 0, 2)}) {
			t.Fatalf("after a new address: %v", told)
		}
		// A removed address does not cause a new certificate.
		names = nil
		step()
		if len(told) != 1 {
			t.Error("renewed because an address is gone")
		}
		cancel()
		<-done
	})
}
