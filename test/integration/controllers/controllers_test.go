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

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func blockingOwner(ref metav1.OwnerReference) metav1.OwnerReference {
	ref.BlockOwnerDeletion = ptr.To(true)
	return ref
}

func TestANamespaceGoesWithEverythingInIt(t *testing.T) {
	c := harness.StartControlled(t)
	c.CreateNamespace(t, "team")
	const objects = 500
	var wg sync.WaitGroup
	for worker := range 10 {
		wg.Go(func() {
			for i := worker; i < objects; i += 10 {
				object := metav1.ObjectMeta{Name: fmt.Sprintf("object-%d", i), Namespace: "team"}
				var err error
				if i%2 == 0 {
					_, err = c.Core.CoreV1().ConfigMaps("team").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: object}, metav1.CreateOptions{})
				} else {
					instance := harness.SmallInstance(object.Name)
					instance.Namespace = "team"
					_, err = c.FleetV1alpha1().Instances("team").Create(t.Context(), instance, metav1.CreateOptions{})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	c.CreateMap(t, "default", "bystander")

	start := time.Now()
	if err := c.Core.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, "the namespace", func(ctx context.Context) error { return c.Namespace(ctx, "team") })
	t.Logf("%d objects and their namespace went in %v", objects, time.Since(start).Round(time.Millisecond))

	maps, err := c.Core.CoreV1().ConfigMaps("team").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(maps.Items) > 0 {
		t.Errorf("%d config maps are left (%v)", len(maps.Items), err)
	}
	instances, err := c.FleetV1alpha1().Instances("team").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(instances.Items) > 0 {
		t.Errorf("%d instances are left (%v)", len(instances.Items), err)
	}
	if err := c.GetMap("default", "bystander")(t.Context()); err != nil {
		t.Errorf("what is in another namespace: %v", err)
	}
}

func TestANamespaceWaitsForInstancesAndFinalizersWithAReason(t *testing.T) {
	c := harness.StartControlled(t)
	c.CreateNamespace(t, "team")
	c.CreateHost(t, "edge-1")
	instance := harness.SmallInstance("web")
	if _, err := c.FleetV1alpha1().Instances("team").Create(t.Context(), instance, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.FleetV1alpha1().Instances("team").Bind(t.Context(), "web", &v1alpha1.Binding{Target: v1alpha1.BindingTarget{Kind: "Host", Name: "edge-1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Core.CoreV1().ConfigMaps("team").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/keep"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Core.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	says := func(condition corev1.NamespaceConditionType, status corev1.ConditionStatus, words string) func(context.Context) string {
		return func(ctx context.Context) string {
			namespace, err := c.Core.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			for _, is := range namespace.Status.Conditions {
				if is.Type == condition && is.Status == status && strings.Contains(is.Message, words) {
					return ""
				}
			}
			return fmt.Sprintf("no %s=%s with %q: %+v", condition, status, words, namespace.Status)
		}
	}
	harness.ComesTrue(t, says(corev1.NamespaceContentRemaining, corev1.ConditionTrue, "instances.fleet.gatehouse.dev has 1, such as web (1 wait for what runs to be stopped)"))
	harness.ComesTrue(t, says(corev1.NamespaceFinalizersRemaining, corev1.ConditionTrue, "example.com/keep in 1"))
	harness.ComesTrue(t, says(corev1.NamespaceDeletionDiscoveryFailure, corev1.ConditionFalse, ""))
	// Creates are refused meanwhile.
	_, err := c.Core.CoreV1().ConfigMaps("team").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("a create in a namespace that goes away: %v", err)
	}

	if _, err := c.Core.CoreV1().ConfigMaps("team").Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, says(corev1.NamespaceFinalizersRemaining, corev1.ConditionFalse, ""))
	if err := c.FleetV1alpha1().Instances("team").Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, "the namespace", func(ctx context.Context) error { return c.Namespace(ctx, "team") })
}

func TestNamespacesAreLookedAtByAdmission(t *testing.T) {
	c := harness.StartControlled(t)
	_, err := c.FleetV1alpha1().Instances("nowhere").Create(t.Context(), harness.SmallInstance("web"), metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `namespaces "nowhere" not found`) {
		t.Errorf("a create in a namespace that does not exist: %v", err)
	}
	if err := c.Core.CoreV1().Namespaces().Delete(t.Context(), "default", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a delete of the namespace default: %v", err)
	}
	// A namespace accepts objects as soon as it was created.
	for i := range 20 {
		name := fmt.Sprintf("fresh-%d", i)
		c.CreateNamespace(t, name)
		c.CreateMap(t, name, "first")
	}
}

func TestEveryNamespaceHasADefaultServiceAccount(t *testing.T) {
	c := harness.StartControlled(t)
	c.CreateNamespace(t, "team")
	var first types.UID
	has := func(namespace string, not types.UID) func(context.Context) string {
		return func(ctx context.Context) string {
			account, err := c.Core.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if account.UID == not {
				return "it is still the first"
			}
			first = account.UID
			return ""
		}
	}
	for _, namespace := range []string{"default", "kube-system", "team"} {
		harness.ComesTrue(t, has(namespace, ""))
	}
	if err := c.Core.CoreV1().ServiceAccounts("team").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, has("team", first))
}

func TestWhatAnOwnerLeavesBehindIsCollected(t *testing.T) {
	c := harness.StartControlled(t)
	c.CreateNamespace(t, "other")

	t.Run("in the background, however deep", func(t *testing.T) {
		root := c.CreateMap(t, "default", "root")
		child := c.CreateMap(t, "default", "child", root)
		c.CreateMap(t, "default", "grandchild", child)
		c.CreateInstance(t, "owned", func(i *v1alpha1.Instance) { i.OwnerReferences = []metav1.OwnerReference{child} })
		c.DeleteMap(t, "root", metav1.DeletePropagationBackground)
		harness.Gone(t, "the child", c.GetMap("default", "child"))
		harness.Gone(t, "the grandchild", c.GetMap("default", "grandchild"))
		harness.ComesTrue(t, func(context.Context) string {
			if !c.IsGone(t, "owned") {
				return "the instance is still there"
			}
			return ""
		})
	})
	t.Run("not while another owner is left, which stays its only one", func(t *testing.T) {
		one, two := c.CreateMap(t, "default", "one"), c.CreateMap(t, "default", "two")
		c.CreateMap(t, "default", "shared", one, two)
		c.DeleteMap(t, "one", metav1.DeletePropagationBackground)
		harness.ComesTrue(t, func(ctx context.Context) string {
			shared, err := c.Core.CoreV1().ConfigMaps("default").Get(ctx, "shared", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(shared.OwnerReferences) != 1 || shared.OwnerReferences[0].UID != two.UID {
				return fmt.Sprintf("owners: %+v", shared.OwnerReferences)
			}
			return ""
		})
		c.DeleteMap(t, "two", metav1.DeletePropagationBackground)
		harness.Gone(t, "the shared one", c.GetMap("default", "shared"))
	})
	t.Run("an owner of the same name is another owner", func(t *testing.T) {
		real := c.CreateMap(t, "default", "namesake")
		forged := real
		forged.UID = "00000000-0000-0000-0000-000000000000"
		c.CreateMap(t, "default", "orphaned", forged)
		c.CreateMap(t, "default", "kept", real)
		harness.Gone(t, "what belongs to nobody", c.GetMap("default", "orphaned"))
		if err := c.GetMap("default", "kept")(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("an owner in another namespace does not exist, and an event reports it", func(t *testing.T) {
		far := c.CreateMap(t, "other", "far")
		c.CreateMap(t, "default", "reaching", far)
		harness.Gone(t, "what reaches into another namespace", c.GetMap("default", "reaching"))
		if err := c.GetMap("other", "far")(t.Context()); err != nil {
			t.Error(err)
		}
		harness.ComesTrue(t, func(ctx context.Context) string {
			events, err := c.Core.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=reaching"})
			if err != nil {
				return err.Error()
			}
			if !slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
				return e.Reason == "OwnerRefInvalidNamespace" && e.Type == corev1.EventTypeWarning
			}) {
				return fmt.Sprintf("events: %+v", events.Items)
			}
			return ""
		})
	})
	t.Run("an owner outside of namespaces owns what is in them", func(t *testing.T) {
		host := c.CreateHost(t, "edge-9")
		c.CreateMap(t, "other", "of-host", metav1.OwnerReference{APIVersion: "fleet.gatehouse.dev/v1alpha1", Kind: "Host", Name: "edge-9", UID: host.UID})
		if err := c.FleetV1alpha1().Hosts().Delete(t.Context(), "edge-9", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		harness.Gone(t, "what belongs to the host", c.GetMap("other", "of-host"))
	})
	t.Run("an owner of a kind that is not served is not taken to be gone", func(t *testing.T) {
		c.CreateMap(t, "default", "foreign", metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Thing", Name: "x", UID: "1"})
		// An object that was created later has come and gone, so this one was processed before.
		root := c.CreateMap(t, "default", "later")
		c.CreateMap(t, "default", "later-child", root)
		c.DeleteMap(t, "later", metav1.DeletePropagationBackground)
		harness.Gone(t, "the later child", c.GetMap("default", "later-child"))
		if err := c.GetMap("default", "foreign")(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAnOwnerGoesInTheForegroundAfterWhatItOwns(t *testing.T) {
	c := harness.StartControlled(t)
	owner := c.CreateMap(t, "default", "owner")
	held, err := c.Core.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "held", Finalizers: []string{"example.com/keep"}, OwnerReferences: []metav1.OwnerReference{blockingOwner(owner)},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.CreateMap(t, "default", "free", blockingOwner(owner))
	c.DeleteMap(t, "owner", metav1.DeletePropagationForeground)
	harness.Gone(t, "what nothing holds", c.GetMap("default", "free"))
	harness.ComesTrue(t, func(ctx context.Context) string {
		got, err := c.Core.CoreV1().ConfigMaps("default").Get(ctx, "held", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.DeletionTimestamp == nil {
			return "what is held is not being deleted"
		}
		return ""
	})
	waits, err := c.Core.CoreV1().ConfigMaps("default").Get(t.Context(), "owner", metav1.GetOptions{})
	if err != nil || !slices.Contains(waits.Finalizers, metav1.FinalizerDeleteDependents) {
		t.Fatalf("the owner did not wait: %+v (%v)", waits, err)
	}
	if _, err := c.Core.CoreV1().ConfigMaps("default").Patch(t.Context(), held.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, "what was held", c.GetMap("default", "held"))
	harness.Gone(t, "the owner", c.GetMap("default", "owner"))

	t.Run("objects that own each other in a ring do not wait forever", func(t *testing.T) {
		a := c.CreateMap(t, "default", "ring-a")
		b := c.CreateMap(t, "default", "ring-b", blockingOwner(a))
		patch := fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"ring-b","uid":%q,"blockOwnerDeletion":true}]}}`, b.UID)
		if _, err := c.Core.CoreV1().ConfigMaps("default").Patch(t.Context(), "ring-a", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		c.DeleteMap(t, "ring-a", metav1.DeletePropagationForeground)
		harness.Gone(t, "one of the ring", c.GetMap("default", "ring-a"))
		harness.Gone(t, "the other of the ring", c.GetMap("default", "ring-b"))
	})
}

func TestAnOwnerLeavesOrphans(t *testing.T) {
	c := harness.StartControlled(t)
	owner := c.CreateMap(t, "default", "owner")
	for i := range 20 {
		c.CreateMap(t, "default", fmt.Sprintf("orphan-%d", i), owner)
	}
	c.CreateInstance(t, "orphan", func(i *v1alpha1.Instance) { i.OwnerReferences = []metav1.OwnerReference{owner} })
	c.DeleteMap(t, "owner", metav1.DeletePropagationOrphan)
	harness.Gone(t, "the owner", c.GetMap("default", "owner"))
	maps, err := c.Core.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, m := range maps.Items {
		if strings.HasPrefix(m.Name, "orphan-") {
			left++
		}
		if len(m.OwnerReferences) > 0 {
			t.Errorf("%s still belongs to %+v", m.Name, m.OwnerReferences)
		}
	}
	if left != 20 {
		t.Errorf("%d of 20 are left", left)
	}
	if instance := c.GetInstance(t, "orphan"); len(instance.OwnerReferences) > 0 {
		t.Errorf("the instance still belongs to %+v", instance.OwnerReferences)
	}
}
