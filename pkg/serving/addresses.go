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

package serving

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxMachineAddresses bounds the serving certificate of a machine with very many addresses;
// --tls-san names the ones that clients use there.
const maxMachineAddresses = 64

// Names returns the names that the server's own serving certificate must carry besides those of
// the machine's loopback.
func (o *Options) Names(externalHost string) []string {
	names := append([]string{}, o.SANs...)
	// Of the addresses of loopback, a certificate has 127.0.0.1 and ::1 anyway.
	if ip := o.BindAddress; !ip.IsUnspecified() && !ip.Equal(net.IPv4(127, 0, 0, 1)) && !ip.Equal(net.IPv6loopback) {
		names = append(names, ip.String())
	}
	if externalHost != "" {
		names = append(names, externalHost)
	}
	return names
}

// ChangingNames returns a function that returns the host name of this machine and the addresses of
// its interfaces. It is nil if the server listens on one address, which is in the certificate
// anyway.
func (o *Options) ChangingNames() func() []string {
	if !o.BindAddress.IsUnspecified() {
		return nil
	}
	onlyIPv4 := o.BindAddress.To4() != nil
	return func() []string {
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			return nil // the certificate keeps its names
		}
		return machineNames(os.Hostname, addresses, onlyIPv4)
	}
}

// machineNames returns the names by which other machines may reach this one, in a fixed order.
// Link-local addresses are left out because they are valid on one link only.
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

// ClientURL returns the URL by which clients on this machine reach a server that listens at the
// address.
func ClientURL(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return "https://" + address.String()
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}
