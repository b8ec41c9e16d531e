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
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
)

// Member has the flags of a member of a cluster of embedded etcds.
type Member struct {
	// Name is that of the member; empty for a default.
	Name string
	// PeerURL is the address for other members, and Listen that of the listener; empty for defaults.
	PeerURL, Listen string
	// ReplaceDeadAfter is the time after which the leader removes a dead member; 0 for never.
	ReplaceDeadAfter time.Duration
	// Join is the URL of a server of a cluster to join, with Token; empty for none.
	Join, Token string
}

func (m *Member) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&m.Name, "member-name", m.Name, "Name of the embedded etcd among the members of its cluster. Where empty, a joiner has the name of the machine. A member keeps its name.")
	fs.StringVar(&m.PeerURL, "peer-url", m.PeerURL, fmt.Sprintf("URL at which other members reach the embedded etcd, such as https://10.0.0.1:%d; port 0 selects a free one once. It is used from the first \"gatehouse member invite\" on. A member that starts with another URL than before tells the others. Where empty, the address at which clients reach the server.", cluster.DefaultPeerPort))
	fs.StringVar(&m.Listen, "peer-listen", m.Listen, "Address and port on which the embedded etcd listens for other members, if it is not that of --peer-url.")
	fs.DurationVar(&m.ReplaceDeadAfter, "replace-dead-after", m.ReplaceDeadAfter, "Time after which the leader removes a member that does not respond, if three or more voters remain and no more are dead than they can lose; 0 for never. Invite the replacement first.")
}

func (m *Member) addJoinFlags(fs *pflag.FlagSet) {
	fs.StringVar(&m.Join, "join", m.Join, "URL of a server whose cluster this one joins, with --token. \"gatehouse member invite\" there prints both. The data directory must be new. Later starts need neither.")
	fs.StringVar(&m.Token, "token", m.Token, "Token of the invitation of --join. It can be used once, within an hour, and verifies the server.")
}

// minReplaceDeadAfter is longer than the restart of a machine.
const minReplaceDeadAfter = time.Minute

// validate returns an error for each invalid flag.
func (m *Member) validate(aggregated bool) []error {
	if aggregated {
		return m.validateUnused()
	}
	var errs []error
	if m.Name != "" {
		for _, message := range validation.IsDNS1123Subdomain(m.Name) {
			errs = append(errs, fmt.Errorf("--member-name=%s: %s", m.Name, message))
		}
	}
	if m.PeerURL != "" {
		if u, err := url.Parse(m.PeerURL); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || u.Path != "" {
			errs = append(errs, fmt.Errorf("--peer-url=%s is not the URL of a member: write it as https://10.0.0.1:%d", m.PeerURL, cluster.DefaultPeerPort))
		} else if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
			errs = append(errs, fmt.Errorf("--peer-url=%s cannot be reached by others: use an address of this machine, and --peer-listen to listen on all", m.PeerURL))
		}
	}
	if m.Listen != "" {
		if host, port, err := net.SplitHostPort(m.Listen); err != nil || net.ParseIP(host) == nil || port == "" {
			errs = append(errs, fmt.Errorf("--peer-listen=%s is not an address and a port: write it as 0.0.0.0:%d", m.Listen, cluster.DefaultPeerPort))
		}
	}
	if m.ReplaceDeadAfter != 0 && m.ReplaceDeadAfter < minReplaceDeadAfter {
		errs = append(errs, fmt.Errorf("--replace-dead-after=%s is too short: a machine that restarts would be removed; use %s or more, or 0 for never", m.ReplaceDeadAfter, minReplaceDeadAfter))
	}
	return append(errs, m.validateJoin()...)
}

func (m *Member) validateJoin() []error {
	if m.Join == "" && m.Token == "" {
		return nil
	}
	if m.Join == "" || m.Token == "" {
		return []error{fmt.Errorf("--join and --token belong together: copy the line that \"gatehouse member invite\" prints")}
	}
	var errs []error
	if u, err := url.Parse(m.Join); err != nil || u.Scheme != "https" || u.Host == "" {
		errs = append(errs, fmt.Errorf("--join=%s is not the URL of a server: write it as https://10.0.0.1:6443", m.Join))
	}
	if _, err := cluster.ParseToken(m.Token); err != nil {
		errs = append(errs, fmt.Errorf("--token: %w", err)) // the token is secret
	}
	return errs
}

// validateUnused returns an error for each flag that has no effect without an embedded etcd of a standalone server.
func (m *Member) validateUnused() []error {
	var errs []error
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"member-name", m.Name != ""}, {"peer-url", m.PeerURL != ""}, {"peer-listen", m.Listen != ""}, {"replace-dead-after", m.ReplaceDeadAfter != 0},
	} {
		if flag.given {
			errs = append(errs, fmt.Errorf("--%s is for the embedded etcd of a standalone server: leave it out", flag.name))
		}
	}
	return append(errs, m.unusedInvitation()...)
}

func (m *Member) unusedInvitation() []error {
	if m.Join == "" && m.Token == "" {
		return nil
	}
	return []error{fmt.Errorf("--join and --token are for the embedded etcd of a standalone server: leave them out, and name the etcd with --etcd-servers")}
}
