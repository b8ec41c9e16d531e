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
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// The list of revoked hosts is in the cluster, and every replica reads it.
func TestHostsKeepNothingThatWasTakenFromThem(t *testing.T) {
	ns := namespace(t, "taken")
	as := certified(t, env.gatehouse.Replicas...)
	attack := security.Env{FrontProxy: true, As: as, Admin: as("attack-administrator", "system:masters")}
	t.Run("races", func(t *testing.T) { security.HostRaces(t, attack, ns) })
	t.Run("ended instances", func(t *testing.T) { security.EndedInstances(t, attack, ns) })
	t.Run("a revoked host", func(t *testing.T) {
		t.Cleanup(func() {
			_, _ = env.cluster.Kubectl("", "delete", "configmap", revocation.ConfigMap, "-n", revocation.Namespace, "--ignore-not-found")
		})
		security.RevokedHost(t, attack, ns, func(host string) {
			kubectl(t, "create", "configmap", revocation.ConfigMap, "-n", revocation.Namespace, "--from-literal="+host+"="+time.Now().UTC().Format(time.RFC3339))
		})
	})
}
