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
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func builtin(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(env.config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// createObjects creates a ConfigMap and a Secret of a name, and deletes them after the test.
func createObjects(t *testing.T, name string) {
	t.Helper()
	core := builtin(t).CoreV1()
	if _, err := core.ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"LEVEL": "info"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"password": "swordfish"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.ConfigMaps("default").Delete(background(), name, metav1.DeleteOptions{})
		_ = core.Secrets("default").Delete(background(), name, metav1.DeleteOptions{})
	})
}

func TestAContainerUsesWhatItsInstanceRefersTo(t *testing.T) {
	if err := os.WriteFile(env.path("of-the-host"), []byte("from the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(env.work, 0o755); err != nil { // the user of the container reads a file below it
		t.Fatal(err)
	}
	create(t, "uses", func(i *v1alpha1.Instance) {
		i.Spec.Volumes = []v1alpha1.Volume{
			{Name: "config", ConfigMap: &v1alpha1.ConfigMapVolumeSource{Name: "uses"}},
			{Name: "secret", Secret: &v1alpha1.SecretVolumeSource{SecretName: "uses", Items: []v1alpha1.KeyToPath{{Key: "password", Path: "db/password"}}}},
			{Name: "scratch", EmptyDir: &v1alpha1.EmptyDirVolumeSource{Medium: v1alpha1.StorageMediumMemory}},
			{Name: "disk", EmptyDir: &v1alpha1.EmptyDirVolumeSource{}},
			{Name: "host", HostPath: &v1alpha1.HostPathVolumeSource{Path: env.path("of-the-host")}},
		}
		c := &i.Spec.Containers[0]
		c.VolumeMounts = []v1alpha1.VolumeMount{
			{Name: "config", MountPath: "/config"}, {Name: "secret", MountPath: "/secret"}, {Name: "host", MountPath: "/host", ReadOnly: true},
			{Name: "scratch", MountPath: "/scratch"}, {Name: "disk", MountPath: "/disk"},
		}
		c.EnvFrom = []v1alpha1.EnvFromSource{{Prefix: "APP_", ConfigMapRef: &v1alpha1.EnvSource{Name: "uses"}}}
		c.Env = []v1alpha1.EnvVar{{Name: "PASSWORD", ValueFrom: &v1alpha1.EnvVarSource{SecretKeyRef: &v1alpha1.KeySelector{Name: "uses", Key: "password"}}}}
		c.SecurityContext = &v1alpha1.SecurityContext{
			RunAsUser: ptr.To[int64](1234), RunAsNonRoot: ptr.To(true), ReadOnlyRootFilesystem: ptr.To(true), Capabilities: &v1alpha1.Capabilities{Drop: []string{"ALL"}},
		}
		c.Args = []string{"--show", "uid,$APP_LEVEL,$PASSWORD,$KUBERNETES_SERVICE_PORT,/config/LEVEL,/secret/db/password,/host,/var/run/secrets/kubernetes.io/serviceaccount/namespace"}
	})
	wait(t, "uses", "waits for its objects", func(_ *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.State.Waiting.Reason == "CreateContainerConfigError" && strings.Contains(c.State.Waiting.Message, `ConfigMap "uses" does not exist in namespace "default"`)
	})
	createObjects(t, "uses")
	i := wait(t, "uses", "runs", runs)
	kit.EventuallyState(t, "the program has printed what it uses", func(context.Context) (bool, string) {
		log := logOf(i, 0)
		for _, want := range []string{
			"uid=1234\n", "APP_LEVEL=info\n", "PASSWORD=swordfish\n", "KUBERNETES_SERVICE_PORT=6443\n", "/config/LEVEL: info\n", "/secret/db/password: swordfish\n",
			"/host: from the host\n", "serviceaccount/namespace: default\n",
		} {
			if !strings.Contains(log, want) {
				return false, want + " is not in " + log
			}
		}
		return true, ""
	})
	scratch := filepath.Join(runDir, "volumes", string(i.UID), "scratch")
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || !strings.Contains(string(mounts), scratch+" tmpfs") {
		t.Errorf("%s is not in memory: %v", scratch, err)
	}
	remove(t, "uses")
	kit.Eventually(t, "the volumes are removed with the instance", func(context.Context) bool {
		for _, dir := range []string{filepath.Join(runDir, "volumes"), filepath.Join(runDir, "tokens"), env.path("agent/volumes"), env.path("agent/configurations")} {
			if left, err := filepath.Glob(filepath.Join(dir, string(i.UID)+"*")); err != nil || len(left) > 0 {
				return false
			}
		}
		return true
	})
}

func TestTheTokenOfAContainerIsThatOfItsServiceAccount(t *testing.T) {
	create(t, "token", nil)
	i := wait(t, "token", "runs", runs)
	dir := filepath.Join(runDir, "tokens", string(i.UID))
	config := &rest.Config{Host: env.config.Host, BearerTokenFile: filepath.Join(dir, "token"), TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "ca.crt")}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if user := review.Status.UserInfo; user.Username != "system:serviceaccount:default:default" || len(user.Extra["fleet.gatehouse.dev/instance-name"]) != 1 {
		t.Errorf("the token is that of %+v", user)
	}
}

func TestProbesRestartAContainerAndKeepItFromBeingReady(t *testing.T) {
	unused := intstr.FromInt32(9)
	create(t, "dead", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].LivenessProbe = &v1alpha1.Probe{TCPSocket: &v1alpha1.TCPSocketAction{Port: unused}, PeriodSeconds: 1, FailureThreshold: 2}
	})
	create(t, "unready", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].ReadinessProbe = &v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"/hello", "--port=0", "--exit-after=1ms", "--exit-code=4"}}, PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 1}
	})
	create(t, "healthy", func(i *v1alpha1.Instance) {
		c := &i.Spec.Containers[0]
		c.Ports = []v1alpha1.ContainerPort{{Name: "http", ContainerPort: 8080}}
		c.StartupProbe = &v1alpha1.Probe{HTTPGet: &v1alpha1.HTTPGetAction{Port: intstr.FromString("http")}, PeriodSeconds: 1, FailureThreshold: 60}
		c.LivenessProbe = &v1alpha1.Probe{TCPSocket: &v1alpha1.TCPSocketAction{Port: intstr.FromString("http")}, PeriodSeconds: 1}
		c.ReadinessProbe = &v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"/hello", "--port=0", "--exit-after=1ms"}}, PeriodSeconds: 1, TimeoutSeconds: 5}
	})
	wait(t, "dead", "is restarted", func(_ *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		return c.RestartCount > 0 && c.LastState.Terminated != nil && strings.Contains(c.LastState.Terminated.Message, "liveness probe failed: dial tcp")
	})
	wait(t, "unready", "runs and is not ready", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool {
		for _, condition := range i.Status.Conditions {
			if condition.Type == v1alpha1.InstanceConditionReady {
				return c.State.Running != nil && c.Started && !c.Ready && strings.Contains(condition.Message, "readiness probe failed: the command exited with code 4")
			}
		}
		return false
	})
	if i := wait(t, "healthy", "is ready", runs); i.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("it was restarted: %+v", i.Status)
	}
}

func TestAnInstanceMayUseTheNetworkOfTheHost(t *testing.T) {
	create(t, "hostnetwork", func(i *v1alpha1.Instance) {
		i.Spec.HostNetwork = true
		i.Spec.Containers[0].Args = []string{"--port", "18080"}
	})
	i := wait(t, "hostnetwork", "runs", runs)
	if body, err := get("http://127.0.0.1:18080/"); err != nil || !strings.HasPrefix(body, "hello from ") || i.Status.InstanceIP != i.Status.HostIP {
		t.Errorf("%q, %v; the address is %q", body, err, i.Status.InstanceIP)
	}
}

func TestAContainerThatMustNotBeRootRunsAsTheUserOfItsImage(t *testing.T) {
	create(t, "nonroot", func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].SecurityContext = &v1alpha1.SecurityContext{RunAsNonRoot: ptr.To(true)}
		i.Spec.Containers[0].Args = []string{"--show", "uid"}
	})
	i := wait(t, "nonroot", "runs", runs)
	kit.EventuallyState(t, "the program has printed its user", func(context.Context) (bool, string) {
		log := logOf(i, 0)
		return strings.Contains(log, "uid=65535\n"), log
	})
}

func TestAPrivilegedContainerRuns(t *testing.T) {
	create(t, "privileged", func(i *v1alpha1.Instance) {
		c := &i.Spec.Containers[0]
		c.SecurityContext = &v1alpha1.SecurityContext{Privileged: ptr.To(true)}
		c.Stdin, c.TTY = true, true
	})
	wait(t, "privileged", "runs", runs)
}

func TestWithoutTheServerAnInstanceUsesWhatTheHostHasSavedAndAnotherStops(t *testing.T) {
	createObjects(t, "offline")
	create(t, "offline", func(i *v1alpha1.Instance) {
		i.Spec.Volumes = []v1alpha1.Volume{{Name: "secret", Secret: &v1alpha1.SecretVolumeSource{SecretName: "offline"}}}
		c := &i.Spec.Containers[0]
		c.VolumeMounts = []v1alpha1.VolumeMount{{Name: "secret", MountPath: "/secret"}}
		c.Args = []string{"--show", "/secret/password"}
	})
	create(t, "fenced", func(i *v1alpha1.Instance) { i.Spec.StopAfterDisconnectSeconds = ptr.To[int64](5) })
	saved, fenced := wait(t, "offline", "runs", runs), wait(t, "fenced", "runs", runs)
	env.server.kill()
	kit.EventuallyState(t, "the fenced instance stops", func(context.Context) (bool, string) {
		log := logOf(fenced, 0)
		return strings.Contains(log, "SIGTERM received, stopping"), log
	})
	if log := logOf(saved, 0); strings.Contains(log, "SIGTERM") {
		t.Errorf("the other stops, too: %s", log)
	}
	env.powerFailure()
	if err := env.startRuntime(); err != nil {
		t.Fatal(err)
	}
	if err := env.startAgent(); err != nil {
		t.Fatal(err)
	}
	kit.EventuallyState(t, "the saved instance runs without the server", func(context.Context) (bool, string) {
		log := logOf(saved, 1)
		return strings.Contains(log, "/secret/password: swordfish"), log
	})
	if log := logOf(fenced, 1); strings.Contains(log, "hello from") {
		t.Errorf("the fenced instance runs without the server: %s", log)
	}
	if err := env.startServer(); err != nil {
		t.Fatal(err)
	}
	wait(t, "offline", "is reported", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool { return runs(i, c) && c.RestartCount == 1 })
	wait(t, "fenced", "runs again", func(i *v1alpha1.Instance, c *v1alpha1.ContainerStatus) bool { return runs(i, c) && c.RestartCount > 0 })
	kit.Eventually(t, "the token follows", func(context.Context) bool {
		_, err := os.Stat(filepath.Join(runDir, "tokens", string(saved.UID), "token"))
		return err == nil
	})
}
