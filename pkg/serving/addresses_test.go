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
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

func TestMachineNamesAreReachableFromOtherMachines(t *testing.T) {
	address := func(cidr string) net.Addr {
		ip, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return &net.IPNet{IP: ip, Mask: network.Mask}
	}
	box := func() (string, error) { return "Box.example.com", nil }
	all := []net.Addr{address("127.0.0.1/8"), address("192.168.1.7/24"), address("10.0.0.1/8"), address("10.0.0.1/8"), address("169.254.1.1/16"), address("::1/128"), address("fe80::1/64"), address("fd00::7/64"), &net.UnixAddr{Name: "x"}}
	var many []net.Addr
	for i := range 200 {
		many = append(many, address(fmt.Sprintf("10.1.0.%d/24", i)))
	}
	for _, tc := range []struct {
		name     string
		hostname func() (string, error)
		from     []net.Addr
		onlyIPv4 bool
		want     []string
	}{
		{"all addresses but those of a link", box, all, false, []string{"10.0.0.1", "192.168.1.7", "fd00::7", "box.example.com"}},
		{"those that a listener for IPv4 takes", box, all, true, []string{"10.0.0.1", "192.168.1.7", "box.example.com"}},
		{"no invalid name", func() (string, error) { return "my_box", nil }, all, true, []string{"10.0.0.1", "192.168.1.7"}},
		{"no name if there is none", func() (string, error) { return "", errors.New("none") }, nil, true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := machineNames(tc.hostname, tc.from, tc.onlyIPv4); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := machineNames(box, many, false); len(got) != maxMachineAddresses+1 {
		t.Errorf("a machine with 200 addresses has %d names", len(got))
	}
}

func TestOnlyAServerThatListensEverywhereNeedsTheNamesOfItsMachine(t *testing.T) {
	for listen, wanted := range map[string]bool{"127.0.0.1:6443": false, "192.0.2.1:6443": false, "0.0.0.0:6443": true, "[::]:6443": true} {
		o := NewOptions()
		if err := o.SetAddress(listen); err != nil {
			t.Fatal(err)
		}
		if got := o.ChangingNames() != nil; got != wanted {
			t.Errorf("--listen %s: %v", listen, got)
		}
	}
}

func TestClientsOnThisMachineReachEveryListener(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:6443": "https://127.0.0.1:6443",
		"0.0.0.0:6443":   "https://127.0.0.1:6443",
		"[::1]:6443":     "https://[::1]:6443",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := ClientURL(tcp); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// The loopback client must not request compression, which a process gains nothing by.
func TestTheLoopbackClientRequestsNoCompression(t *testing.T) {
	bundle, err := certificates.Ensure(filepath.Join(t.TempDir(), "pki"), certificates.Options{ServingOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	o := NewOptions()
	o.BindPort = 0
	listener, err := o.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	generic := genericapiserver.NewConfig(serializer.NewCodecFactory(runtime.NewScheme()))
	if err := o.Apply(generic, listener, bundle.ServingCertFile, bundle.ServingKeyFile); err != nil {
		t.Fatal(err)
	}
	if !generic.LoopbackClientConfig.DisableCompression {
		t.Error("compression is not disabled")
	}
	if o.Listener != nil || o.ServerCert.CertKey.CertFile != "" {
		t.Errorf("the options changed: %v, %q", o.Listener, o.ServerCert.CertKey.CertFile)
	}
}
