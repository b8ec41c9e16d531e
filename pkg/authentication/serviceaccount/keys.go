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

package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"gopkg.in/go-jose/go-jose.v2"
	"k8s.io/client-go/util/keyutil"
)

// minRSABits is the minimum size of RSA keys for signatures in RFC 7518.
const minRSABits = 2048

// PublicKey verifies tokens.
type PublicKey struct {
	// ID is the key's id in the kid header of tokens.
	ID string
	// Key is an *ecdsa.PublicKey or an *rsa.PublicKey.
	Key crypto.PublicKey
	// Algorithm is the signature algorithm of the key.
	Algorithm jose.SignatureAlgorithm
}

// Keys are the keys that verify tokens of this server, of its replicas, and of an earlier one.
type Keys struct {
	signing crypto.Signer
	all     []PublicKey
	byID    map[string]PublicKey
}

// ReadKeys reads the private key that signs, and files with further keys that verify:
// public keys, certificates, or private keys, of which it uses the public part. The signing key
// verifies, too.
func ReadKeys(signingFile string, verifyingFiles ...string) (*Keys, error) {
	private, err := keyutil.PrivateKeyFromFile(signingFile)
	if err != nil {
		return nil, fmt.Errorf("%s holds no private key that can be read (%w): it must be a PEM file with an EC or RSA private key", signingFile, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, which cannot sign: use an EC private key", signingFile, private)
	}
	keys := &Keys{signing: signer, byID: map[string]PublicKey{}}
	if err := keys.add(signer.Public()); err != nil {
		return nil, fmt.Errorf("%s: %w", signingFile, err)
	}
	for _, file := range verifyingFiles {
		public, err := keyutil.PublicKeysFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s holds no public key that can be read (%w): it must be a PEM file with EC or RSA keys", file, err)
		}
		for _, key := range public {
			if err := keys.add(key); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return keys, nil
}

func (k *Keys) add(public crypto.PublicKey) error {
	algorithm, err := algorithmOf(public)
	if err != nil {
		return err
	}
	id, err := keyID(public)
	if err != nil {
		return err
	}
	if _, known := k.byID[id]; known {
		return nil // the signing key, named again among those that verify
	}
	key := PublicKey{ID: id, Key: public, Algorithm: algorithm}
	k.byID[id] = key
	k.all = append(k.all, key)
	return nil
}

// named returns the keys that may have signed a token: the one with the id, all if the id is empty, and
// none if the id is unknown.
func (k *Keys) named(id string) []PublicKey {
	if id == "" {
		return k.all
	}
	if key, ok := k.byID[id]; ok {
		return []PublicKey{key}
	}
	return nil
}

func algorithmOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", fmt.Errorf("the curve %s cannot sign tokens: use P-256", key.Curve.Params().Name)
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return "", fmt.Errorf("an RSA key of %d bits is too weak: use %d bits or more, or an EC key on P-256", bits, minRSABits)
		}
		return jose.RS256, nil
	}
	return "", fmt.Errorf("a %T cannot sign tokens: use an EC key on P-256", public)
}

// keyID returns the id that Kubernetes derives from the key, a hash: verifiers of tokens of both find
// the key under the same id.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
