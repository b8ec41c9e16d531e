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

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// joinLine is the command that an invitation prints.
var joinLine = regexp.MustCompile(`(?m)^ +gatehouse up (--join \S+ --token \S+)$`)

// startEmbedded starts the first member alone, and the others by its invitations.
func (c *Cluster) startEmbedded(ctx context.Context) error {
	first, err := c.member()
	if err != nil {
		return err
	}
	if err := first.Start(ctx); err != nil {
		return err
	}
	for len(c.Storage) < c.Members {
		if _, err := c.Join(ctx, first, "invite"); err != nil {
			return err
		}
	}
	for _, n := range c.Storage {
		if err := n.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// member returns a member that is not started. Others reach it through the network.
func (c *Cluster) member() (*Node, error) {
	peer, err := freeAddress()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("server-%d", len(c.Storage)+1)
	n, err := c.server(name, c.Failpoints)
	if err != nil {
		return nil, err
	}
	proxy, err := c.Network.Connect(name, peer, n.PID)
	if err != nil {
		return nil, err
	}
	if !c.Old { // an older program may have no members
		n.Args = append(n.Args, "--member-name", name, "--peer-url", "https://"+proxy, "--peer-listen", peer)
	}
	c.Storage = append(c.Storage, n)
	return n, nil
}

// Join launches a new member by an invitation of another one. args are those of "gatehouse member".
func (c *Cluster) Join(ctx context.Context, inviting *Node, args ...string) (*Node, error) {
	invitation, err := c.invitation(ctx, inviting, args...)
	if err != nil {
		return nil, err
	}
	n, err := c.member()
	if err != nil {
		return nil, err
	}
	n.Args = append(n.Args, invitation...)
	return n, n.Launch()
}

// Rejoin launches a member again that was reset.
func (c *Cluster) Rejoin(ctx context.Context, inviting, n *Node) error {
	invitation, err := c.invitation(ctx, inviting, "invite")
	if err != nil {
		return err
	}
	n.Args = append(n.Args, invitation...)
	return n.Launch()
}

// invitation returns the flags of a new invitation.
func (c *Cluster) invitation(ctx context.Context, inviting *Node, args ...string) ([]string, error) {
	output, err := c.Run(ctx, append(append([]string{"member"}, args...), "--data-dir", inviting.DataDir)...)
	if err != nil {
		return nil, err
	}
	found := joinLine.FindStringSubmatch(output)
	if found == nil {
		return nil, fmt.Errorf("gatehouse member %s prints no command: %s", strings.Join(args, " "), output)
	}
	return strings.Fields(found[1]), nil
}

// Forget takes a node out of the cluster after it was replaced.
func (c *Cluster) Forget(n *Node) {
	same := func(other *Node) bool { return n == other }
	c.Storage, c.Servers = slices.DeleteFunc(c.Storage, same), slices.DeleteFunc(c.Servers, same)
}

// LogFiles returns the files of the member's log, the newest last.
func (n *Node) LogFiles() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(n.EtcdDir(), "member", "wal", "*.wal"))
	slices.Sort(files)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: %w", n.EtcdDir(), os.ErrNotExist)
	}
	return files, err
}
