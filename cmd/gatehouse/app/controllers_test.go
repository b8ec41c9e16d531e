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
	"strings"
	"testing"
)

func TestWrongFlagsOfControllersNameTheCure(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown controller", []string{"--controllers=scheduler,replicaset"}, `--controllers: there is no controller "replicaset": use *`},
		{"one both wanted and not", []string{"--controllers=scheduler,-scheduler"}, "--controllers: scheduler is both selected and excluded"},
		{"none left", []string{"--controllers="}, "--controllers selects none"},
		{"a lease that ends before its holder stops", []string{"--leader-elect-lease-duration=5s"}, "--leader-elect-lease-duration=5s must be longer than --leader-elect-renew-deadline=10s"},
		{"attempts too far apart", []string{"--leader-elect-retry-period=9s"}, "--leader-elect-retry-period=9s must be more than 0s and less than"},
		{"no lease", []string{"--leader-elect-resource-name="}, "--leader-elect-resource-name must not be empty"},
		{"a health address without a port", []string{"--health-address=127.0.0.1"}, `--health-address="127.0.0.1" is not of the form ADDR:PORT`},
		{"a bind address that is a name", []string{"--bind-address=localhost"}, `--bind-address="localhost" is not an IP address`},
		{"no server", nil, "--kubeconfig is required outside a cluster"},
		{"a kubeconfig that is missing", []string{"--kubeconfig=testdata/missing"}, "--kubeconfig=testdata/missing: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			cmd := newControllersCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(tc.args)
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
