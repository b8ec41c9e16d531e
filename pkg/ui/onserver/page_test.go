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

package onserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
)

// byHeader authenticates by the header Authorization, whose value is the user.
var byHeader = authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
	switch name := r.Header.Get("Authorization"); name {
	case "":
		return nil, false, nil
	case "revoked":
		return nil, false, errors.New("the certificate with the serial number 1 is revoked")
	default:
		if name == "proxied" {
			origin.Accept(r.Context(), origin.FrontProxy)
		}
		r.Header.Del("Authorization") // as the library does
		return &authenticator.Response{User: &user.DefaultInfo{Name: name, Groups: []string{"b", "a"}}}, true, nil
	}
})

func newTestPage() *Page {
	return &Page{
		sessions: ui.NewSessions(ui.ServerLimits, clock.RealClock{}), loopback: &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "loopback"},
		address: "https://127.0.0.1:6444", credentials: byHeader, users: map[[sha256.Size]byte]user.Info{},
	}
}

func TestATokenOfASessionReadsAsItsUserUntilItEnds(t *testing.T) {
	p := newTestPage()
	authn := p.wrap(byHeader)
	token, end := p.mint(&user.DefaultInfo{Name: "ann"})
	authenticate := func(method, header string) (string, bool, error) {
		r := httptest.NewRequest(method, "/api", nil)
		r.Header.Set("Authorization", header)
		response, ok, err := authn.AuthenticateRequest(r)
		if !ok {
			return "", ok, err
		}
		return response.User.GetName(), ok, err
	}
	for _, c := range []struct {
		name, method, header, user string
		failed                     bool
	}{
		{name: "GET", method: http.MethodGet, header: "Bearer " + tokenPrefix + token, user: "ann"},
		{name: "HEAD", method: http.MethodHead, header: "Bearer " + tokenPrefix + token, user: "ann"},
		{name: "POST", method: http.MethodPost, header: "Bearer " + tokenPrefix + token, failed: true},
		{name: "DELETE", method: http.MethodDelete, header: "Bearer " + tokenPrefix + token, failed: true},
		{name: "a guess", method: http.MethodGet, header: "Bearer " + tokenPrefix + "guess", failed: true},
		{name: "no token", method: http.MethodGet, header: "Bearer " + tokenPrefix, failed: true},
		{name: "the token without its prefix is for other authenticators", method: http.MethodGet, header: token, user: token},
	} {
		t.Run(c.name, func(t *testing.T) {
			if name, ok, err := authenticate(c.method, c.header); name != c.user || ok == c.failed || (err != nil) != c.failed {
				t.Errorf("got %q, %v, %v", name, ok, err)
			}
		})
	}
	if end(); len(p.users) != 0 {
		t.Error("the token is kept")
	}
	if _, ok, err := authenticate(http.MethodGet, "Bearer "+tokenPrefix+token); ok || err == nil {
		t.Error("the token of a session that has ended is accepted")
	}
}

func TestALinkIsForTheUserOfTheRequest(t *testing.T) {
	p := newTestPage()
	offer := func(header string, u user.Info) error {
		var result error
		handler := withCreation(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, sum := ui.NewSecret()
			_, _, _ = byHeader(r) // which removes the header
			var address string
			if address, _, result = p.Offer(r.Context(), u, sum); result == nil && address != "https://127.0.0.1:6444" {
				t.Errorf("the address is %s", address)
			}
		}))
		r := httptest.NewRequest(http.MethodPost, creationPath, nil)
		r.Header.Set("Authorization", header)
		handler.ServeHTTP(httptest.NewRecorder(), r)
		return result
	}
	ann := &user.DefaultInfo{Name: "ann", Groups: []string{"a", "b"}}
	for _, c := range []struct {
		name, header string
		user         user.Info
		refused      bool
	}{
		{"its own user", "ann", ann, false},
		{"an impersonated user", "root", ann, true},
		{"other groups", "ann", &user.DefaultInfo{Name: "ann", Groups: []string{"a", "system:masters"}}, true},
		{"another UID", "ann", &user.DefaultInfo{Name: "ann", UID: "1", Groups: []string{"a", "b"}}, true},
		{"credentials that only the server's own client has", "", ann, true},
		{"a user that a proxy names", "proxied", &user.DefaultInfo{Name: "proxied", Groups: []string{"a", "b"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := offer(c.header, c.user); (err != nil) != c.refused || c.refused && !apierrors.IsForbidden(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, _, err := p.Offer(t.Context(), ann, [sha256.Size]byte{}); err == nil {
		t.Error("a request that the server did not see makes a link")
	}
}

func TestCredentialsAreAuthenticatedAgain(t *testing.T) {
	fake := clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
	saved := httptest.NewRequest(http.MethodPost, creationPath, nil)
	saved.Header.Set("Authorization", "ann")
	check := &recheck{credentials: byHeader, request: saved, user: &user.DefaultInfo{Name: "ann", Groups: []string{"a", "b"}}, clock: fake}
	for range 3 { // the authenticator removes the header of a copy
		if err := check.err(t.Context()); err != nil {
			t.Fatal(err)
		}
		fake.SetTime(fake.Now().Add(recheckInterval))
	}
	if err := check.err(t.Context()); err != nil {
		t.Fatal(err)
	}
	saved.Header.Set("Authorization", "revoked")
	if err := check.err(t.Context()); err != nil {
		t.Errorf("a result counts for %s: %v", recheckInterval, err)
	}
	fake.SetTime(fake.Now().Add(recheckInterval))
	if err := check.err(t.Context()); err == nil {
		t.Error("revoked credentials are accepted")
	}
	saved.Header.Set("Authorization", "ann")
	fake.SetTime(fake.Now().Add(recheckInterval))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_ = check.err(gone)
	if err := check.err(t.Context()); err != nil {
		t.Errorf("a request that has ended decides for others: %v", err)
	}
}

func TestTheNamesOfThePage(t *testing.T) {
	at := func(ip string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/ui/", nil)
		return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(ip), Port: 6444}))
	}
	for _, c := range []struct {
		name, ip, port string
		names, want    []string
	}{
		{"loopback", "127.0.0.1", "6444", nil, []string{"127.0.0.1:6444", "localhost:6444"}},
		{"an address of the machine and a name", "10.0.0.1", "6444", []string{"gatehouse.example.com"}, []string{"gatehouse.example.com:6444", "10.0.0.1:6444"}},
		{"IPv6", "2001:db8::1", "6444", nil, []string{"[2001:db8::1]:6444"}},
		{"the port that browsers leave out", "10.0.0.1", "443", nil, []string{"10.0.0.1:443", "10.0.0.1"}},
	} {
		if got := authorities(c.names, c.port)(at(c.ip)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		ip    string
		names []string
		want  string
	}{
		{"127.0.0.1", []string{"gatehouse.example.com"}, "https://127.0.0.1:6444"},
		{"0.0.0.0", []string{"gatehouse.example.com"}, "https://gatehouse.example.com:6444"},
		{"::", nil, "https://127.0.0.1:6444"},
		{"::1", nil, "https://[::1]:6444"},
	} {
		got := linkAddress(&net.TCPAddr{IP: net.ParseIP(c.ip), Port: 6444}, c.names)
		if _, err := url.Parse(got); err != nil || got != c.want {
			t.Errorf("%s: got %s, want %s", c.ip, got, c.want)
		}
	}
}

func TestTheAddressOfThePageIsChecked(t *testing.T) {
	for listen, valid := range map[string]bool{"": true, "127.0.0.1:0": true, "[::1]:6444": true, "0.0.0.0:6444": true, "6444": false, ":6444": false, "localhost:6444": false, "127.0.0.1": false, "127.0.0.1:70000": false} {
		o := Options{Listen: listen}
		if errs := o.Validate(); (len(errs) == 0) != valid {
			t.Errorf("%q: %v", listen, errs)
		}
	}
}
