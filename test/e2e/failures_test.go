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
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// revive restarts every replica, whatever state a test left it in.
func revive(t *testing.T) {
	t.Helper()
	for _, r := range env.gatehouse.Replicas {
		select {
		case <-r.Exited():
			if err := r.Restart(t.Context(), env.gatehouse); err != nil {
				t.Fatal(err)
			}
		default:
			_ = r.Signal(syscall.SIGCONT)
		}
	}
	env.gatehouse.Rebalance()
	if err := env.gatehouse.WaitAvailable(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOneReplicaIsEnough(t *testing.T) {
	ns := namespace(t, "one-replica")
	apply(t, instance(ns, "kept", ""))
	defer revive(t)
	env.gatehouse.Replicas[0].Kill()
	kit.EventuallyState(t, "the other replica answers", func(context.Context) (bool, string) {
		out, err := env.cluster.Kubectl("", "get", "instance", "kept", "-n", ns, "-o", "name", "--request-timeout=10s")
		return err == nil && strings.Contains(out, "kept"), errText(err)
	})
	apply(t, instance(ns, "written-meanwhile", ""))
}

// usableWithoutUs checks the parts of a cluster that must work without the aggregated server.
func usableWithoutUs(t *testing.T, ns string) {
	t.Helper()
	kubectl(t, "get", "pods,configmaps,secrets", "-n", ns, "--request-timeout=20s")
	kubectl(t, "create", "configmap", "while-away", "-n", ns, "--request-timeout=20s")
	kubectl(t, "delete", "configmap", "while-away", "-n", ns, "--request-timeout=20s")
}

func TestTheClusterStaysUsableWhileAllReplicasAreGone(t *testing.T) {
	for _, tc := range []struct {
		name string
		away func(*harness.Replica)
	}{
		{"killed", func(r *harness.Replica) { r.Kill() }},
		{"hung", func(r *harness.Replica) { _ = r.Signal(syscall.SIGSTOP) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ns := namespace(t, "away-"+tc.name)
			ours := namespace(t, "ours-"+tc.name)
			apply(t, instance(ours, "waits", ""))
			defer revive(t)
			for _, r := range env.gatehouse.Replicas {
				tc.away(r)
			}
			kit.EventuallyState(t, "the cluster notices", func(context.Context) (bool, string) {
				available, message := env.gatehouse.Available()
				return !available, message
			})
			usableWithoutUs(t, ns)

			// Upstream's design: while a group's discovery fails, no namespace can be proved
			// empty, so none is finalized; its conditions state that, and the deletion continues later.
			kubectl(t, "delete", "namespace", ns, "--wait=false", "--request-timeout=20s")
			kubectl(t, "delete", "namespace", ours, "--wait=false", "--request-timeout=20s")
			kit.EventuallyState(t, "the namespace says what it waits for", func(context.Context) (bool, string) {
				out := kubectl(t, "get", "namespace", ns, "-o", "jsonpath={.status.conditions[?(@.type=='NamespaceDeletionDiscoveryFailure')].message}")
				return strings.Contains(out, "fleet.gatehouse.dev"), out
			})
			revive(t)
			for _, name := range []string{ns, ours} {
				kit.EventuallyState(t, "the deletion of namespace "+name+" finishes without help", func(context.Context) (bool, string) {
					out, err := env.cluster.Kubectl("", "get", "namespace", name, "--ignore-not-found", "-o", "yaml")
					return err == nil && out == "", out
				})
			}
		})
	}
}
