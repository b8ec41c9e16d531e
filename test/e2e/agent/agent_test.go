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
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// create creates an instance of the image hello, and deletes it after the test.
func create(t *testing.T, name string, change func(*v1alpha1.Instance)) {
	t.Helper()
	instance := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: v1alpha1.InstanceSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](5),
			Containers:                    []v1alpha1.Container{{Name: "hello", Image: "hello:1"}},
		},
	}
	if change != nil {
		change(instance)
	}
	if _, err := env.client.Instances("default").Create(t.Context(), instance, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, name) })
}

func remove(t *testing.T, name string) {
	err := env.client.Instances("default").Delete(background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// wait waits until an instance is as a test needs it, and returns it.
func wait(t *testing.T, name, what string, condition func(*v1alpha1.Instance, *v1alpha1.ContainerStatus) bool) *v1alpha1.Instance {
	t.Helper()
	var instance *v1alpha1.Instance
	kit.EventuallyState(t, fmt.Sprintf("%s %s", name, what), func(ctx context.Context) (bool, string) {
		var err error
		if instance, err = env.client.Instances("default").Get(ctx, name, metav1.GetOptions{}); err != nil {
			return false, err.Error()
		}
		if len(instance.Status.ContainerStatuses) == 0 {
			return false, string(instance.Status.Phase)
		}
		return condition(instance, &instance.Status.ContainerStatuses[0]), fmt.Sprintf("%+v", instance.Status)
	})
	return instance
}

func runs(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
	return i.Status.Phase == v1alpha1.InstanceRunning && c.Ready
}

func args(list ...string) func(*v1alpha1.Instance) {
	return func(i *v1alpha1.Instance) { i.Spec.Containers[0].Args = list }
}

// get reads a page of an instance. A container that runs may not listen yet.
func get(url string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	for deadline := time.Now().Add(kit.Patience); errors.Is(err, syscall.ECONNREFUSED) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		response, err = client.Get(url)
	}
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// logOf returns the log of an attempt of the container.
func logOf(i *v1alpha1.Instance, attempt int) string {
	path := filepath.Join(env.path("agent/logs"), fmt.Sprintf("%s_%s_%s", i.Namespace, i.Name, i.UID), "hello", fmt.Sprintf("%d.log", attempt))
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestAnAppOfThreeReplicasRunsAndIsRolledOut(t *testing.T) {
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}}
	app.Spec.Replicas = ptr.To[int32](3)
	app.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	app.Spec.Template.Labels = map[string]string{"app": "web"}
	app.Spec.Template.Spec.Containers = []v1alpha1.Container{{Name: "hello", Image: "hello:1"}}
	apps := env.client.Apps("default")
	if _, err := apps.Create(t.Context(), app, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apps.Delete(background(), "web", metav1.DeleteOptions{}) })
	for _, image := range []string{"hello:1", "hello:2"} {
		if image == "hello:2" {
			patch := `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"hello:2"}]`
			if _, err := apps.Patch(t.Context(), "web", "application/json-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		kit.EventuallyState(t, "three replicas of "+image+" answer", func(ctx context.Context) (bool, string) {
			list, err := env.client.Instances("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
			if err != nil || len(list.Items) != 3 {
				return false, fmt.Sprint(len(list.Items), " instances, ", err)
			}
			for _, i := range list.Items {
				if len(i.Status.ContainerStatuses) == 0 || !i.Status.ContainerStatuses[0].Ready || i.Status.ContainerStatuses[0].Image != image {
					return false, fmt.Sprintf("%s: %+v", i.Name, i.Status)
				}
				if body, err := get("http://" + i.Status.InstanceIP + ":8080/"); err != nil || body != "hello from "+i.Name+"\n" {
					return false, fmt.Sprintf("%s answers %q, %v", i.Name, body, err)
				}
			}
			return true, ""
		})
	}
}

func TestAPortOfTheHostLeadsToTheContainer(t *testing.T) {
	create(t, "port", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].Ports = []v1alpha1.ContainerPort{{ContainerPort: 8080, HostPort: 18080}}
	})
	i := wait(t, "port", "runs", runs)
	// Loopback is not routed to a bridge: the address of the bridge is one of the host.
	gateway := i.Status.InstanceIP[:strings.LastIndex(i.Status.InstanceIP, ".")] + ".1"
	kit.EventuallyState(t, "the port answers", func(context.Context) (bool, string) {
		body, err := get("http://" + gateway + ":18080/")
		return body == "hello from port\n", fmt.Sprint(body, err)
	})
}

func TestTheEndOfAProgramIsReportedAndItIsRestartedByItsPolicy(t *testing.T) {
	policy := func(p v1alpha1.RestartPolicy, more ...string) func(*v1alpha1.Instance) {
		return func(i *v1alpha1.Instance) { i.Spec.RestartPolicy, i.Spec.Containers[0].Args = p, more }
	}
	limited := func(i *v1alpha1.Instance) {
		policy(v1alpha1.RestartPolicyNever, "--allocate=100")(i)
		i.Spec.Containers[0].Resources.Limits = v1alpha1.ResourceList{v1alpha1.ResourceMemory: resource.MustParse("32Mi")}
	}
	missing := func(i *v1alpha1.Instance) {
		policy(v1alpha1.RestartPolicyNever)(i)
		i.Spec.Containers[0].Command = []string{"/missing"}
	}
	for _, tc := range []struct {
		name     string
		change   func(*v1alpha1.Instance)
		phase    v1alpha1.InstancePhase
		code     int32
		reason   string
		restarts int32
	}{
		{"never-0", policy(v1alpha1.RestartPolicyNever, "--exit-after=100ms"), v1alpha1.InstanceSucceeded, 0, "Completed", 0},
		{"never-3", policy(v1alpha1.RestartPolicyNever, "--exit-after=100ms", "--exit-code=3"), v1alpha1.InstanceFailed, 3, "Error", 0},
		{"on-failure-3", policy(v1alpha1.RestartPolicyOnFailure, "--exit-after=100ms", "--exit-code=3"), v1alpha1.InstanceRunning, 3, "Error", 2},
		{"always-0", policy(v1alpha1.RestartPolicyAlways, "--exit-after=100ms"), v1alpha1.InstanceRunning, 0, "Completed", 2},
		{"out-of-memory", limited, v1alpha1.InstanceFailed, 137, "OOMKilled", 0},
		{"no-such-program", missing, v1alpha1.InstanceFailed, 128, "StartError", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			create(t, tc.name, tc.change)
			i := wait(t, tc.name, "ends", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
				return i.Status.Phase == tc.phase && c.RestartCount >= tc.restarts && (c.State.Terminated != nil || c.LastState.Terminated != nil)
			})
			c := i.Status.ContainerStatuses[0]
			end := c.State.Terminated
			if end == nil {
				end = c.LastState.Terminated
			}
			if end.ExitCode != tc.code || end.Reason != tc.reason {
				t.Errorf("it ended with %+v, want %d %s", end, tc.code, tc.reason)
			}
			if tc.restarts > 0 && (c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff") {
				t.Errorf("it does not back off: %+v", c.State)
			}
		})
	}
}

func TestAnImageThatCannotBePulledIsNamedWithTheCause(t *testing.T) {
	create(t, "bad-image", func(i *v1alpha1.Instance) { i.Spec.Containers[0].Image = "127.0.0.1:1/missing:1" })
	wait(t, "bad-image", "waits", func(_ *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		w := c.State.Waiting
		return w != nil && strings.HasSuffix(w.Reason, "Pull") && strings.Contains(w.Message, `pulling image "127.0.0.1:1/missing:1" failed: `) && strings.Contains(w.Message, "connection refused")
	})
	create(t, "never-pull", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].Image, i.Spec.Containers[0].ImagePullPolicy = "hello:3", v1alpha1.PullNever
	})
	wait(t, "never-pull", "waits", func(_ *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == "ErrImageNeverPull"
	})
	// The registry is not reachable, and the image is present.
	create(t, "always", func(i *v1alpha1.Instance) { i.Spec.Containers[0].ImagePullPolicy = v1alpha1.PullAlways })
	wait(t, "always", "runs", runs)
}

func TestADeletionGivesTheProgramItsGracePeriod(t *testing.T) {
	for _, tc := range []struct {
		name        string
		grace       int64
		delay       string
		least, most time.Duration
	}{
		{"stops-in-time", 30, "2s", 1900 * time.Millisecond, 25 * time.Second},
		{"does-not-stop", 2, "10m", 1900 * time.Millisecond, 25 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			create(t, tc.name, func(i *v1alpha1.Instance) {
				i.Spec.TerminationGracePeriodSeconds = ptr.To(tc.grace)
				i.Spec.Containers[0].Args = []string{"--stop-delay", tc.delay}
			})
			i := wait(t, tc.name, "runs", runs)
			log, err := os.Open(filepath.Join(env.path("agent/logs"), fmt.Sprintf("default_%s_%s/hello/0.log", i.Name, i.UID)))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			deleted := time.Now()
			remove(t, tc.name)
			kit.Eventually(t, "it is gone", func(ctx context.Context) bool {
				_, err := env.client.Instances("default").Get(ctx, tc.name, metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
			if took := time.Since(deleted); took < tc.least || took > tc.most {
				t.Errorf("it took %s", took)
			}
			if text, err := io.ReadAll(log); err != nil || !strings.Contains(string(text), "stdout F SIGTERM received, stopping\n") {
				t.Errorf("the program did not see SIGTERM: %s, %v", text, err)
			}
		})
	}
}
