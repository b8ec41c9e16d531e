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
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/util/cert"
)

// ServingCertFile is the name of the serving certificate that Ensure makes.
const ServingCertFile = "serving.crt"

// EnsureForCluster creates or keeps an authority and a serving certificate that is valid for the
// names, and for those of a previous serving certificate: a renewal months later must not lose a
// name that its command does not repeat.
func EnsureForCluster(dir string, names []string) (*Bundle, error) {
	names = slices.Clone(names)
	// Ensure reports a file that cannot be read.
	if old, err := cert.CertsFromFile(filepath.Join(dir, ServingCertFile)); err == nil {
		names = append(names, NamesOf(old[0])...)
	}
	return Ensure(dir, Options{ExtraSANs: names, ServingOnly: true})
}

// NamesOf returns the DNS names and IP addresses of a certificate.
func NamesOf(certificate *x509.Certificate) []string {
	names := slices.Clone(certificate.DNSNames)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// AuthoritiesOf returns the certificates in PEM that verify the serving certificate in a file: the
// authorities that follow it. If none does, it returns the certificate itself: a client that trusts
// it accepts it, and no authority is known.
func AuthoritiesOf(file string) ([]byte, error) {
	chain, err := cert.CertsFromFile(file)
	if err != nil {
		return nil, err
	}
	authorities := slices.DeleteFunc(slices.Clone(chain[1:]), func(c *x509.Certificate) bool { return !c.IsCA })
	if len(authorities) == 0 {
		authorities = chain[:1]
	}
	return cert.EncodeCertificates(authorities...)
}

// ReadAuthorities returns the certificates of the files that --also-trust names, in PEM. It fails
// on certificates that are not authorities.
func ReadAuthorities(files []string) ([]byte, error) {
	var pem []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--also-trust: the file cannot be read: %w", err)
		}
		parsed, err := cert.ParseCertsPEM(data)
		if err != nil {
			return nil, fmt.Errorf("--also-trust: %s holds no readable certificate (%w): name the ca.crt of the other authority", file, err)
		}
		for _, authority := range parsed {
			if !authority.IsCA {
				return nil, fmt.Errorf("--also-trust: %s holds the certificate of %q, which is no authority: name the ca.crt of the other authority", file, authority.Subject.CommonName)
			}
		}
		// Encoding the parsed certificates leaves out a private key or text in the same file.
		encoded, err := cert.EncodeCertificates(parsed...)
		if err != nil {
			return nil, err
		}
		pem = append(pem, encoded...)
	}
	return pem, nil
}

// CABundle is the certificates that a cluster trusts for the APIServices, in PEM.
type CABundle struct {
	PEM []byte
	// APIServices are the names of the objects.
	APIServices []string
}

// Formats are the values of the flag --output.
var Formats = []string{"caBundle", "pem", "patch"}

// Format returns the bundle in one of Formats: base64 on one line, PEM, or patches of the
// APIServices.
func (b CABundle) Format(format string) string {
	line := base64.StdEncoding.EncodeToString(b.PEM) + "\n"
	switch format {
	case "pem":
		return string(b.PEM)
	case "patch":
		patches := make([]string, 0, len(b.APIServices))
		for _, name := range b.APIServices {
			patches = append(patches, fmt.Sprintf(`apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: %s
spec:
  caBundle: %s`, name, line))
		}
		return strings.Join(patches, "---\n")
	}
	return line
}
