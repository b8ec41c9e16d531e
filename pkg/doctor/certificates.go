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

package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// soon is the rest of the life of a certificate from which it is a warning, at most a part of its life: those that are renewed
// every day have never more. Servers renew theirs when a third is left, so then something has failed.
const (
	soon       = 14 * 24 * time.Hour
	partOfLife = 6
)

// expiry returns what is wrong with the validity of a certificate; a status of OK for nothing.
func expiry(what, cure string, c *x509.Certificate, now time.Time) Finding {
	switch left := c.NotAfter.Sub(now); {
	case now.Before(c.NotBefore):
		return broken("set the clock of this machine, and keep it right with NTP", "%s is valid from %s on, and the clock of this machine says %s", what, stamp(c.NotBefore), stamp(now))
	case left < 0:
		return broken(cure, "%s expired on %s", what, stamp(c.NotAfter))
	case left < min(soon, c.NotAfter.Sub(c.NotBefore)/partOfLife):
		return warning(cure, "%s expires on %s, in %s", what, stamp(c.NotAfter), age(left))
	}
	return ok("%s is valid until %s", what, stamp(c.NotAfter))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// signer returns the name of the pair of the authority of a certificate; empty for an authority.
func signer(name string) string {
	switch name {
	case "serving", "admin":
		return "ca"
	case "peer":
		return "peer-ca"
	}
	return ""
}

func (s *Standalone) certificates(context.Context) []Finding {
	dir := s.certificateDir()
	if err := files.Directory(dir); errors.Is(err, fs.ErrNotExist) {
		return []Finding{ok("there are none yet: the first start makes them")}
	} else if err != nil {
		return []Finding{untrusted(err)}
	}
	var found []Finding
	states := map[string]certificates.PairState{}
	now := s.Clock.Now()
	var first time.Time // the first expiry
	for _, state := range certificates.Inspect(dir) {
		states[state.Name] = state
		switch {
		case state.Err != nil:
			found = append(found, pairFault(state))
			continue
		case state.Cert == nil:
			continue
		}
		cure := ""
		if state.Cert.IsCA {
			cure = "stop the server, remove " + dir + " and start again; then every kubeconfig and client certificate must be issued again"
		}
		if f := expiry(state.CertFile, cure, state.Cert, now); f.Status != OK {
			found = append(found, f)
		}
		if first.IsZero() || state.Cert.NotAfter.Before(first) {
			first = state.Cert.NotAfter
		}
		if f, wrong := signedBy(state, states[signer(state.Name)]); wrong {
			found = append(found, f)
		}
	}
	if len(found) > 0 {
		return found // the list of certificates would fail for the same reasons
	}
	if _, err := certificates.List(dir); err != nil {
		found = append(found, broken("remove the file: without a readable record, this certificate cannot be revoked", "a record below %s is damaged", filepath.Join(dir, "issued")))
	}
	if first.IsZero() {
		return []Finding{ok("there are none yet: the first start makes them")}
	}
	return orOK(found, "keys match, authorities have signed what they should, and the first certificate expires on %s", stamp(first))
}

// pairFault is the finding of a pair that cannot be read.
func pairFault(state certificates.PairState) Finding {
	if u := (*files.UntrustedError)(nil); errors.As(state.Err, &u) {
		return untrusted(u)
	}
	return broken(state.Cure, "%s", state.What())
}

// signedBy reports whether a certificate is not of the authority of its directory.
func signedBy(state, authority certificates.PairState) (Finding, bool) {
	name := signer(state.Name)
	switch {
	case name == "" && !state.Cert.IsCA:
		return broken(state.Cure, "%s is not a certificate authority", state.CertFile), true
	case name == "" || authority.Err != nil:
		return Finding{}, false
	case authority.Cert == nil:
		return broken(authority.Cure, "%s and %s are missing, while %s is in use", authority.CertFile, authority.KeyFile, state.CertFile), true
	case state.Cert.CheckSignatureFrom(authority.Cert) != nil:
		return broken(state.Cure, "%s was signed by another authority than that in %s", state.CertFile, authority.CertFile), true
	}
	return Finding{}, false
}

func (s *Standalone) signingKey(context.Context) []Finding {
	path := certificates.SigningKeyFile(s.certificateDir())
	data, err := certificates.SigningKey(s.certificateDir())
	cure := certificates.SigningKeyCure(path)
	if errors.Is(err, fs.ErrNotExist) {
		if s.aggregated() {
			return []Finding{ok("there is none: the cluster signs tokens")}
		}
		if s.databaseSize() > 0 {
			return []Finding{broken(cure, "%s is missing: the tokens of service accounts are invalid", path)}
		}
		return []Finding{ok("there is none yet: the first start makes it")}
	} else if err != nil {
		return []Finding{untrusted(err)}
	}
	block, _ := pem.Decode(data)
	if block == nil || !parses(block) {
		return []Finding{broken(cure, "%s holds no private key", path)}
	}
	return []Finding{ok("the key that signs service account tokens can be read")}
}

// parses reports whether a block of PEM is a private key.
func parses(block *pem.Block) bool {
	if !strings.Contains(block.Type, "PRIVATE KEY") {
		return false
	}
	if _, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return true
	}
	_, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	return err == nil
}
