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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
)

const (
	day = 24 * time.Hour

	// caLifetime is long because every kubeconfig holds the CA.
	caLifetime = 10 * 365 * day
	// leafLifetime is the life of the serving and the admin certificate.
	leafLifetime = 365 * day
	// loopbackLifetime only has to outlive the process, which holds the sole copy.
	loopbackLifetime = 10 * 365 * day

	// backdate makes a fresh certificate acceptable to a client with a clock that is a
	// little behind ours.
	backdate = 5 * time.Minute

	privateKeyBlock = "EC PRIVATE KEY"
)

// KeyPair is a certificate with its private key, parsed and in PEM.
type KeyPair struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey

	CertPEM []byte
	KeyPEM  []byte
}

// IssueClient signs a client certificate for the user cn in the groups orgs. It
// refuses a lifetime that outlasts the CA, since such a certificate would become
// invalid before its expiry.
func IssueClient(ca KeyPair, cn string, orgs []string, ttl time.Duration, now time.Time) (certPEM, keyPEM []byte, err error) {
	return issueClientPEM(ca, cn, orgs, ttl, now, backdate)
}

// IssueHost signs a client certificate as IssueClient does, and does not date it back: the
// certificates of a host are revoked by when they were issued (pkg/authentication/revocation), and a
// new one must be newer than the revocation.
func IssueHost(ca KeyPair, cn string, orgs []string, ttl time.Duration, now time.Time) (certPEM, keyPEM []byte, err error) {
	return issueClientPEM(ca, cn, orgs, ttl, now, 0)
}

func issueClientPEM(ca KeyPair, cn string, orgs []string, ttl time.Duration, now time.Time, before time.Duration) (certPEM, keyPEM []byte, err error) {
	switch {
	case cn == "":
		return nil, nil, errors.New("a client certificate needs a user name")
	case ttl <= 0:
		return nil, nil, fmt.Errorf("a client certificate needs a lifetime above zero, not %s", ttl)
	case now.Add(ttl).After(ca.Cert.NotAfter):
		return nil, nil, fmt.Errorf("a client certificate cannot outlast the cluster CA, which expires on %s: use less than %s",
			ca.Cert.NotAfter.Format(time.DateOnly), ttl)
	}
	pair, err := issueClient(ca, cn, orgs, ttl, now, before)
	if err != nil {
		return nil, nil, err
	}
	return pair.CertPEM, pair.KeyPEM, nil
}

// Loopback creates the certificate with which a server authenticates itself to its own
// loopback client. It is self-signed and in memory only. Put the provider
// at the front of SecureServingInfo.SNICerts and pass trustPEM to
// SecureServingInfo.NewLoopbackClientConfig; serverName is k8s.io/apiserver's
// server.LoopbackClientServerNameOverride.
func Loopback(serverName string, now time.Time) (provider dynamiccertificates.SNICertKeyContentProvider, trustPEM []byte, err error) {
	pair, err := sign(nil, &x509.Certificate{
		Subject:     pkix.Name{CommonName: serverName},
		DNSNames:    []string{serverName},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(loopbackLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("loopback certificate: %w", err)
	}
	provider, err = dynamiccertificates.NewStaticSNICertKeyContent("loopback", pair.CertPEM, pair.KeyPEM, serverName)
	if err != nil {
		return nil, nil, fmt.Errorf("loopback certificate: %w", err)
	}
	return provider, pair.CertPEM, nil
}

// Replica creates the certificate by which a server authenticates itself to the other servers of its API, and by
// which they authenticate it: self-signed, in memory only, and trusted by those that have it (pkg/peers).
func Replica(user, serverName string, now time.Time) (KeyPair, error) {
	return sign(nil, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user},
		DNSNames:    []string{serverName},
		NotBefore:   now.Add(-day), // the clocks of servers differ
		NotAfter:    now.Add(loopbackLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func issueCA(now time.Time) (KeyPair, error) { return issueAuthority("gatehouse-ca", now) }

func issueAuthority(name string, now time.Time) (KeyPair, error) {
	return sign(nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	})
}

func issueServing(ca KeyPair, dnsNames []string, ips []net.IP, now time.Time) (KeyPair, error) {
	return sign(&ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "gatehouse"},
		DNSNames:    dnsNames,
		IPAddresses: ips,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func issueClient(ca KeyPair, cn string, orgs []string, ttl time.Duration, now time.Time, before time.Duration) (KeyPair, error) {
	return sign(&ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: cn, Organization: orgs},
		NotBefore:   now.Add(-before),
		NotAfter:    now.Add(ttl),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// SignRequest signs a certificate for a public key of another party and returns it in PEM. The
// caller has checked every field of the template; the validity is cut to lie within the
// authority's.
func SignRequest(ca KeyPair, template *x509.Certificate, publicKey any) ([]byte, error) {
	if !template.NotBefore.Before(ca.Cert.NotAfter) {
		return nil, fmt.Errorf("the cluster CA expired on %s", ca.Cert.NotAfter.Format(time.DateOnly))
	}
	template.BasicConstraintsValid, template.IsCA = true, false
	der, err := certify(&ca, template, publicKey, ca.Key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}), nil
}

// sign creates a key and a certificate for it. Without an issuer the certificate
// is self-signed; with one its validity is cut to lie within the issuer's.
func sign(issuer *KeyPair, template *x509.Certificate) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("make a key: %w", err)
	}
	der, err := certify(issuer, template, key.Public(), key)
	if err != nil {
		return KeyPair{}, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return KeyPair{}, fmt.Errorf("sign a certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encode a key: %w", err)
	}
	return KeyPair{
		Cert:    parsed,
		Key:     key,
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: keyDER}),
	}, nil
}

// certify signs a certificate for a public key with the issuer's key, or without an issuer with
// the given one.
func certify(issuer *KeyPair, template *x509.Certificate, publicKey any, signer *ecdsa.PrivateKey) ([]byte, error) {
	var err error
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	parent := template
	if issuer != nil {
		parent, signer = issuer.Cert, issuer.Key
		if template.NotBefore.Before(parent.NotBefore) {
			template.NotBefore = parent.NotBefore
		}
		if template.NotAfter.After(parent.NotAfter) {
			template.NotAfter = parent.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, publicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return der, nil
}
