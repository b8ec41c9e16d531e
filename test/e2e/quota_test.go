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
)

// used returns the usage of a name in the status of a quota.
func used(ns, name string) string {
	out, err := env.cluster.Kubectl("", "get", "quota", "fleet", "-n", ns, "-o", "jsonpath={.status.used['"+strings.ReplaceAll(name, ".", `\.`)+"']}")
	if err != nil {
		return err.Error()
	}
	return out
}

func usedBecomes(t *testing.T, ns, name, want string) {
	t.Helper()
	kit.EventuallyState(t, fmt.Sprintf("%s of %s are used", want, name), func(context.Context) (bool, string) {
		out := used(ns, name)
		return out == want, out
	})
}

// asking returns an instance with one container that requests this much of a processor.
func asking(ns, name, cpu string) string {
	return strings.ReplaceAll(instance(ns, name, ""), "app:1\"", fmt.Sprintf("app:1\", resources: {requests: {cpu: %s}}", cpu))
}

// The quota is an object of the cluster. Gatehouse charges creates. kube-controller-manager counts objects,
// and our quota controller sums the names that it does not have.
func TestQuotasOfTheClusterLimitOurObjects(t *testing.T) {
	const count, millicpu = "count/instances.fleet.gatehouse.dev", "fleet.gatehouse.dev/requests.millicpu"
	ns := namespace(t, "limited")
	controllers, err := env.gatehouse.StartControllers("controllers-quota")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(controllers.Stop)
	kubectl(t, "create", "quota", "fleet", "-n", ns, "--hard="+count+"=3,"+millicpu+"=1000,configmaps=10")
	usedBecomes(t, ns, count, "0")
	usedBecomes(t, ns, millicpu, "0")

	apply(t, asking(ns, "a", "600m"))
	if counted, summed := used(ns, count), used(ns, millicpu); counted != "1" || summed != "600" {
		t.Errorf("right after the create %s and %s are used", counted, summed)
	}
	refused := func(manifest, why string) {
		t.Helper()
		if _, err := env.cluster.Kubectl(manifest, "create", "-f", "-"); err == nil || !strings.Contains(err.Error(), "(Forbidden)") || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want %q", err, why)
		}
	}
	refused(asking(ns, "b", "401m"), "exceeded quota: fleet, requested: "+millicpu+"=401, used: "+millicpu+"=600, limited: "+millicpu+"=1k")
	refused(instance(ns, "b", ""), "failed quota: fleet: must specify resources.requests.cpu for: main")
	apply(t, asking(ns, "b", "400m")+"---\n"+asking(ns, "c", "0"))
	refused(asking(ns, "d", "0"), "exceeded quota: fleet, requested: "+count+"=1, used: "+count+"=3, limited: "+count+"=3")

	t.Run("an instance that has ended is not charged", func(t *testing.T) {
		kubectl(t, "patch", "instance", "a", "-n", ns, "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Succeeded"}}`)
		usedBecomes(t, ns, millicpu, "400")
		if counted := used(ns, count); counted != "3" {
			t.Errorf("%s are counted", counted)
		}
	})
	t.Run("one that is deleted is not counted any more", func(t *testing.T) {
		kubectl(t, "delete", "instance", "a", "b", "-n", ns)
		usedBecomes(t, ns, millicpu, "0")
		usedBecomes(t, ns, count, "1")
	})
	t.Run("a sum that is wrong is mended, and the rest is left alone", func(t *testing.T) {
		usedBecomes(t, ns, "configmaps", "1") // the cluster's own trust bundle
		kubectl(t, "patch", "quota", "fleet", "-n", ns, "--subresource=status", "--type=merge", "-p", `{"status":{"used":{"`+millicpu+`":"999"}}}`)
		usedBecomes(t, ns, millicpu, "0")
		if maps := used(ns, "configmaps"); maps != "1" {
			t.Errorf("%s config maps are counted", maps)
		}
	})
}
