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

package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestAdministratorsPassWhileTheServerStarts(t *testing.T) {
	known := func(groups []string, err error) authenticator.Request {
		return authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
			return &authenticator.Response{User: &user.DefaultInfo{Name: "x", Groups: groups}}, err == nil, err
		})
	}
	admin := []string{user.SystemPrivilegedGroup}
	for _, tc := range []struct {
		name, method string
		groups       []string
		err          error
		certificate  bool
		header       string
		want         bool
	}{
		{"an administrator reads", http.MethodGet, admin, nil, true, "", true},
		{"an administrator deletes", http.MethodDelete, admin, nil, true, "", true},
		{"an administrator writes", http.MethodPost, admin, nil, true, "", false},
		{"an administrator patches", http.MethodPatch, admin, nil, true, "", false},
		{"another user", http.MethodGet, []string{"system:authenticated"}, nil, true, "", false},
		{"a certificate that is not accepted", http.MethodGet, admin, errors.New("no"), true, "", false},
		{"no certificate", http.MethodGet, admin, nil, false, "", false},
		{"a token", http.MethodGet, admin, nil, true, "Authorization", false},
		{"an administrator that impersonates another user", http.MethodGet, admin, nil, true, "Impersonate-User", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/api/v1/secrets", nil)
			r.TLS = &tls.ConnectionState{}
			if tc.certificate {
				r.TLS.PeerCertificates = []*x509.Certificate{{}}
			}
			if tc.header != "" {
				r.Header.Set(tc.header, "y")
			}
			if got := mayCure(known(tc.groups, tc.err))(r); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
