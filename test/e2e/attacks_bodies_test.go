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
	"os"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/security"
)

// A role binding gives the editor of the suite the rights on the fleet's kinds that edit has.
const costlyEditor = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-costly}
rules:
- {apiGroups: [fleet.gatehouse.dev], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-costly}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-costly}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: attack-costly-editor}]
`

// The bodies are sent to the replica directly: a kube-apiserver in between is a proxy that does not
// change bodies.
func TestNoRequestCostsAReplicaMuch(t *testing.T) {
	ns := namespace(t, "costly")
	apply(t, costlyEditor)
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding/e2e-costly", "clusterrole/e2e-costly") })
	as := certified(t, env.gatehouse.Replicas[0])
	replica := env.gatehouse.Replicas[0]
	costly := security.Costly{
		Env:       security.Env{FrontProxy: true, As: as, Admin: as("attack-administrator", "system:masters"), PID: replica.PID()},
		Namespace: ns,
		Log: func() string {
			text, err := os.ReadFile(replica.Log)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
	}
	security.CreateTarget(t, costly)
	security.Bodies(t, costly)
}
