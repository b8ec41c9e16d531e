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

package storage

import (
	"net"
	"strings"
	"testing"
)

func TestOneReachableEndpointIsEnough(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := "http://" + listener.Addr().String()
	closedListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + closedListener.Addr().String()
	_ = closedListener.Close()
	defer listener.Close()

	if err := CheckReachable(t.Context(), []string{closed, open}); err != nil {
		t.Errorf("one of two is open: %v", err)
	}
	err = CheckReachable(t.Context(), []string{closed})
	if err == nil || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the error names neither the endpoint nor the reason: %v", err)
	}
}

func TestWhereAnEndpointIsDialled(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://etcd.example:2380": "tcp etcd.example:2380",
		"https://etcd.example":      "tcp etcd.example:2379",
		"unix:///run/etcd.sock":     "unix /run/etcd.sock",
	} {
		network, address, err := dialAddress(endpoint)
		if got := network + " " + address; err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", endpoint, got, err, want)
		}
	}
}
