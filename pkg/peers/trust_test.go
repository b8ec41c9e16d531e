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

package peers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// enter writes an entry into the directory, as a server does.
func enter(t *testing.T, r *rig, replica Replica) {
	t.Helper()
	client := r.etcd.NewClient()
	defer client.Close()
	data, err := json.Marshal(replica)
	if err == nil {
		_, err = client.Put(t.Context(), root+"/registry/"+replica.ID, string(data))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func identity(t *testing.T, user string) tls.Certificate {
	t.Helper()
	pair, err := certificates.Replica(user, serverName, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key, Leaf: pair.Cert}
}

// send sends a request for a stream with a client certificate, and returns the code and the text of the answer.
func send(t *testing.T, to *server, method, path string, headers http.Header, certificate *tls.Certificate) (int, string) {
	t.Helper()
	transport := to.http.Client().Transport.(*http.Transport).Clone()
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // HTTP/1.1
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	if certificate != nil {
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), method, to.http.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, headers)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, ""
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestOnlyServersInTheDirectoryOpenStreams(t *testing.T) {
	r := newRig(t)
	a, b, gone := r.start(t), r.start(t), r.start(t)
	know(t, a, b, gone)
	b.connect(t, "edge-1", named("one"))
	gone.stop()
	kit.Eventually(t, "the stopped server is forgotten", func(context.Context) bool {
		_, known := b.replica(gone.own.ID)
		return !known
	})
	forged, other := identity(t, User), identity(t, "system:masters")
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocol}}
	for _, row := range []struct {
		name, method, path string
		headers            http.Header
		certificate        *tls.Certificate
		code               int
	}{
		{"another server opens a stream", http.MethodPost, "edge-1", upgrade, &a.certificate, http.StatusSwitchingProtocols},
		{"another server asks for a host that is not connected", http.MethodPost, "edge-2", upgrade, &a.certificate, http.StatusNotFound},
		{"another server asks for no stream", http.MethodPost, "edge-1", nil, &a.certificate, http.StatusBadRequest},
		{"another server asks with GET", http.MethodGet, "edge-1", upgrade, &a.certificate, http.StatusBadRequest},
		{"a client without a certificate", http.MethodPost, "edge-1", upgrade, nil, http.StatusForbidden},
		{"a certificate that somebody has made for the same name", http.MethodPost, "edge-1", upgrade, &forged, http.StatusForbidden},
		{"a certificate of another name", http.MethodPost, "edge-1", upgrade, &other, http.StatusForbidden},
		{"a server that has stopped", http.MethodPost, "edge-1", upgrade, &gone.certificate, http.StatusForbidden},
		{"a certificate beside the key of another", http.MethodPost, "edge-1", upgrade, &b.certificate, http.StatusForbidden}, // its own is not one of the others
	} {
		t.Run(row.name, func(t *testing.T) {
			if code, text := send(t, b, row.method, PathPrefix+row.path, row.headers, row.certificate); code != row.code {
				t.Errorf("%d %s", code, text)
			}
		})
	}
	for _, path := range []string{"/", "/peer", "/peer/hosts", "/apis/fleet.gatehouse.dev/v1alpha1/hosts"} {
		if code, _ := send(t, b, http.MethodGet, path, nil, &a.certificate); code != http.StatusTeapot {
			t.Errorf("%s is answered with %d before users are authenticated", path, code)
		}
	}
}

func TestAServerWithAnotherCertificateThanInTheDirectoryIsNotAsked(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	b.connect(t, "edge-1", named("one"))
	b.stop()
	enter(t, r, Replica{ID: "other", Address: b.own.Address, Certificate: identity(t, User).Certificate[0]})
	_, err := a.Dial(t.Context(), "edge-1")
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("%v", err)
	}
}

func TestUnknownCertificatesCauseFewReads(t *testing.T) {
	r := newRig(t)
	a := r.start(t)
	know(t, a)
	late := identity(t, User)
	if a.Knows(t.Context(), late.Certificate[0]) {
		t.Fatal("nobody has it")
	}
	enter(t, r, Replica{ID: "late", Address: "127.0.0.1:1", Certificate: late.Certificate[0]})
	a.looked = time.Now().Add(time.Hour)
	if a.Knows(t.Context(), late.Certificate[0]) {
		t.Error("it was read again at once")
	}
	a.looked = time.Time{}
	if !a.Knows(t.Context(), late.Certificate[0]) {
		t.Error("a server that has just started is not known")
	}
}

func TestTheDirectoryHasTheServersThatRun(t *testing.T) {
	r := newRig(t)
	a, b := r.start(t), r.start(t)
	know(t, a, b)
	client := r.etcd.NewClient()
	defer client.Close()
	t.Run("an entry lives as long as its server renews it", func(t *testing.T) {
		found, err := client.Get(t.Context(), root+"/registry/"+b.own.ID)
		if err != nil || len(found.Kvs) != 1 || found.Kvs[0].Lease == 0 {
			t.Fatal(found, err)
		}
		left, err := client.TimeToLive(t.Context(), clientv3.LeaseID(found.Kvs[0].Lease))
		if err != nil || left.GrantedTTL != int64(lifetime.Seconds()) {
			t.Fatal(left, err)
		}
		if strings.Contains(string(found.Kvs[0].Value), "PRIVATE") {
			t.Error("a key is in etcd")
		}
	})
	t.Run("an entry that was lost comes again", func(t *testing.T) {
		found, err := client.Get(t.Context(), root+"/registry/"+b.own.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Revoke(t.Context(), clientv3.LeaseID(found.Kvs[0].Lease)); err != nil {
			t.Fatal(err)
		}
		know(t, a, b)
	})
	t.Run("servers of another API are not in it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for prefix, want := range map[string]int{"/other": 0, "/registry/other": 0, "registry": 2} {
			d := newDirectory(ctx, r.etcd.NewClient(), prefix, Replica{ID: "of" + prefix, Address: "127.0.0.1:1"})
			if err := d.announce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if others, err := d.Others(t.Context()); err != nil || len(others) != want {
				t.Error(prefix, others, err)
			}
			if _, err := d.client.Revoke(t.Context(), d.lease); err != nil {
				t.Fatal(err)
			}
		}
		if others, err := a.Others(t.Context()); err != nil || len(others) != 1 {
			t.Error(others, err)
		}
	})
	t.Run("without etcd the last servers are asked", func(t *testing.T) {
		b.connect(t, "edge-1", named("one"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if others, err := a.Others(ctx); err != nil || len(others) != 1 {
			t.Error(others, err)
		}
		if _, err := newDirectory(ctx, client, "/registry", Replica{}).Others(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(fmt.Sprint(err), "the list of servers cannot be read") {
			t.Error(err)
		}
	})
	t.Run("a server that stops leaves it", func(t *testing.T) {
		b.stop()
		if others, err := a.Others(t.Context()); err != nil || len(others) != 0 {
			t.Error(others, err)
		}
		if _, err := a.Dial(t.Context(), "edge-1"); !errors.Is(err, tunnel.ErrNotConnected) {
			t.Error(err)
		}
	})
}
