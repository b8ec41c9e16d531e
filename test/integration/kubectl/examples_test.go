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

package kubectl

import (
	"os/exec"
	"strings"
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// TestTheExamplesApply applies the directory of examples as a whole, twice: the second time
// changes nothing.
func TestTheExamplesApply(t *testing.T) {
	server := servertesting.Start(t)
	for _, want := range []string{" created", " unchanged"} {
		command := exec.CommandContext(t.Context(), kubectl.Find(t), "--kubeconfig", server.Kubeconfig, "apply", "-f", "../../../artifacts/examples")
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		if len(lines) < 3 {
			t.Errorf("only %d objects are applied:\n%s", len(lines), output)
		}
		for _, line := range lines {
			if !strings.HasSuffix(line, want) {
				t.Errorf("%q does not end with %q", line, want)
			}
		}
	}
}
