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
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The ConfigMap of revocations. A key is the name of a host, with a time (RFC 3339) as value:
// certificates that were issued to the host until then are refused. Or it is the serial number of a
// certificate after RevokedSerialPrefix, with the time of its expiry as value: the certificate is refused.
const (
	RevocationNamespace = metav1.NamespaceSystem
	RevocationConfigMap = "gatehouse-revoked-hosts"
	// RevokedSerialPrefix begins keys of certificates. The underscore is in no name of a host.
	RevokedSerialPrefix = "serial_"
)

// Never is the time of an entry with an invalid value: the entry exists, so all certificates of the
// host are revoked.
var Never = time.Unix(1<<40, 0)

// RevokedUntil returns the times until which the certificates of hosts are revoked, by host.
func RevokedUntil(data map[string]string) map[string]time.Time {
	until := make(map[string]time.Time, len(data))
	for name, value := range data {
		if strings.HasPrefix(name, RevokedSerialPrefix) {
			continue
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			at = Never
		}
		until[name] = at
	}
	return until
}
