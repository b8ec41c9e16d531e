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

package requests

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func TestABoundInstanceWaitsForItsAgentsDelete(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "web", func(i *v1alpha1.Instance) {
		grace := int64(45)
		i.Spec.TerminationGracePeriodSeconds = &grace
	})
	client.MustBind(t, "web", "edge-1")
	bound := client.SetPhase(t, "web", v1alpha1.InstanceRunning)
	watcher, err := client.FleetV1alpha1().Instances("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: bound.ResourceVersion, FieldSelector: "spec.hostName=edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()

	client.Delete(t, "web", harness.GraceOfSpec)
	terminating := client.WantTerminating(t, "web", 45)
	if terminating.Generation != bound.Generation+1 {
		t.Errorf("generation is %d, not one more than %d, as a pod's", terminating.Generation, bound.Generation)
	}
	if wait := terminating.DeletionTimestamp.Sub(terminating.CreationTimestamp.Time).Seconds(); wait < 45 {
		t.Errorf("the deletion time is %v after the creation, before the grace period of 45 s is over", wait)
	}

	// The agent observes the deletion, stops the containers, reports it, and deletes the instance.
	if event := <-watcher.ResultChan(); event.Type != watch.Modified || event.Object.(*v1alpha1.Instance).DeletionTimestamp == nil {
		t.Fatalf("the agent received %s %+v", event.Type, event.Object)
	}
	terminating.Status.ContainerStatuses = []v1alpha1.ContainerStatus{{Name: "web", State: v1alpha1.ContainerState{Terminated: &v1alpha1.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}}}}
	if _, err := client.FleetV1alpha1().Instances("default").UpdateStatus(t.Context(), terminating, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("the status of a terminating instance: %v", err)
	}
	if event := <-watcher.ResultChan(); event.Type != watch.Modified {
		t.Fatalf("the agent received %s %+v", event.Type, event.Object)
	}
	client.Delete(t, "web", 0)
	if !client.IsGone(t, "web") {
		t.Error("the instance is still there after its agent's delete")
	}
	// As for pods, the shortened grace period is written before the object is removed.
	event := <-watcher.ResultChan()
	if event.Type == watch.Modified && *event.Object.(*v1alpha1.Instance).DeletionGracePeriodSeconds == 0 {
		event = <-watcher.ResultChan()
	}
	if event.Type != watch.Deleted {
		t.Fatalf("the agent received %s %+v", event.Type, event.Object)
	}
}

// A delete is first tried on the object of the watch cache, which may be older than the binding.
func TestADeleteRightAfterTheBindingIsGraceful(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	for i := range 30 {
		name := fmt.Sprintf("web-%d", i)
		client.CreateInstance(t, name)
		client.MustBind(t, name, "edge-1")
		client.Delete(t, name, harness.GraceOfSpec)
		client.WantTerminating(t, name, 30)
	}
}

func TestTheGracePeriodOfADeleteCountsBeforeTheSpecs(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	for _, name := range []string{"default", "asked", "negative", "now"} {
		client.CreateInstance(t, name)
		client.MustBind(t, name, "edge-1")
	}
	client.Delete(t, "default", harness.GraceOfSpec)
	client.WantTerminating(t, "default", 30)

	client.Delete(t, "asked", 20)
	client.WantTerminating(t, "asked", 20)
	// As for pods, a later delete can shorten the grace period, but not extend it.
	client.Delete(t, "asked", 5)
	client.WantTerminating(t, "asked", 5)
	client.Delete(t, "asked", 60)
	client.WantTerminating(t, "asked", 5)
	client.Delete(t, "asked", harness.GraceOfSpec)
	client.WantTerminating(t, "asked", 5)

	negative := int64(-7)
	if err := client.FleetV1alpha1().Instances("default").Delete(t.Context(), "negative", metav1.DeleteOptions{GracePeriodSeconds: &negative}); err != nil {
		t.Fatal(err)
	}
	client.WantTerminating(t, "negative", 1)

	client.Delete(t, "now", 0)
	if !client.IsGone(t, "now") {
		t.Error("a bound instance is still there after a delete with grace 0")
	}
}

func TestAnUnboundInstanceIsDeletedAtOnce(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "unbound")
	client.CreateInstance(t, "unbound-with-grace")
	for name, phase := range map[string]v1alpha1.InstancePhase{"succeeded": v1alpha1.InstanceSucceeded, "failed": v1alpha1.InstanceFailed} {
		client.CreateInstance(t, name)
		client.MustBind(t, name, "edge-1")
		client.SetPhase(t, name, phase)
	}
	client.Delete(t, "unbound", harness.GraceOfSpec)
	client.Delete(t, "unbound-with-grace", 60)
	client.Delete(t, "succeeded", harness.GraceOfSpec)
	client.Delete(t, "failed", 60)
	for _, name := range []string{"unbound", "unbound-with-grace", "succeeded", "failed"} {
		if !client.IsGone(t, name) {
			t.Errorf("%s is still there", name)
		}
	}
	// Unknown is no terminal phase: the host may come back with the containers still running.
	client.CreateInstance(t, "unknown")
	client.MustBind(t, "unknown", "edge-1")
	client.SetPhase(t, "unknown", v1alpha1.InstanceUnknown)
	client.Delete(t, "unknown", harness.GraceOfSpec)
	client.WantTerminating(t, "unknown", 30)
}

func TestAFinalizerOutlivesTheGracePeriod(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "web", func(i *v1alpha1.Instance) { i.Finalizers = []string{"example.com/wait"} })
	client.MustBind(t, "web", "edge-1")
	client.Delete(t, "web", harness.GraceOfSpec)
	client.WantTerminating(t, "web", 30)
	client.Delete(t, "web", 0)
	instance := client.WantTerminating(t, "web", 0)
	instance.Finalizers = nil
	if _, err := client.FleetV1alpha1().Instances("default").Update(t.Context(), instance, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !client.IsGone(t, "web") {
		t.Error("the instance is still there after its last finalizer went")
	}
}

func TestADeleteOfACollectionIsGracefulForEachOfIts(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	labelled := func(i *v1alpha1.Instance) { i.Labels = map[string]string{"tier": "front"} }
	for _, name := range []string{"bound-1", "bound-2", "ended"} {
		client.CreateInstance(t, name, labelled)
		client.MustBind(t, name, "edge-1")
	}
	client.SetPhase(t, "ended", v1alpha1.InstanceSucceeded)
	client.CreateInstance(t, "unbound", labelled)
	client.CreateInstance(t, "other")
	instances := client.FleetV1alpha1().Instances("default")

	if err := instances.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "tier=front"}); err != nil {
		t.Fatal(err)
	}
	client.WantTerminating(t, "bound-1", 30)
	client.WantTerminating(t, "bound-2", 30)
	for _, name := range []string{"ended", "unbound"} {
		if !client.IsGone(t, name) {
			t.Errorf("%s is still there", name)
		}
	}
	if client.GetInstance(t, "other").DeletionTimestamp != nil {
		t.Error("an instance that the selector does not match is being deleted")
	}

	grace := int64(5)
	if err := instances.DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &grace}, metav1.ListOptions{FieldSelector: "spec.hostName=edge-1"}); err != nil {
		t.Fatal(err)
	}
	client.WantTerminating(t, "bound-1", 5)
	client.WantTerminating(t, "bound-2", 5)
	grace = 0
	if err := instances.DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &grace}, metav1.ListOptions{FieldSelector: "spec.hostName=edge-1"}); err != nil {
		t.Fatal(err)
	}
	if !client.IsGone(t, "bound-1") || !client.IsGone(t, "bound-2") {
		t.Error("bound instances are still there after a delete of the collection with grace 0")
	}
}

func TestADeleteHappensOnlyWhereItsPreconditionsHold(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	created := client.CreateInstance(t, "web")
	client.MustBind(t, "web", "edge-1")
	instances := client.FleetV1alpha1().Instances("default")

	other := types.UID("other")
	wrongUID := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}
	wantError(t, instances.Delete(t.Context(), "web", wrongUID), metav1.StatusReasonConflict, "UID in the precondition (other)")
	stale := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &created.ResourceVersion}}
	wantError(t, instances.Delete(t.Context(), "web", stale), metav1.StatusReasonConflict, "ResourceVersion in the precondition ("+created.ResourceVersion+")")
	if client.GetInstance(t, "web").DeletionTimestamp != nil {
		t.Fatal("the instance is being deleted nevertheless")
	}
	if err := instances.Delete(t.Context(), "web", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	if client.GetInstance(t, "web").DeletionTimestamp != nil {
		t.Fatal("the instance is being deleted after a dry run")
	}

	right := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &created.UID}}
	if err := instances.Delete(t.Context(), "web", right); err != nil {
		t.Fatal(err)
	}
	client.WantTerminating(t, "web", 30)
	// A late delete by an agent must not delete another instance of the same name.
	now := int64(0)
	wrongUID.GracePeriodSeconds, right.GracePeriodSeconds = &now, &now
	wantError(t, instances.Delete(t.Context(), "web", wrongUID), metav1.StatusReasonConflict, "other")
	client.WantTerminating(t, "web", 30)
	if err := instances.Delete(t.Context(), "web", right); err != nil {
		t.Fatal(err)
	}
	if !client.IsGone(t, "web") {
		t.Error("the instance is still there")
	}
}
