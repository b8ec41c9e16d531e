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

	"github.com/gatehouse-dev/gatehouse/test/security"
)

const instanceWatchers = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-watch-instances}
rules:
- {apiGroups: ["fleet.gatehouse.dev"], resources: ["instances"], verbs: ["list", "watch"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-watch-instances}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-watch-instances}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "attack-watchers"}]
`

// Clients that connect to Gatehouse directly are bounded as in the standalone mode; 1000 is the
// default of --max-watches-per-user.
func TestNoClientHoldsAnAggregatedServerWithConnections(t *testing.T) {
	ns := namespace(t, "crowded")
	apply(t, instanceWatchers)
	t.Cleanup(func() {
		kubectl(t, "delete", "clusterrolebinding/e2e-watch-instances", "clusterrole/e2e-watch-instances")
	})
	as := certified(t, env.gatehouse.Replicas[0])
	const instances = "/apis/fleet.gatehouse.dev/v1alpha1"
	var costs security.Costs
	defer costs.Log(t)
	security.Connections(t, security.Env{FrontProxy: true, As: as, Admin: as("attack-administrator", "system:masters"), PID: env.gatehouse.Replicas[0].PID(), Costs: &costs}, 1000,
		instances+"/instances?watch=true", instances+"/namespaces/"+ns+"/instances")
}
