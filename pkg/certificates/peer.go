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
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	peerCAName  = "peer-ca"
	peerName    = "peer"
	joiningName = "joining.key"

	// PeerCommonName is the name in the certificates by which members of etcd authenticate each other. The peer
	// authority signs nothing else.
	PeerCommonName = "gatehouse:peer"
)

// PeerFiles are the files by which members of etcd authenticate each other.
type PeerFiles struct {
	CAFile, CertFile, KeyFile string
}

// PeerFilesIn returns the files of a directory.
func PeerFilesIn(dir string) PeerFiles {
	own := filesOf(dir, peerName)
	return PeerFiles{CAFile: filesOf(dir, peerCAName).cert, CertFile: own.cert, KeyFile: own.key}
}

// EnsurePeer creates the peer authority and this member's certificate in a directory, and renews the certificate
// when less than a third of its lifetime is left or when it lacks one of the hosts. It keeps an existing
// authority.
func EnsurePeer(dir string, hosts []string, now time.Time) (PeerFiles, error) {
	found := PeerFilesIn(dir)
	dnsNames, ips, err := peerNames(hosts)
	if err != nil {
		return found, err
	}
	if err := files.MakeDirectory(dir); err != nil {
		return found, fmt.Errorf("make the certificate directory: %w", err)
	}
	authority, own := filesOf(dir, peerCAName), filesOf(dir, peerName)
	for _, pair := range []pairFiles{authority, own} {
		if err := pair.finish(true); err != nil {
			return found, err
		}
		if _, err := tighten(pair.key, keyMode); err != nil {
			return found, err
		}
	}
	ca, hasCA, err := authority.read(peerCACure(dir))
	if err != nil {
		return found, err
	}
	leaf, hasLeaf, err := own.read(leafCure(own))
	if err != nil {
		return found, err
	}
	var changes []replacement
	if !hasCA {
		if hasLeaf {
			return found, fmt.Errorf("%s and %s are gone while the certificate that they signed is in use: %s", authority.cert, authority.key, peerCACure(dir))
		}
		if ca, err = issueAuthority("gatehouse-peer-ca", now); err != nil {
			return found, err
		}
		changes = append(changes, replacement{authority, ca})
	}
	if !hasLeaf || mustRenew(leaf.Cert, ca.Cert, now) || !covers(leaf.Cert, dnsNames, ips) {
		if leaf, err = sign(&ca, peerTemplate(dnsNames, ips, now)); err != nil {
			return found, err
		}
		changes = append(changes, replacement{own, leaf})
	}
	if len(changes) == 0 {
		return found, nil
	}
	return found, replace(dir, changes)
}

// PeerAuthority returns the peer authority of a directory.
func PeerAuthority(dir string) (KeyPair, error) {
	ca, found, err := filesOf(dir, peerCAName).read(peerCACure(dir))
	if err == nil && !found {
		err = fmt.Errorf("%s holds no peer authority: start the server once to make one", dir)
	}
	return ca, err
}

// SigningKey returns the key of EnsureSigningKey in PEM.
func SigningKey(dir string) ([]byte, error) {
	return files.ReadFile(filepath.Join(dir, signingKeyName))
}

// RequestPeer returns a signing request for a peer certificate in PEM. The key is in the directory and stays
// there: further calls use the same one, until InstallShared.
func RequestPeer(dir string) ([]byte, error) {
	if err := files.MakeDirectory(dir); err != nil {
		return nil, fmt.Errorf("make the certificate directory: %w", err)
	}
	key, err := joiningKey(filepath.Join(dir, joiningName))
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: PeerCommonName}}, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate signing request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

func joiningKey(path string) (*ecdsa.PrivateKey, error) {
	if data, err := files.ReadFile(path); err == nil {
		if block, _ := pem.Decode(data); block != nil {
			if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
				return key, nil
			}
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: privateKeyBlock, Bytes: der})
	if err := files.Replace(path, data, keyMode); err != nil {
		return nil, fmt.Errorf("write the key of this member: %w", err)
	}
	return key, nil
}

// SignPeer signs the request of RequestPeer for hosts and returns the certificate in PEM. Everything but the key
// of the request is ignored.
func SignPeer(ca KeyPair, requestPEM []byte, hosts []string, now time.Time) ([]byte, error) {
	block, _ := pem.Decode(requestPEM)
	if block == nil {
		return nil, errors.New("there is no certificate signing request in PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("the certificate signing request: %w", err)
	}
	if key, ok := request.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the certificate signing request must have an ECDSA key of P-256")
	}
	dnsNames, ips, err := peerNames(hosts)
	if err != nil {
		return nil, err
	}
	return SignRequest(ca, peerTemplate(dnsNames, ips, now), request.PublicKey)
}

// RemoveRequest removes the key of RequestPeer, which InstallShared has copied.
func RemoveRequest(dir string) error {
	if err := os.Remove(filepath.Join(dir, joiningName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Shared are the files that all members of a cluster have in common, and the certificate of one member, in PEM.
type Shared struct {
	CA         []byte `json:"ca"`
	CAKey      []byte `json:"caKey"`
	SigningKey []byte `json:"signingKey,omitempty"`
	PeerCA     []byte `json:"peerCA"`
	PeerCAKey  []byte `json:"peerCAKey"`
	Peer       []byte `json:"peer"`
}

// InstallShared writes shared files to a directory, with the key of RequestPeer. It replaces what is there:
// the caller has checked that the directory is not in use.
func InstallShared(dir string, shared Shared) error {
	ca, err := parsePair(shared.CA, shared.CAKey)
	if err != nil {
		return fmt.Errorf("the shared authority: %w", err)
	}
	peerCA, err := parsePair(shared.PeerCA, shared.PeerCAKey)
	if err != nil {
		return fmt.Errorf("the shared peer authority: %w", err)
	}
	joining := filepath.Join(dir, joiningName)
	key, err := files.ReadFile(joining)
	if err != nil {
		return fmt.Errorf("the key of this member: %w", err)
	}
	own, err := parsePair(shared.Peer, key)
	if err != nil {
		return fmt.Errorf("the certificate of this member: %w", err)
	}
	if len(shared.SigningKey) > 0 {
		if err := files.Replace(filepath.Join(dir, signingKeyName), shared.SigningKey, keyMode); err != nil {
			return fmt.Errorf("write the key that signs tokens: %w", err)
		}
	}
	return replace(dir, []replacement{{filesOf(dir, caName), ca}, {filesOf(dir, peerCAName), peerCA}, {filesOf(dir, peerName), own}})
}

func peerTemplate(dnsNames []string, ips []net.IP, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: PeerCommonName},
		DNSNames:    dnsNames,
		IPAddresses: ips,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// peerNames sorts hosts into names and addresses. Loopback is always among them.
func peerNames(hosts []string) (dnsNames []string, ips []net.IP, err error) {
	dnsNames, ips = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
			continue
		}
		if len(validation.IsDNS1123Subdomain(host)) > 0 {
			return nil, nil, fmt.Errorf("%q cannot be the host of a member: use a host name such as a.example.com or an IP address", host)
		}
		dnsNames = append(dnsNames, host)
	}
	return dnsNames, ips, nil
}

func peerCACure(dir string) string {
	return fmt.Sprintf("restore %s.crt and %s.key from another member, where they are the same", filepath.Join(dir, peerCAName), filepath.Join(dir, peerCAName))
}
