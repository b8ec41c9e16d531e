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

package signers

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	// maxRequest bounds a request, in bytes of PEM. Ordinary requests have less than 4 KiB.
	maxRequest = 64 << 10
	// maxKeyBits bounds RSA keys, as crypto/tls does: the time to verify a signature grows with the
	// square of the length, and is minutes for a key of a megabyte.
	maxKeyBits = 8192
)

// ParseRequest parses a PKCS#10 request in PEM and verifies that its author has the private key.
func ParseRequest(data []byte) (*x509.CertificateRequest, error) {
	if len(data) > maxRequest {
		return nil, fmt.Errorf("must have at most %d bytes", maxRequest)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("must be a PEM block of the type CERTIFICATE REQUEST, such as openssl req -new writes")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if key, ok := request.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxKeyBits {
		return nil, fmt.Errorf("has an RSA key of %d bits: use at most %d", key.N.BitLen(), maxKeyBits)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("its signature is not that of the key in it: %w", err)
	}
	return request, nil
}
