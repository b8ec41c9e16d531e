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

package app

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongFlagsOfSimulateHostsAreNamedWithTheCure(t *testing.T) {
	dir := dataDir(t)
	for _, tc := range []struct {
		name string
		args []string
		says []string // parts of the error messages
	}{
		{"no hosts", []string{"--count=0"}, []string{"--count=0 is not a number from 1 to 65536: use a number in this range"}},
		{"a name that no host can have", []string{"--name-prefix=Sim_"}, []string{`--name-prefix="Sim_" cannot begin the name of a host`}},
		{"amounts that are none", []string{"--cpu=many", "--memory=-1Gi"}, []string{`--cpu="many" is not an amount: write it as 4`, `--memory="-1Gi" is not an amount`}},
		{"more instances than addresses", []string{"--instances=251"}, []string{"--instances=251 is not a number from 0 to 250: simulate more hosts"}},
		{"a lease of part of a second", []string{"--lease-duration=1500ms"}, []string{"--lease-duration=1.5s is not a number of whole seconds"}},
		{"times before they begin", []string{"--start-delay=-1s", "--stop-delay=-1s", "--failure-after=-1s", "--run-time=-1s"}, []string{
			"--start-delay=-1s is negative", "--stop-delay=-1s is", "--failure-after=-1s is", "--run-time=-1s is",
		}},
		{"more failures than runs", []string{"--failure-rate=2"}, []string{"--failure-rate=2 is not a part: use a number from 0"}},
		{"failures of no number", []string{"--failure-rate=NaN"}, []string{"--failure-rate=NaN is not a part"}},
		{"a part that every image has", []string{`--bad-images=:bad,`}, []string{"--bad-images has an empty part"}},
		{"impersonation without a user", []string{"--impersonate"}, []string{"--kubeconfig and --impersonate belong together"}},
		{"a kubeconfig without impersonation", []string{"--kubeconfig=k"}, []string{"--kubeconfig and --impersonate belong together"}},
		{"two ways to the server", []string{"--kubeconfig=k", "--impersonate", "--data-dir=d"}, []string{"--data-dir is not used with --impersonate: leave one of them out"}},
		{"a kubeconfig that is not there", []string{"--kubeconfig=" + filepath.Join(dir, "none"), "--impersonate"}, []string{"--kubeconfig=" + filepath.Join(dir, "none")}},
		{"a directory of no server", []string{"--data-dir=" + t.TempDir()}, []string{"--data-dir=/"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := newSimulateHostsCommand()
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			cmd.SetArgs(tc.args)
			err := cmd.ExecuteContext(t.Context())
			if err == nil {
				t.Fatal("it is accepted")
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoes not contain %q", err, part)
				}
			}
		})
	}
}
