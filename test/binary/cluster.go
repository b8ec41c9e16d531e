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

package binary

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// joinLine is the command that an invitation prints.
var joinLine = regexp.MustCompile(`(?m)^ +gatehouse up (--join \S+ --token \S+)$`)

// Cluster is a number of servers whose embedded etcds are one cluster.
type Cluster struct {
	// Servers are named a, b, c and so on, in this order.
	Servers []*Server
}

// StartCluster starts a number of servers on one machine: the first on a directory of its own, and the others by
// its invitations, all at once. args are for all of them.
func StartCluster(t testing.TB, size int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{Servers: []*Server{Start(t, DataDir(t), Named("a", args...)...)}}
	for i := 1; i < size; i++ {
		c.Servers = append(c.Servers, c.Servers[0].Invite(t, string(rune('a'+i)), args...))
	}
	for _, server := range c.Servers[1:] {
		server.WaitReady(t)
	}
	return c
}

// ShareKeys copies the keys that all servers of one API have to the data directory of another server.
func ShareKeys(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(to, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.crt", "ca.key", "service-accounts.key"} {
		data, err := os.ReadFile(filepath.Join(from, "pki", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, "pki", name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Named returns the flags of a member on this machine, with free ports.
func Named(name string, args ...string) []string {
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--peer-url") }) {
		args = append([]string{"--peer-url=https://127.0.0.1:0"}, args...)
	}
	return append([]string{"--member-name=" + name}, args...)
}

// Invitation returns the flags --join and --token of a new invitation of a server.
func (s *Server) Invitation(t testing.TB, args ...string) []string {
	t.Helper()
	if len(args) == 0 {
		args = []string{"invite"}
	}
	output := s.Member(t, args...)
	found := joinLine.FindStringSubmatch(output)
	if found == nil {
		t.Fatalf("gatehouse member %s prints no command:\n%s", strings.Join(args, " "), output)
	}
	return strings.Fields(found[1])
}

// Invite invites a member and starts its server, without waiting.
func (s *Server) Invite(t testing.TB, name string, args ...string) *Server {
	t.Helper()
	return Launch(t, DataDir(t), nil, append(s.Invitation(t), Named(name, args...)...)...)
}

// Member runs "gatehouse member" against a server and returns its output.
func (s *Server) Member(t testing.TB, args ...string) string {
	t.Helper()
	output, err := s.TryMember(t, args...)
	if err != nil {
		t.Fatalf("gatehouse member %s: %v:\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// TryMember is Member for a command that may fail. The output includes standard error.
func (s *Server) TryMember(t testing.TB, args ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), Path(t), append(append([]string{"member"}, args...), "--data-dir", s.DataDir)...).CombinedOutput()
	return string(output), err
}

// Address returns the address of the server, for --listen of the next process on its directory.
func (s *Server) Address(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// Suspend stops the process without ending it, and Resume continues it.
func (s *Server) Suspend() { s.signal(syscall.SIGSTOP) }

// Resume continues a suspended process.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// String returns what identifies the server in messages.
func (s *Server) String() string { return fmt.Sprintf("%s in %s", s.URL, s.DataDir) }
