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

package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

// fullPercent is the part of the quota from which it is a warning: at 80 % the server begins to make space.
const fullPercent = 80

// external returns the external etcd of the flags or of the server; no endpoints for an embedded one.
func (s *Standalone) external() storage.Connection {
	if len(s.External.Endpoints) > 0 {
		return s.External
	}
	settings, err := backup.ReadSettings(s.DataDir)
	if err != nil || len(settings.Etcd.Endpoints) == 0 || strings.HasPrefix(settings.Etcd.Endpoints[0], "unix:") {
		return storage.Connection{}
	}
	return settings.Etcd
}

// members asks the members of etcd.
func (s *Standalone) members(ctx context.Context) ([]space.Member, error) {
	o := space.NewOptions(s.DataDir)
	o.External = s.external()
	peers := certificates.PeerFilesIn(s.certificateDir())
	return askMembers(ctx, o, storage.Connection{CAFile: peers.CAFile, CertFile: peers.CertFile, KeyFile: peers.KeyFile})
}

func askMembers(ctx context.Context, o *space.Options, peers storage.Connection) ([]space.Member, error) {
	etcd, err := o.Open(ctx, peers)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	return etcd.Members(ctx)
}

func (s *Standalone) etcd(ctx context.Context) []Finding {
	if !s.runs() && len(s.external().Endpoints) == 0 {
		return []Finding{ok("not running: it is embedded in the server")}
	}
	members, err := s.members(ctx)
	if err != nil {
		return []Finding{broken("", "etcd does not respond: %v", err)}
	}
	return etcdFindings(members, len(s.external().Endpoints) > 0)
}

// etcdFindings returns what is wrong with the members of an etcd.
func etcdFindings(members []space.Member, external bool) []Finding {
	var found []Finding
	voters, responding, leader := 0, 0, false
	for i := range members {
		m := &members[i]
		if !m.Learner {
			voters++
			leader = leader || m.Leader
			if responds(m) {
				responding++
			}
		}
		found = append(found, memberFindings(m, external)...)
	}
	quorum := storage.QuorumOf(voters)
	summary := fmt.Sprintf("%d of %d voters respond, %d are needed", responding, voters, quorum.Needed)
	start := "start the members that do not respond, or replace them with \"gatehouse member replace\""
	if external {
		start = "start the members that do not respond, or replace them in etcd (etcdctl member)"
	}
	switch {
	case responding < quorum.Needed || !leader && responding < voters:
		found = append(found, broken(start+"; if most of them are lost, restore a backup with \"gatehouse restore\"", "%s: writes fail", summary))
	case !leader:
		found = append(found, broken("wait for an election; if there is none, see whether the members reach each other and how fast their disks are", "etcd has no leader"))
	case responding < voters && responding == quorum.Needed:
		found = append(found, warning(start, "%s: none more may fail", summary))
	}
	if text := quorum.Warning(); text != "" {
		what, cure, _ := strings.Cut(text, ": ")
		found = append(found, warning(cure, "%s", what))
	}
	versions := map[string]bool{}
	for _, m := range members {
		if m.Version != "" {
			versions[m.Version] = true
		}
	}
	if len(versions) > 1 {
		found = append(found, warning("upgrade the members that are older (docs/upgrade.md)", "the members have different versions of etcd"))
	}
	return orOK(found, "%s, with a leader and without alarms", summary)
}

// responds reports whether a member has reported its status, which it does without a leader, too, or is reached on another
// machine only.
func responds(m *space.Member) bool { return m.Version != "" || m.Elsewhere }

func memberFindings(m *space.Member, external bool) []Finding {
	var found []Finding
	name := strings.TrimSpace(m.String())
	switch {
	case m.Err == nil || m.Elsewhere:
	case responds(m):
		found = append(found, warning("see in its log what is wrong", "the member %s is not healthy: %v", name, m.Err))
	default:
		found = append(found, warning("start it, or see in its log why it does not respond", "the member %s does not respond: %s", name, strings.TrimSuffix(m.Err.Error(), ": start it, or correct the URL")))
	}
	if m.Learner {
		found = append(found, warning("wait until it has the data and votes; if it does not, see its log", "the member %s is a learner: it does not count for the quorum", name))
	}
	if m.Corrupt {
		found = append(found, broken("replace the member: \"gatehouse member replace\", and restore a backup if the others are wrong, too (docs/damaged-data.md)", "the member %s has found its data to be inconsistent", name))
	}
	cure := "delete objects that are not needed (\"gatehouse storage top\" shows what takes the space); the server then makes space by itself; or start it with a larger --etcd-quota-bytes"
	if external {
		cure = "delete objects that are not needed (\"gatehouse storage top\"), then run \"gatehouse storage compact\" and \"gatehouse storage defrag\" with the same --etcd-servers; or raise --quota-backend-bytes of etcd"
	}
	used := m.InUse // the server shrinks the file of an embedded etcd by itself
	if external {
		used = m.Size
	}
	switch {
	case m.NoSpace:
		found = append(found, broken(cure, "the database of the member %s is full, %s of %s: writes are refused", name, space.Bytes(m.Size), space.Bytes(m.Quota)))
	case m.Quota > 0 && used*100 >= m.Quota*fullPercent:
		found = append(found, warning(cure, "the database of the member %s uses %s of %s", name, space.Bytes(used), space.Bytes(m.Quota)))
	}
	return found
}
