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

package options

import (
	"net"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxMachineAddresses bounds the serving certificate of a machine with very many addresses;
// --tls-san names those that matter there.
const maxMachineAddresses = 64

// ChangingSANs returns what tells the names of this machine for the server's own serving
// certificate: its host name and the addresses of its interfaces. It is nil where the server
// listens on one address, which is in the certificate anyway.
func (o CompletedOptions) ChangingSANs() func() []string {
	if !o.Serving.BindAddress.IsUnspecified() {
		return nil
	}
	onlyIPv4 := o.Serving.BindAddress.To4() != nil
	return func() []string {
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			return nil // the certificate keeps what it has
		}
		return machineNames(os.Hostname, addresses, onlyIPv4)
	}
}

// machineNames are the names by which other machines may reach this one, in a fixed order. The
// addresses of a link are left out: they mean nothing on another one.
func machineNames(hostname func() (string, error), addresses []net.Addr, onlyIPv4 bool) []string {
	var names []string
	for _, address := range addresses {
		prefix, ok := address.(*net.IPNet)
		if !ok || !prefix.IP.IsGlobalUnicast() || onlyIPv4 && prefix.IP.To4() == nil {
			continue
		}
		names = append(names, prefix.IP.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	names = names[:min(len(names), maxMachineAddresses)]
	if name, err := hostname(); err == nil && len(validation.IsDNS1123Subdomain(strings.ToLower(name))) == 0 {
		names = append(names, strings.ToLower(name))
	}
	return names
}
