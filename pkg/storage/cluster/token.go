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

package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	tokenPrefix = "gh1"
	idBytes     = 6
	secretBytes = 24
)

// Token is the token of an invitation: gh1.PIN.ID.SECRET.
type Token struct {
	// Pin verifies the server: see PinOf.
	Pin []byte
	// ID names the invitation, and is not secret.
	ID     string
	Secret string
}

// String returns the token for a command line. It is a secret.
func (t Token) String() string {
	return strings.Join([]string{tokenPrefix, base64.RawURLEncoding.EncodeToString(t.Pin), t.ID, t.Secret}, ".")
}

// bearer returns the part that authenticates the joiner. The pin is not sent.
func (t Token) bearer() string { return tokenPrefix + "." + t.ID + "." + t.Secret }

var errToken = errors.New("it is not the token of an invitation, gh1.PIN.ID.SECRET: copy the whole line that \"gatehouse member invite\" prints")

// ParseToken returns the parts of a token. Its error does not contain the token.
func ParseToken(text string) (Token, error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 4 || parts[0] != tokenPrefix || len(parts[2]) != 2*idBytes || parts[3] == "" {
		return Token{}, errToken
	}
	pin, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || len(pin) != pinnedKey && len(pin) != sha256.Size {
		return Token{}, errToken
	}
	return Token{Pin: pin, ID: parts[2], Secret: parts[3]}, nil
}

// newToken returns a token with a random secret.
func newToken(pin []byte) Token {
	random := make([]byte, idBytes+secretBytes)
	_, _ = rand.Read(random) // never fails
	return Token{Pin: pin, ID: hex.EncodeToString(random[:idBytes]), Secret: base64.RawURLEncoding.EncodeToString(random[idBytes:])}
}

// parseBearer returns the parts of what bearer returned.
func parseBearer(text string) (id, secret string, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != tokenPrefix || len(parts[1]) != 2*idBytes {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func hashMatches(hash, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(hash), []byte(hashOf(secret))) == 1
}

// pinnedKey is the length of a compressed public key of P-256.
const pinnedKey = 33

// PinOf returns what a joiner needs to verify the serving certificate before it trusts anything: the public
// key of the authority, which is as short as a hash of its certificate and needs no second request for it. For a
// serving certificate of another authority it is the hash of the key of that certificate.
func PinOf(authority, serving *x509.Certificate) []byte {
	if key, ok := authority.PublicKey.(*ecdsa.PublicKey); ok && key.Curve == elliptic.P256() && serving.CheckSignatureFrom(authority) == nil {
		if point, err := key.Bytes(); err == nil {
			return compressed(point)
		}
	}
	sum := sha256.Sum256(serving.RawSubjectPublicKeyInfo)
	return sum[:]
}

// compressed returns the compressed form of an uncompressed point of P-256 (SEC 1, 2.3.3): the parity of Y, and X.
func compressed(point []byte) []byte {
	return slices.Concat([]byte{2 | point[len(point)-1]&1}, point[1:pinnedKey])
}

// publicKey returns the key of a compressed point of P-256.
func publicKey(point []byte) (*ecdsa.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), point)
	if x == nil {
		return nil, errToken
	}
	uncompressed := make([]byte, 2*pinnedKey-1)
	uncompressed[0] = 4
	x.FillBytes(uncompressed[1:pinnedKey])
	y.FillBytes(uncompressed[pinnedKey:])
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed)
}

// verifies returns an error unless a serving certificate is the one of the pin, or signed with the key of it.
func (t Token) verifies(serving *x509.Certificate, host string, now time.Time) error {
	if len(t.Pin) == sha256.Size {
		if sum := sha256.Sum256(serving.RawSubjectPublicKeyInfo); !bytes.Equal(sum[:], t.Pin) {
			return errForeignServer
		}
	} else {
		key, err := publicKey(t.Pin)
		if err != nil {
			return errToken
		}
		authority := &x509.Certificate{PublicKey: key, PublicKeyAlgorithm: x509.ECDSA}
		if err := authority.CheckSignature(serving.SignatureAlgorithm, serving.RawTBSCertificate, serving.Signature); err != nil {
			return errForeignServer
		}
	}
	if now.Before(serving.NotBefore) || now.After(serving.NotAfter) {
		return fmt.Errorf("the certificate of the server is valid from %s to %s, and the clock of this machine is at %s: set the clock", serving.NotBefore.Format(time.RFC3339), serving.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if err := serving.VerifyHostname(host); err != nil {
		return fmt.Errorf("%w: start that server with --tls-san=%s, or use a name of its certificate in --join", err, host)
	}
	return nil
}

var errForeignServer = errors.New("the server is not the one that has invited: its certificate is of another authority than the one in --token; correct --join, or invite again")

// tlsConfig returns a configuration that accepts only the server of the pin.
func (t Token) tlsConfig(host string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // VerifyConnection verifies: there is no certificate of the authority yet
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errForeignServer
			}
			return t.verifies(state.PeerCertificates[0], host, time.Now())
		},
	}
}
