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
	"bytes"
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// simulate runs gatehouse simulate-hosts until the test ends.
func simulate(t *testing.T, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(binary.Path(t), append([]string{"simulate-hosts"}, args...)...) // ended by a signal, as users do
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), " registered.\n") || !strings.Contains(said.String(), "\nStopped.") || t.Failed() {
			t.Errorf("gatehouse simulate-hosts %v: %v\n%s", args, err, said.String())
		}
	})
}

func isReady(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
	return i.Status.Phase == v1alpha1.InstanceRunning && c.Ready && c.State.Running != nil && apimeta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.InstanceConditionReady)
}

func TestSimulatedHostsPlayTheirPartWithinWhatHostsMay(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.SimulateHosts = 1 })
	client := harness.NewFleetClient(t, server.Config)
	simulate(t, "--data-dir", server.DataDir, "--name-prefix=quick-", "--count=3", "--start-delay=50ms", "--stop-delay=50ms", "--lease-duration=2s")
	// These agents use the administrator's credentials and impersonate their hosts.
	simulate(t, "--kubeconfig", server.Kubeconfig, "--impersonate", "--name-prefix=flaky-", "--count=1", "--start-delay=10ms", "--failure-rate=1", "--failure-after=100ms")
	for _, name := range []string{"sim-1", "quick-1", "quick-2", "quick-3", "flaky-1"} {
		client.WaitReady(t, name)
	}

	run := func(name, host string, change ...func(*v1alpha1.Instance)) {
		t.Helper()
		client.CreateInstance(t, name, change...)
		client.MustBind(t, name, host)
	}
	image := func(image string) func(*v1alpha1.Instance) {
		return func(i *v1alpha1.Instance) { i.Spec.Containers[0].Image = image }
	}
	run("beside-the-server", "sim-1")
	run("web", "quick-1")
	run("bad", "quick-2", image("web:bad"))
	run("again", "flaky-1")
	run("once", "flaky-1", func(i *v1alpha1.Instance) { i.Spec.RestartPolicy = v1alpha1.RestartPolicyNever })

	client.WaitInstance(t, "beside-the-server", "runs", isReady)
	web := client.WaitInstance(t, "web", "runs", isReady)
	if s := web.Status; s.InstanceIP == "" || s.HostIP == "" || s.StartTime == nil || s.ObservedGeneration != web.Generation || !apimeta.IsStatusConditionTrue(s.Conditions, v1alpha1.InstanceConditionScheduled) {
		t.Errorf("the status is not complete: %+v", s)
	}
	client.WaitInstance(t, "bad", "cannot be started", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return i.Status.Phase == v1alpha1.InstancePending && !c.Ready && c.State.Waiting != nil && c.State.Waiting.Reason == "ImagePullBackOff"
	})
	client.WaitInstance(t, "again", "fails and is started again", func(_ *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return c.RestartCount >= 2 && c.LastState.Terminated != nil && c.LastState.Terminated.ExitCode != 0
	})
	client.WaitInstance(t, "once", "fails for good", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return i.Status.Phase == v1alpha1.InstanceFailed && c.RestartCount == 0 && c.State.Terminated != nil
	})

	if _, err := client.FleetV1alpha1().Instances("default").Patch(t.Context(), "web", types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"web:2"}]`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	web = client.WaitInstance(t, "web", "runs with the new image", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return isReady(i, c) && c.Image == "web:2" && c.RestartCount == 1
	})
	expectGracefulEnd(t, client, web)
	expectToComeBack(t, client, "quick-3")
}

// expectGracefulEnd deletes the instance as a user does; the agent of its host ends it.
func expectGracefulEnd(t *testing.T, client harness.FleetClient, instance *v1alpha1.Instance) {
	t.Helper()
	changes, err := client.FleetV1alpha1().Instances("default").Watch(t.Context(), metav1.ListOptions{
		FieldSelector: "metadata.name=" + instance.Name, ResourceVersion: instance.ResourceVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()
	client.Delete(t, instance.Name, -1)
	asked := false
	for change := range changes.ResultChan() {
		current, ok := change.Object.(*v1alpha1.Instance)
		if !ok {
			t.Fatalf("the watch sent %+v", change)
		}
		if change.Type == watch.Deleted {
			if !asked {
				t.Error("it was removed without a graceful deletion")
			}
			return
		}
		asked = asked || current.DeletionTimestamp != nil
	}
	t.Error("the watch ended before the instance did")
}

// expectToComeBack deletes a Host while its agent still runs.
func expectToComeBack(t *testing.T, client harness.FleetClient, name string) {
	t.Helper()
	old := client.WaitReady(t, name)
	if err := client.FleetV1alpha1().Hosts().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, name+" registers again", func(ctx context.Context) bool {
		host, err := client.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			if !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			return false
		}
		lease, err := client.FleetV1alpha1().HostLeases().Get(ctx, name, metav1.GetOptions{})
		return err == nil && host.UID != old.UID && len(lease.OwnerReferences) == 1 && lease.OwnerReferences[0].UID == host.UID
	})
}
