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

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/webhooks"
)

// An administrator grants this so that policies can have parameters: docs/admission.md.
const configMapsAsParameters = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: e2e-configmaps-as-parameters
  labels: {gatehouse.dev/aggregate-to-policy-parameters: "true"}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}
`

// docs/install.md grants this in each namespace, for hosts that request tokens.
const instanceTokens = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-instance-tokens}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-instance-tokens}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-instance-tokens}
subjects: [{kind: ServiceAccount, name: gatehouse, namespace: gatehouse-system}]
`

// The webhooks and policies are objects of the cluster. Requests go through kube-apiserver, which
// proxies them before its own admission, so Gatehouse makes all calls.
func TestTheClustersWebhooksAndPoliciesAreAsked(t *testing.T) {
	apply(t, configMapsAsParameters)
	apply(t, instanceTokens)
	t.Cleanup(func() {
		kubectl(t, "delete", "clusterrole/e2e-configmaps-as-parameters", "clusterrole/e2e-instance-tokens", "clusterrolebinding/e2e-instance-tokens")
	})
	pair, err := env.cluster.ClientCA.Issue("gatekeeper", "gatekeeper", []string{"system:masters"})
	if err != nil {
		t.Fatal(err)
	}
	var servers []*rest.Config
	var logs []string
	for _, replica := range env.gatehouse.Replicas {
		logs = append(logs, replica.AuditLog)
		servers = append(servers, &rest.Config{Host: replica.URL, TLSClientConfig: rest.TLSClientConfig{CAFile: env.gatehouse.CAFile, CertFile: pair.Cert, KeyFile: pair.Key}})
	}
	webhooks.Run(t, webhooks.Env{
		Admin: env.cluster.Config, Servers: servers, Namespace: "gates", AuditLogs: logs,
		// The cluster's own groups except for those that must stay available: a failing webhook
		// would stop the control plane that the other tests share.
		CatchAll: []string{"fleet.gatehouse.dev", "admissionregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io"},
	})
}
