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
	"os/exec"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// storageCommand runs "gatehouse storage" on the directory of a server. The output includes standard error.
func storageCommand(ctx context.Context, t *testing.T, server *binary.Server, name string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(ctx, binary.Path(t), "storage", name, "--data-dir", server.DataDir).CombinedOutput()
	return string(output), err
}

// rows returns the number of members in the output of "gatehouse storage status" that have no problem.
func rows(status string) int {
	healthy := 0
	for line := range strings.Lines(status) {
		if strings.HasSuffix(strings.TrimSpace(line), " -") {
			healthy++
		}
	}
	return healthy
}

func TestTheSpaceOfAllMembersIsShownAndRegainedFromEach(t *testing.T) {
	c := binary.StartCluster(t, 3)
	for _, server := range c.Servers {
		if status, err := storageCommand(t.Context(), t, server, "status"); err != nil || rows(status) != 3 {
			t.Errorf("the status from %v: %v\n%s", server, err, status)
		}
		if output, err := storageCommand(t.Context(), t, server, "defrag"); err != nil || strings.Count(output, " before, ") != 3 {
			t.Errorf("the defragmentation from %v: %v\n%s", server, err, output)
		}
	}
	third := c.Servers[2]
	third.Kill()
	third.Wait(t)
	kit.EventuallyState(t, "the members that are left show the one that is gone, and do not block another one", func(ctx context.Context) (bool, string) {
		status, err := storageCommand(ctx, t, c.Servers[0], "status")
		if err != nil || rows(status) != 2 || !strings.Contains(status, "connection refused") {
			return false, status
		}
		output, err := storageCommand(ctx, t, c.Servers[0], "defrag")
		return err != nil && strings.Contains(output, "member c ") && strings.Contains(output, "is unhealthy") && !strings.Contains(output, " before, "), output
	})
}
