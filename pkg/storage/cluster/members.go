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
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// membership is the list of members at a moment.
type membership struct {
	list    []*etcdserverpb.Member
	records map[string]record
}

func (c *Cluster) members(ctx context.Context) (*membership, error) {
	listed, err := c.client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	records, err := c.records(ctx)
	if err != nil {
		return nil, err
	}
	return &membership{listed.Members, records}, nil
}

// voters returns the number of members that vote.
func (m *membership) voters() int {
	voters := 0
	for _, member := range m.list {
		if !member.GetIsLearner() {
			voters++
		}
	}
	return voters
}

// learner reports whether there is one.
func (m *membership) learner() bool { return m.voters() < len(m.list) }

// at returns the member with a peer URL, or nil.
func (m *membership) at(peerURL string) *etcdserverpb.Member {
	for _, member := range m.list {
		if slices.Contains(member.GetPeerURLs(), peerURL) {
			return member
		}
	}
	return nil
}

func (m *membership) withID(id uint64) *etcdserverpb.Member {
	for _, member := range m.list {
		if member.GetID() == id {
			return member
		}
	}
	return nil
}

// name returns the name of a member: that of its record, which is older than the one that it publishes.
func (m *membership) name(member *etcdserverpb.Member) string {
	if r, ok := m.records[hexID(member.GetID())]; ok && r.Name != "" {
		return r.Name
	}
	if name := member.GetName(); name != "" {
		return name
	}
	return hexID(member.GetID())
}

// named returns the member with a name or an ID.
func (m *membership) named(name string) (*etcdserverpb.Member, error) {
	var known []string
	for _, member := range m.list {
		if m.name(member) == name || member.GetName() == name || hexID(member.GetID()) == name {
			return member, nil
		}
		known = append(known, m.name(member))
	}
	slices.Sort(known)
	return nil, notFound(fmt.Sprintf("there is no member %s: the members are %v", name, known))
}
