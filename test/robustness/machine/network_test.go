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

package machine

import (
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo starts a listener that sends back what it receives.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(connection, connection) }()
		}
	}()
	return listener.Addr().String()
}

func TestANetworkHoldsBackWhatItsRulesCut(t *testing.T) {
	network := NewNetwork()
	t.Cleanup(network.Close)
	// The dialling process is this one, so only one member may have its ID.
	if _, err := network.Connect("dialler", echo(t), os.Getpid); err != nil {
		t.Fatal(err)
	}
	proxy, err := network.Connect("target", echo(t), func() int { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(Rule){
		"to the target":       func(rule Rule) { network.Set("dialler", "target", rule) },
		"from the target":     func(rule Rule) { network.Set("target", "dialler", rule) },
		"between both groups": func(rule Rule) { network.Isolate([]string{"target"}, rule) },
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := net.Dial("tcp", proxy)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.Close() }()
			send := func() {
				if _, err := connection.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			receive := func(within time.Duration) error {
				if err := connection.SetReadDeadline(time.Now().Add(within)); err != nil {
					t.Fatal(err)
				}
				_, err := connection.Read(make([]byte, 1))
				return err
			}
			send()
			if err := receive(time.Minute); err != nil {
				t.Fatalf("without a rule: %v", err)
			}
			set(Rule{Cut: true})
			send()
			if err := receive(50 * time.Millisecond); err == nil {
				t.Error("a byte passes the cut")
			}
			network.Heal()
			if err := receive(time.Minute); err != nil {
				t.Errorf("after the cut: %v", err)
			}
			set(Rule{Delay: time.Millisecond})
			send()
			if err := receive(time.Minute); err != nil {
				t.Errorf("delayed: %v", err)
			}
		})
	}
}
