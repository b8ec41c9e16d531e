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

package members

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// doctor runs gatehouse doctor in the directory of a member, and returns its output and its exit code. A speed of the disk and
// a key of backups are not the subject here.
func doctor(t *testing.T, server *binary.Server) (string, int) {
	out, err := exec.CommandContext(t.Context(), binary.Path(t), "doctor", "--data-dir", server.DataDir).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	must(t, err)
	return string(out), 0
}

func TestDoctorTellsTheLossOfAMemberFromTheLossOfTheQuorum(t *testing.T) {
	c := binary.StartCluster(t, 3)
	wants := func(what string, code int, texts ...string) {
		t.Helper()
		kit.EventuallyState(t, what, func(context.Context) (bool, string) {
			out, got := doctor(t, c.Servers[0])
			for _, text := range texts {
				if !strings.Contains(out, text) {
					return false, out
				}
			}
			return got >= code, out
		})
	}
	wants("three healthy members", 0, "3 of 3 voters respond, 2 are needed, with a leader", "as 3 of server and members", "member a at https://")
	c.Servers[2].Kill()
	c.Servers[2].Wait(t)
	wants("one member is lost", 1, "2 of 3 voters respond, 2 are needed: none more may fail", `cure: start the members that do not respond, or replace them with "gatehouse member replace"`)
	c.Servers[1].Kill()
	c.Servers[1].Wait(t)
	wants("the quorum is lost", 2, "1 of 3 voters respond, 2 are needed: writes fail", "the server is not ready: etcd", `"gatehouse restore"`)
}
