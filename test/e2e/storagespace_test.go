//go:build e2e

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

package e2e

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// storageCommand runs "gatehouse storage" for the etcd of the server, of which it is told one endpoint.
func (o *observed) storageCommand(ctx context.Context, t *testing.T, args ...string) (string, error) {
	t.Helper()
	args = append(append([]string{"storage"}, args...), "--etcd-servers="+o.connection.Endpoints[0],
		"--etcd-cafile="+o.connection.CAFile, "--etcd-certfile="+o.connection.CertFile, "--etcd-keyfile="+o.connection.KeyFile)
	output, err := exec.CommandContext(ctx, binary.Path(t), args...).CombinedOutput()
	return string(output), err
}

func TestThreeMembersAreDefragmentedOneAfterTheOtherUnlessOneIsUnhealthy(t *testing.T) {
	o := observe(t)
	o.raiseAlarm(t)
	kit.EventuallyState(t, "the command shows a leader and two followers that are full", func(ctx context.Context) (bool, string) {
		output, err := o.storageCommand(ctx, t, "status")
		return err == nil && strings.Count(output, " leader ") == 1 && strings.Count(output, " follower ") == 2 && strings.Count(output, "the quota is full") == 1, output
	})
	output, err := o.storageCommand(t.Context(), t, "defrag")
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != 5 || !strings.Contains(lines[0], "(follower)") || !strings.Contains(lines[1], "(follower)") || !strings.Contains(lines[2], " is the leader in place of ") ||
		!strings.Contains(lines[3], "(follower)") || lines[4] != "the alarm of the full database is removed: writes are accepted again" {
		t.Errorf("the command prints\n%s", output)
	}
	former := lines[2][strings.LastIndex(lines[2], " in place of ")+len(" in place of "):]
	if !strings.HasPrefix(lines[3], "member "+former+" ") {
		t.Errorf("the leader %s is not last:\n%s", former, output)
	}

	names := []string{"member-1", "member-2", "member-3"}
	gone := names[slices.IndexFunc(names, func(name string) bool { return o.etcd[name].URL != o.connection.Endpoints[0] })]
	o.etcd[gone].Kill()
	kit.EventuallyState(t, "a missing member makes the command refuse", func(ctx context.Context) (bool, string) {
		output, err := o.storageCommand(ctx, t, "defrag")
		return err != nil && strings.Contains(output, "member "+gone) && strings.Contains(output, "is unhealthy") && !strings.Contains(output, "before, "), output
	})
}

// raiseAlarm sets the alarm of a full database for one member.
func (o *observed) raiseAlarm(t *testing.T) {
	t.Helper()
	status, err := o.client.Status(t.Context(), o.connection.Endpoints[0])
	if err != nil {
		t.Fatal(err)
	}
	alarm := &etcdserverpb.AlarmRequest{Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: status.Header.GetMemberId(), Alarm: etcdserverpb.AlarmType_NOSPACE}
	if _, err := etcdserverpb.NewMaintenanceClient(o.client.ActiveConnection()).Alarm(t.Context(), alarm); err != nil {
		t.Fatal(err)
	}
}
