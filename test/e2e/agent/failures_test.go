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

package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestAHostJoinsWithATokenAndReplacesNoLivingOne(t *testing.T) {
	out, err := exec.Command(env.bin("gatehouse"), "host", "token", "create", "--data-dir", env.path("server")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, want string
		ok         bool
	}{
		{hostName, `is refused: host "edge-1" is alive: join with another name`, false},
		{"joined", "joined has joined; its certificate is in ", true},
	} {
		line := strings.Fields(string(out))
		root := env.path("join-" + tc.name)
		cmd := exec.Command(env.bin(line[0]), append(line[1:], "--name", tc.name, "--root-dir", root)...)
		text, err := cmd.CombinedOutput()
		if (err == nil) != tc.ok || !strings.Contains(string(text), tc.want) {
			t.Errorf("%v: %s", err, text)
		}
		if !tc.ok {
			continue
		}
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(root, "kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		client, err := versioned.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		host := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: tc.name}}
		if _, err := client.FleetV1alpha1().Hosts().Create(t.Context(), host, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		t.Cleanup(func() { _ = env.client.Hosts().Delete(background(), tc.name, metav1.DeleteOptions{}) })
	}
}

// started returns the processes of the image hello with the times of their starts.
func started() []string {
	var all []string
	for _, pid := range processes("hello") {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if fields := strings.Fields(string(stat)); err == nil && len(fields) > 21 {
			all = append(all, fmt.Sprint(pid, " ", fields[21]))
		}
	}
	slices.Sort(all)
	return all
}

func TestContainersRunOnWithoutTheAgentAndTheRuntime(t *testing.T) {
	for _, name := range []string{"on-1", "on-2", "on-3"} {
		create(t, name, nil)
	}
	var ids []string
	for _, name := range []string{"on-1", "on-2", "on-3"} {
		ids = append(ids, wait(t, name, "runs", runs).Status.ContainerStatuses[0].ContainerID)
	}
	before := started()
	for range 5 {
		env.agent.kill()
		if err := env.startAgent(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // kills come at any time of the start
	}
	env.runtime.kill()
	kit.EventuallyState(t, "the host is not ready", func(ctx context.Context) (bool, string) {
		host, err := env.client.Hosts().Get(ctx, hostName, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		ready := apimeta.FindStatusCondition(host.Status.Conditions, v1alpha1.HostConditionReady)
		return ready.Status == metav1.ConditionFalse && ready.Reason == "RuntimeUnavailable", fmt.Sprintf("%+v", ready)
	})
	if err := env.startRuntime(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the host is ready", func(ctx context.Context) bool {
		host, err := env.client.Hosts().Get(ctx, hostName, metav1.GetOptions{})
		return err == nil && apimeta.IsStatusConditionTrue(host.Status.Conditions, v1alpha1.HostConditionReady)
	})
	for n, name := range []string{"on-1", "on-2", "on-3"} {
		if c := wait(t, name, "runs", runs).Status.ContainerStatuses[0]; c.RestartCount != 0 || c.ContainerID != ids[n] {
			t.Errorf("%s was restarted: %+v", name, c)
		}
	}
	if after := started(); !slices.Equal(after, before) {
		t.Errorf("the processes were %v and are %v", before, after)
	}
}

func TestAnExitDuringTheAbsenceOfTheAgentIsReported(t *testing.T) {
	create(t, "absent", func(i *v1alpha1.Instance) { i.Spec.RestartPolicy = v1alpha1.RestartPolicyNever })
	i := wait(t, "absent", "runs", runs)
	env.agent.kill()
	if _, err := get("http://" + i.Status.InstanceIP + ":8080/exit?code=7"); err != nil {
		t.Fatal(err)
	}
	if err := env.startAgent(); err != nil {
		t.Fatal(err)
	}
	i = wait(t, "absent", "has failed", func(i *v1alpha1.Instance, _ *v1alpha1.ContainerStatus) bool {
		return i.Status.Phase == v1alpha1.InstanceFailed
	})
	if end := i.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 7 {
		t.Errorf("it ended with %+v", end)
	}
}

func TestAContainerWhoseShimDiesIsRestarted(t *testing.T) {
	create(t, "shim", nil)
	wait(t, "shim", "runs", runs)
	for _, pid := range processes("containerd-shim") {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	wait(t, "shim", "runs again", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return runs(i, c) && c.RestartCount > 0 && c.LastState.Terminated != nil
	})
}

func TestAfterAPowerFailureTheSameInstancesRunAgain(t *testing.T) {
	create(t, "rebooted", nil)
	create(t, "once", func(i *v1alpha1.Instance) { i.Spec.RestartPolicy = v1alpha1.RestartPolicyNever })
	first := wait(t, "rebooted", "runs", runs)
	wait(t, "once", "runs", runs)
	env.powerFailure()
	if err := env.startRuntime(); err != nil {
		t.Fatal(err)
	}
	if err := env.startAgent(); err != nil {
		t.Fatal(err)
	}
	second := wait(t, "rebooted", "runs again", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool { return runs(i, c) && c.RestartCount == 1 })
	if end := second.Status.ContainerStatuses[0].LastState.Terminated; second.UID != first.UID || end == nil || end.ExitCode != 255 {
		t.Errorf("it ended with %+v", end)
	}
	if body, err := get("http://" + second.Status.InstanceIP + ":8080/"); err != nil || body != "hello from rebooted\n" {
		t.Errorf("it answers %q, %v", body, err)
	}
	wait(t, "once", "has failed", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return i.Status.Phase == v1alpha1.InstanceFailed && c.State.Terminated != nil && c.State.Terminated.ExitCode == 255
	})
}

func TestAfterAPowerFailureInstancesRunWithoutTheServer(t *testing.T) {
	create(t, "alone", nil)
	before := wait(t, "alone", "runs", runs)
	env.server.stop()
	env.powerFailure()
	if err := env.startRuntime(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := env.startAgent(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "it runs without the server", func(context.Context) bool {
		return strings.Contains(logOf(before, 1), "hello from alone")
	})
	t.Logf("runs %s after the start of the agent", time.Since(begin).Round(100*time.Millisecond))
	if err := env.startServer(); err != nil {
		t.Fatal(err)
	}
	after := wait(t, "alone", "is reported", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool { return runs(i, c) && c.RestartCount == 1 })
	if after.UID != before.UID {
		t.Errorf("it is another instance: %s and not %s", after.UID, before.UID)
	}
}
