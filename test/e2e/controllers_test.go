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

func TestDeletingANamespaceEmptiesIt(t *testing.T) {
	ns := namespace(t, "to-be-emptied")
	apply(t, instance(ns, "a", "")+"---\n"+instance(ns, "b", ""))
	kubectl(t, "delete", "namespace", ns, "--timeout=90s")
	out := kubectl(t, "get", "instances", "--all-namespaces", "-o", "name")
	if strings.Contains(out, "instance.fleet.gatehouse.dev/a") {
		t.Errorf("instances outlived their namespace:\n%s", out)
	}
	_, err := env.cluster.Kubectl(instance(ns, "late", ""), "create", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("creating in a namespace that is gone: want NotFound, got %v", err)
	}
}

func TestCreatingInANamespaceThatDoesNotExistIsRefused(t *testing.T) {
	_, err := env.cluster.Kubectl(instance("nowhere", "a", ""), "create", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), `namespaces "nowhere" not found`) {
		t.Errorf("want NotFound for the namespace, got %v", err)
	}
}

func TestGarbageCollection(t *testing.T) {
	ns := namespace(t, "garbage")
	ownedBy := func(kind, apiVersion, name, uid string) string {
		return fmt.Sprintf("  ownerReferences: [{apiVersion: %s, kind: %s, name: %s, uid: %s, blockOwnerDeletion: true}]", apiVersion, kind, name, uid)
	}
	gone := func(name string) func(context.Context) (bool, string) {
		return func(context.Context) (bool, string) {
			out, err := env.cluster.Kubectl("", "get", "instance", name, "-n", ns, "-o", "yaml", "--ignore-not-found")
			return err == nil && out == "", out
		}
	}
	uid := func(resource string) string {
		return kubectl(t, "get", resource, "-n", ns, "-o", "jsonpath={.metadata.uid}")
	}

	t.Run("an instance is deleted with the ConfigMap that owns it", func(t *testing.T) {
		kubectl(t, "create", "configmap", "owner", "-n", ns)
		apply(t, instance(ns, "of-configmap", ownedBy("ConfigMap", "v1", "owner", uid("configmap/owner"))))
		kubectl(t, "delete", "configmap", "owner", "-n", ns)
		kit.EventuallyState(t, "the instance is collected", gone("of-configmap"))
	})
	t.Run("an instance is deleted with the instance that owns it", func(t *testing.T) {
		apply(t, instance(ns, "owner", ""))
		apply(t, instance(ns, "owned", ownedBy("Instance", "fleet.gatehouse.dev/v1alpha1", "owner", uid("instance/owner"))))
		kubectl(t, "delete", "instance", "owner", "-n", ns)
		kit.EventuallyState(t, "the instance is collected", gone("owned"))
	})
	t.Run("foreground deletion waits for the dependent", func(t *testing.T) {
		apply(t, instance(ns, "front", ""))
		apply(t, instance(ns, "behind", ownedBy("Instance", "fleet.gatehouse.dev/v1alpha1", "front", uid("instance/front"))))
		kubectl(t, "delete", "instance", "front", "-n", ns, "--cascade=foreground", "--timeout=90s")
		if done, out := gone("behind")(t.Context()); !done {
			t.Errorf("the owner went before its dependent:\n%s", out)
		}
	})
	t.Run("orphan deletion leaves the dependent", func(t *testing.T) {
		apply(t, instance(ns, "parent", ""))
		apply(t, instance(ns, "child", ownedBy("Instance", "fleet.gatehouse.dev/v1alpha1", "parent", uid("instance/parent"))))
		kubectl(t, "delete", "instance", "parent", "-n", ns, "--cascade=orphan", "--timeout=90s")
		kit.EventuallyState(t, "the child has no owner any more", func(context.Context) (bool, string) {
			out := kubectl(t, "get", "instance", "child", "-n", ns, "-o", "jsonpath={.metadata.name} {.metadata.ownerReferences}")
			return strings.TrimSpace(out) == "child", out
		})
	})
}
