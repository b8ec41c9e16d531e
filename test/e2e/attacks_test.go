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
	"fmt"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// certified returns a function that creates clients with certificates of the cluster's authority.
// They connect to the replicas in turn, not through the kube-apiserver.
func certified(t *testing.T, replicas ...*harness.Replica) func(user string, groups ...string) *rest.Config {
	files := 0
	return func(user string, groups ...string) *rest.Config {
		t.Helper()
		files++
		pair, err := env.cluster.ClientCA.Issue(fmt.Sprintf("%s-%d", t.Name(), files), user, groups)
		if err != nil {
			t.Fatal(err)
		}
		return &rest.Config{Host: replicas[files%len(replicas)].URL, QPS: -1, TLSClientConfig: rest.TLSClientConfig{
			CAFile: env.gatehouse.CAFile, CertFile: pair.Cert, KeyFile: pair.Key,
		}}
	}
}

// A role that grants hosts everything, in all groups: a cluster may have such a role.
const everythingForHosts = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-everything}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
- {nonResourceURLs: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-everything-for-hosts}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-everything}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:hosts"}]
`

// Hosts connect to Gatehouse directly, with certificates of the cluster's authority.
func TestHostsGetAwayWithNothingWhateverARoleGrantsThem(t *testing.T) {
	ns := namespace(t, "attacked")
	apply(t, everythingForHosts)
	t.Cleanup(func() {
		kubectl(t, "delete", "clusterrolebinding/e2e-everything-for-hosts", "clusterrole/e2e-everything")
	})
	as := certified(t, env.gatehouse.Replicas[0])
	attacked := security.Env{FrontProxy: true, As: as, Admin: as("attack-administrator", "system:masters")}
	security.Hosts(t, attacked, ns)
	security.Peers(t, attacked)
}

// Through kube-apiserver, as kubectl patches.
func TestNoAttackGetsAWrongAnswerThroughTheCluster(t *testing.T) {
	ns := namespace(t, "answers")
	admin := rest.CopyConfig(env.cluster.Config)
	security.Answers(t, security.Env{As: func(string, ...string) *rest.Config { return admin }, Admin: admin}, ns)
}

// Callers connect to Gatehouse directly, which reviews tokens by the cluster.
func TestNoForgedTokenIsAcceptedBehindAKubeAPIServer(t *testing.T) {
	ns := namespace(t, "forged")
	kubectl(t, "create", "serviceaccount", "robot", "--namespace="+ns)
	good, err := env.cluster.Token(ns, "robot")
	if err != nil {
		t.Fatal(err)
	}
	as := certified(t, env.gatehouse.Replicas[0])
	keys := security.KeySet(t, security.Env{Admin: env.cluster.Config})
	security.ForgedTokens(t, security.Env{FrontProxy: true, As: as, Admin: as("attack-administrator", "system:masters")}, good, keys)
}
