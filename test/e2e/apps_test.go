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
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	kubectltest "github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// startFleet starts two replicas of the controllers and a number of hosts, until the test ends.
// The objects are deleted last, when no controller recreates them.
func startFleet(t *testing.T, hosts int) map[string]*harness.Process {
	t.Helper()
	t.Cleanup(func() {
		_, _ = env.cluster.Kubectl("", "delete", "hosts,hostleases", "--all")
	})
	controllers := map[string]*harness.Process{}
	for _, name := range []string{"controllers-0", "controllers-1"} {
		process, err := env.gatehouse.StartControllers(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(process.Stop)
		controllers[name] = process
	}
	simulated, err := env.gatehouse.StartSimulatedHosts(hosts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simulated.Stop)
	kit.EventuallyState(t, "all hosts have registered", func(context.Context) (bool, string) {
		out, err := env.cluster.Kubectl("", "get", "hosts", "-o", "name")
		if err != nil {
			return false, err.Error()
		}
		return strings.Count(out, "\n") == hosts, out
	})
	return controllers
}

func TestAppsRollOutThroughTheKubeAPIServer(t *testing.T) {
	ns := namespace(t, "apps")
	startFleet(t, 3)
	apply(t, tourRights)
	kubeconfig, err := env.cluster.UserKubeconfig("tourist")
	if err != nil {
		t.Fatal(err)
	}
	kubectltest.RunApps(t, kubectltest.Rollouts{
		Env:   kubectltest.Env{Kubectl: env.cluster.Binaries.Kubectl, Kubeconfig: kubeconfig, Namespace: ns, Aggregated: true},
		Hosts: 3,
	})
}

func TestAnotherReplicaOfTheControllersGoesOn(t *testing.T) {
	ns := namespace(t, "failover")
	controllers := startFleet(t, 1)
	leader := func() string {
		out, err := env.cluster.Kubectl("", "get", "lease", "gatehouse-controllers", "-n", harness.Namespace, "-o", "jsonpath={.spec.holderIdentity}")
		if err != nil {
			return ""
		}
		return out
	}
	kit.EventuallyState(t, "one leads", func(context.Context) (bool, string) { return leader() != "", "nobody" })
	before := leader()
	app := func(name string) string {
		return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"` + name + `","namespace":"` + ns + `"},"spec":{"selector":{"matchLabels":{"app":"` + name +
			`"}},"template":{"metadata":{"labels":{"app":"` + name + `"}},"spec":{"containers":[{"name":"c","image":"registry.example.com/c:1"}]}}}}`
	}
	apply(t, app("first"))
	kubectl(t, "wait", "--for=condition=Available", "--timeout=2m", "-n", ns, "app/first")

	// The log shows which process leads; it is killed, so that it cannot release the lease.
	var killed string
	for name, process := range controllers {
		if strings.Contains(process.Tail(1000), "Successfully acquired lease") {
			killed = name
			process.Kill()
		}
	}
	if killed == "" {
		t.Fatal("neither logs that it leads")
	}
	apply(t, app("second"))
	kubectl(t, "wait", "--for=condition=Available", "--timeout=2m", "-n", ns, "app/second")
	if after := leader(); after == before {
		t.Errorf("%s still leads after it was killed", after)
	}
}
