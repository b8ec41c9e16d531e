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
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	kubectltest "github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// The user of the scenes has only the rights of a team's administrator of the fleet:
// the ClusterRoles that the manifests install, in all namespaces.
const tourRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-tourist}
rules:
- {apiGroups: [fleet.gatehouse.dev], resources: ["*"], verbs: ["*"]}
- {apiGroups: [""], resources: [namespaces, events], verbs: [get, list, watch]}
- {nonResourceURLs: [/readyz, /livez, /healthz, /version], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-tourist}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-tourist}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: tourist}]
`

func TestTheKubectlTourThroughTheKubeAPIServer(t *testing.T) {
	ns := namespace(t, "tour")
	kubectl(t, "create", "serviceaccount", "builder", "-n", ns)
	apply(t, tourRights)
	kubeconfig, err := env.cluster.UserKubeconfig("tourist")
	if err != nil {
		t.Fatal(err)
	}
	// The kube-apiserver fetches OpenAPI v2 asynchronously, and retries only after a minute if a
	// test before this one had stopped the replicas.
	kit.EventuallyState(t, "OpenAPI v2 of the kube-apiserver has our kinds", func(context.Context) (bool, string) {
		document, err := env.cluster.Kubectl("", "get", "--raw", "/openapi/v2")
		return err == nil && strings.Contains(document, `"/apis/fleet.gatehouse.dev/v1alpha1/hosts"`), fmt.Sprint(err)
	})
	kubectltest.Run(t, kubectltest.Env{Kubectl: env.cluster.Binaries.Kubectl, Kubeconfig: kubeconfig, Namespace: ns, Aggregated: true})
}
