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
	"net"
	"slices"
	"sync"
	"time"
)

// Rule is what a network does with the bytes from one member to another.
type Rule struct {
	// Cut holds them back until the rule changes: no reset and no refusal, as on a cable that is cut.
	Cut bool
	// Delay delivers them later.
	Delay time.Duration
}

// Network is a set of proxies, one in front of each member's peer address. Members dial each other
// through them, so that rules can be set for pairs of members.
type Network struct {
	mu        sync.Mutex
	changed   chan struct{}
	rules     map[[2]string]Rule
	processes map[string]func() int
	listeners []net.Listener
}

// NewNetwork returns a network without rules.
func NewNetwork() *Network {
	return &Network{changed: make(chan struct{}), rules: map[[2]string]Rule{}, processes: map[string]func() int{}}
}

// Connect opens a proxy in front of a member's address, and returns the address of the proxy. pid
// returns the process of the member: the network recognizes the member that has dialled by it.
func (n *Network) Connect(member, address string, pid func() int) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	n.processes[member] = pid
	n.listeners = append(n.listeners, listener)
	n.mu.Unlock()
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go n.forward(from, member, address)
		}
	}()
	return listener.Addr().String(), nil
}

// Set sets the rule for the bytes from one member to another, on connections of either.
func (n *Network) Set(from, to string, rule Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules[[2]string{from, to}] = rule
	n.announce()
}

// Isolate sets the rule between one group of members and all others, in both directions.
func (n *Network) Isolate(members []string, rule Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for a := range n.processes {
		for b := range n.processes {
			if slices.Contains(members, a) != slices.Contains(members, b) {
				n.rules[[2]string{a, b}] = rule
			}
		}
	}
	n.announce()
}

// Heal removes all rules.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.rules)
	n.announce()
}

// announce wakes connections that a rule holds back. The caller holds the lock.
func (n *Network) announce() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Close ends the proxies.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, listener := range n.listeners {
		_ = listener.Close()
	}
}

func (n *Network) rule(from, to string) (Rule, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[[2]string{from, to}], n.changed
}

// forward carries the bytes of one connection.
func (n *Network) forward(from net.Conn, member, address string) {
	dialler := n.memberOf(from)
	to, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		_ = from.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { n.carry(from, to, dialler, member) })
	both.Go(func() { n.carry(to, from, member, dialler) })
	both.Wait()
}

// chunk is a piece of what a connection carries.
type chunk struct {
	bytes []byte
	at    time.Time
}

// carry copies from one connection to the other under the rule of the pair. It closes both at the
// end, after what was held back has been delivered.
func (n *Network) carry(in, out net.Conn, from, to string) {
	defer func() { _, _ = in.Close(), out.Close() }()
	chunks := make(chan chunk, 256)
	go func() {
		defer close(chunks)
		for buffer := make([]byte, 64<<10); ; {
			count, err := in.Read(buffer)
			if count > 0 {
				chunks <- chunk{slices.Clone(buffer[:count]), time.Now()}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		n.hold(c, from, to)
		if _, err := out.Write(c.bytes); err != nil {
			break
		}
	}
	_ = in.Close()
	for range chunks { // the reader ends, too
		continue
	}
}

// hold waits as long as the rule demands.
func (n *Network) hold(c chunk, from, to string) {
	for {
		rule, changed := n.rule(from, to)
		if !rule.Cut {
			time.Sleep(time.Until(c.at.Add(rule.Delay)))
			return
		}
		<-changed
	}
}

// memberOf returns the member that has dialled, by its process; empty if it is none.
func (n *Network) memberOf(connection net.Conn) string {
	address, ok := connection.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for member, pid := range n.processes {
		if ownsPort(pid(), address.Port) {
			return member
		}
	}
	return ""
}
