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
	"crypto/x509"
	"path/filepath"
	"strings"
)

// PairState is what the files of one certificate and its key hold.
type PairState struct {
	// Name is ca, serving, admin, peer-ca or peer.
	Name              string
	CertFile, KeyFile string
	// Cert is nil if neither file exists, and if there is an error.
	Cert *x509.Certificate
	Err  error
	// Cure is that of an error.
	Cure string
}

// Inspect reads the pairs of a certificate directory and changes nothing. Authorities come before what they sign.
func Inspect(dir string) []PairState {
	var states []PairState
	for _, name := range []string{caName, servingName, adminName, peerCAName, peerName} {
		pair := filesOf(dir, name)
		state := PairState{Name: name, CertFile: pair.cert, KeyFile: pair.key, Cure: leafCure(pair)}
		switch name {
		case caName:
			state.Cure = caCure(dir)
		case peerCAName:
			state.Cure = peerCACure(dir)
		}
		read, _, err := pair.read(state.Cure)
		state.Cert, state.Err = read.Cert, err
		states = append(states, state)
	}
	return states
}

// What returns the error without the cure.
func (s PairState) What() string { return strings.TrimSuffix(s.Err.Error(), ": "+s.Cure) }

// SigningKeyFile returns the path of the key of EnsureSigningKey.
func SigningKeyFile(dir string) string { return filepath.Join(dir, signingKeyName) }
