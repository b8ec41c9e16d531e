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

package authentication

import (
	"crypto/tls"
	cryptox509 "crypto/x509"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
)

// connections authenticates requests by client certificates, and has the library verify those of a connection once
// and not for each of its requests. A verification counts for one connection, while the pool of authorities is the
// same object and the time is within the validity of every certificate of the chain. Otherwise the library verifies
// again, and decides. A reload of the authorities makes a new pool, also one that removes an authority.
//
// Failures are not kept. Revocation of hosts and users is not a part of verification: package revocation checks each
// request.
type connections struct {
	// authorities returns the pool in force.
	authorities x509.VerifyOptionFunc
	// verify is the library's authenticator; its users are validUsers.
	verify authenticator.Request
	clock  clock.PassiveClock

	// verified has a *verification for each open connection, by weak.Pointer[tls.ConnectionState]: the server
	// has one ConnectionState for each connection, which all its requests point to.
	verified sync.Map
}

// verification is a chain that the library has verified.
type verification struct {
	authorities         *cryptox509.CertPool
	notBefore, notAfter time.Time
	response            authenticator.Response
}

// validUser is the user of a chain with the time in which all its certificates are valid.
type validUser struct {
	user.Info
	notBefore, notAfter time.Time
}

// byCertificate authenticates requests by client certificates of the authorities: user = CN, groups = O.
func byCertificate(authorities x509.VerifyOptionFunc) authenticator.Request {
	return newConnections(authorities, clock.RealClock{})
}

func newConnections(authorities x509.VerifyOptionFunc, clock clock.PassiveClock) *connections {
	return &connections{authorities: authorities, verify: x509.NewDynamic(authorities, validUserOfCertificate), clock: clock}
}

// validUserOfCertificate is userOfCertificate with a validUser.
var validUserOfCertificate = x509.UserConversionFunc(func(chain []*cryptox509.Certificate) (*authenticator.Response, bool, error) {
	response, ok, err := userOfCertificate(chain)
	if err != nil || !ok {
		return response, ok, err
	}
	valid := &validUser{Info: response.User, notBefore: chain[0].NotBefore, notAfter: chain[0].NotAfter}
	for _, certificate := range chain[1:] {
		if certificate.NotBefore.After(valid.notBefore) {
			valid.notBefore = certificate.NotBefore
		}
		if certificate.NotAfter.Before(valid.notAfter) {
			valid.notAfter = certificate.NotAfter
		}
	}
	response.User = valid
	return response, true, nil
})

// AuthenticateRequest implements authenticator.Request.
func (c *connections) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	// The pool is read before the library reads it: a result is never kept under a pool that is newer than the one
	// that verified it.
	options, ok := c.authorities()
	if !ok {
		return nil, false, nil
	}
	key := weak.Make(r.TLS)
	if kept, ok := c.verified.Load(key); ok {
		if kept := kept.(*verification); kept.holds(options.Roots, c.clock.Now()) {
			response := kept.response
			return &response, true, nil
		}
	}
	response, ok, err := c.verify.AuthenticateRequest(r)
	if err != nil || !ok {
		return response, ok, err
	}
	if valid, ok := response.User.(*validUser); ok {
		response.User = valid.Info
		c.keep(key, r.TLS, &verification{options.Roots, valid.notBefore, valid.notAfter, *response})
	}
	return response, true, nil
}

// holds reports whether the library would verify the same chain again.
func (v *verification) holds(authorities *cryptox509.CertPool, now time.Time) bool {
	return v.authorities == authorities && !now.Before(v.notBefore) && !now.After(v.notAfter)
}

// keep keeps a verification until the connection is closed and collected.
func (c *connections) keep(key weak.Pointer[tls.ConnectionState], state *tls.ConnectionState, v *verification) {
	if v.authorities == nil {
		return // the system's authorities, which are no object to compare
	}
	if _, known := c.verified.Swap(key, v); !known {
		runtime.AddCleanup(state, func(key weak.Pointer[tls.ConnectionState]) { c.verified.Delete(key) }, key)
	}
}
