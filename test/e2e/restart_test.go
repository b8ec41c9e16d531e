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
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// restartRounds is the number of restarts, alternately by SIGKILL and by SIGTERM.
const restartRounds = 4

// Objects that exist during all rounds. Namespaces replace FULL and NS.
var restartStanding = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-restart-keeper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: restart-keeper}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: fleet, namespace: FULL}
spec: {hard: {count/instances.fleet.gatehouse.dev: "0"}}
---
` + refusingPolicy("e2e-restart-standing", "refused")

// Objects that a round creates, and deletes before or while the replica does not run.
const (
	restartPassing = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-restart-mallory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: restart-mallory}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: e2e-restart-passing}
webhooks:
- name: nothing.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  rules: [{apiGroups: [fleet.gatehouse.dev], apiVersions: ["*"], operations: [CREATE], resources: [instances]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
  clientConfig: {url: "https://127.0.0.1:1/nothing-listens"}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: passing, namespace: NS}
spec: {hard: {count/instances.fleet.gatehouse.dev: "0"}}
---
`
)

// refusingPolicy returns a policy, with its binding, that refuses instances of a name.
func refusingPolicy(name, refused string) string {
	return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
    resourceRules: [{apiGroups: [fleet.gatehouse.dev], apiVersions: ["*"], operations: [CREATE], resources: [instances]}]
  validations: [{expression: 'object.metadata.name != "%[2]s"', reason: Forbidden}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, name, refused)
}

// A replica is stopped, and rights, policies, webhooks and quotas are deleted before that or while it
// does not run. From its first open port on, it decides by the current state of the cluster, and returns
// 503 until it has that state.
func TestARestartedReplicaDecidesByWhatTheClusterHoldsNow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	ns, full := namespace(t, "restarted"), namespace(t, "restarted-full")
	in := strings.NewReplacer("NS", ns, "FULL", full)
	standing, passing := in.Replace(restartStanding), in.Replace(restartPassing+refusingPolicy("e2e-restart-passing", "welcome"))
	apply(t, standing)
	remove := func(manifests string) {
		if _, err := env.cluster.Kubectl(manifests, "delete", "--ignore-not-found", "-f", "-"); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { remove(passing); remove(standing) })
	defer revive(t)
	awaitQuota(t, full, "fleet")
	for _, space := range []string{ns, full} {
		kit.EventuallyState(t, "the service account of "+space+" is there", func(context.Context) (bool, string) {
			_, err := env.cluster.Kubectl("", "get", "serviceaccount", "default", "-n", space)
			return err == nil, errText(err)
		})
	}
	replica := env.gatehouse.Replicas[0]
	questions := restartQuestions(t, ns, full)
	for round := range restartRounds {
		apply(t, passing)
		awaitQuota(t, ns, "passing")
		if round%2 == 0 {
			replica.Kill()
			remove(passing)
		} else {
			remove(passing)
			replica.Stop()
		}
		security.AskDuringStart(ctx, t, questions, func() {
			if err := replica.Restart(ctx, env.gatehouse); err != nil {
				t.Error(err)
			}
		})
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	for _, q := range questions {
		t.Logf("%s: answers by code: %s", q.Name, q.Codes())
	}
}

// awaitQuota waits until the cluster has counted the usage of a quota: the quota is enforced from then on.
func awaitQuota(t *testing.T, ns, name string) {
	t.Helper()
	kit.EventuallyState(t, "the quota "+name+" is counted", func(context.Context) (bool, string) {
		out := kubectl(t, "get", "quota", name, "-n", ns, "-o", "jsonpath={.status.hard}")
		return strings.Contains(out, "count/instances"), out
	})
}

// restartQuestions returns the requests to the first replica.
func restartQuestions(t *testing.T, ns, full string) []*security.Question {
	t.Helper()
	as := certified(t, env.gatehouse.Replicas[0])
	mallory, keeper := as("restart-mallory"), as("restart-keeper")
	create := func(ns string) string {
		return "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/" + ns + "/instances?dryRun=All"
	}
	named := func(name string) string {
		return fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":%q},"spec":{"containers":[{"name":"a","image":"a:1"}]}}`, name)
	}
	return []*security.Question{
		{Name: "a user whose binding was deleted lists instances", Config: mallory, Path: instancesPath, Want: http.StatusForbidden},
		{Name: "a user with a role lists instances", Config: keeper, Path: instancesPath, Want: http.StatusOK},
		{Name: "a user creates what no policy, webhook or quota refuses any more", Config: keeper, Path: create(ns), Body: named("welcome"), Want: http.StatusCreated},
		{Name: "a user creates what a policy refuses", Config: keeper, Path: create(ns), Body: named("refused"), Want: http.StatusForbidden},
		{Name: "a user creates what a quota refuses", Config: keeper, Path: create(full), Body: named("welcome"), Want: http.StatusForbidden},
		{Name: "a user creates in a namespace that does not exist", Config: keeper, Path: create("nowhere"), Body: named("welcome"), Want: http.StatusNotFound},
	}
}
