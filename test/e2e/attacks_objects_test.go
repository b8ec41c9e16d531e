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
	"testing"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// A kube-apiserver passes the media type on unchanged.
func TestABodyWithoutAMediaTypeIsNotJSONBehindAKubeAPIServer(t *testing.T) {
	ns := namespace(t, "untyped")
	as := certified(t, env.gatehouse.Replicas[0])
	for name, admin := range map[string]*rest.Config{
		"through kube-apiserver": env.cluster.Config,
		"to a replica":           as("attack-administrator", "system:masters"),
	} {
		t.Run(name, func(t *testing.T) { security.UntypedBodies(t, admin, security.Instances(ns)) })
	}
}

// One user has the role edit of the cluster, the other may patch and not delete.
const ownerSetters = `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: attack-smith}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: attack-smith}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: attack-patcher}
rules:
- {apiGroups: [fleet.gatehouse.dev], resources: [instances], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: attack-patcher}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: attack-patcher}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: attack-patcher}]
`

// Gatehouse runs the plugin even if the cluster does not, as here, where
// kube-apiserver has its defaults. It sends access reviews of the caller to the cluster.
func TestOwnersAreNamedOnlyWithTheRightsThatTheClusterGives(t *testing.T) {
	ns := namespace(t, "owners")
	if _, err := env.cluster.Kubectl(ownerSetters, "apply", "-n", ns, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubectl(t, "delete", "host", "attack-owner", "--ignore-not-found") })
	for _, arguments := range [][]string{{"create", "instances", "attack-smith"}, {"patch", "instances", "attack-patcher"}} {
		kit.EventuallyState(t, arguments[2]+" may "+arguments[0], func(context.Context) (bool, string) {
			out, err := env.cluster.Kubectl("", "auth", "can-i", arguments[0], arguments[1], "-n", ns, "--as", arguments[2])
			return err == nil, out
		})
	}
	as := func(user string, _ ...string) *rest.Config {
		config := rest.CopyConfig(env.cluster.Config)
		config.Impersonate.UserName = user
		return config
	}
	security.StrangeOwners(t, security.Env{As: as, Admin: env.cluster.Config}, security.Instances(ns))
}

// The etcd of this Gatehouse has etcd's default limit, 1.5 MiB.
func TestAnObjectBeyondTheLimitOfEtcdIsTooLargeBehindAKubeAPIServer(t *testing.T) {
	security.LargeObjects(t, env.cluster.Config, namespace(t, "large"), 1_400_000, 1_700_000, 2_900_000)
}
