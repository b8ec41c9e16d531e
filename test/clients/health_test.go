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

package clients

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// appOptions are the parameters of an App.
type appOptions struct {
	name            string
	replicas        int
	image, cpu      string // web:1.0 and 10m where empty
	deadline        int    // 600 s where 0
	minReadySeconds int
}

func (o appOptions) yaml(namespace string) string {
	if o.image == "" {
		o.image = "web:1.0"
	}
	if o.cpu == "" {
		o.cpu = "10m"
	}
	if o.deadline == 0 {
		o.deadline = 600
	}
	return fmt.Sprintf(`
apiVersion: %s
kind: App
metadata: {name: %s, namespace: %s}
spec:
  replicas: %d
  minReadySeconds: %d
  progressDeadlineSeconds: %d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      containers: [{name: server, image: %[7]q, resources: {requests: {cpu: %[8]s}}}]
`, fleet, o.name, namespace, o.replicas, o.minReadySeconds, o.deadline, o.image, o.cpu)
}

func (s *server) createApp(t *testing.T, namespace string, o appOptions) {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(o.yaml(namespace)), &object.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := s.dynamic.Resource(fleet.WithResource("apps")).Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *server) app(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := s.dynamic.Resource(fleet.WithResource("apps")).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// restConfig returns the configuration of a client without a group.
func restConfig(s *server) *rest.Config {
	config := rest.CopyConfig(s.Config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.GroupVersion = &fleet
	return config
}

// noRoom creates a quota that refuses all instances of the namespace.
func (s *server) noRoom(t *testing.T, namespace string) {
	t.Helper()
	const count = "count/instances.fleet.gatehouse.dev"
	_, err := s.typed.CoreV1().ResourceQuotas(namespace).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{count: resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, s, "", kubectl(t), "wait", "-n", namespace, "resourcequota/none", "--for=jsonpath={.status.used}", "--timeout=90s")
}

func TestKubectlWaitArgoCDAndKappAgreeOnTheHealthOfAnApp(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		app   appOptions
		quota bool
		// condition is the condition that kubectl waits for, before the other tools are checked.
		condition, argo, message, kapp string
	}{
		"healthy":        {app: appOptions{replicas: 2}, condition: "Ready", argo: "Healthy", kapp: "deployed"},
		"scaled to zero": {app: appOptions{replicas: 0}, condition: "Ready", argo: "Healthy", message: "zero", kapp: "deployed"},
		"slow, because instances must be ready for an hour": {
			app: appOptions{replicas: 1, minReadySeconds: 3600, deadline: 7200}, condition: "Reconciling", argo: "Progressing", kapp: "waiting",
		},
		"slow, because no host has room": {app: appOptions{replicas: 1, cpu: "4k"}, condition: "Reconciling", argo: "Progressing", kapp: "waiting"},
		"broken by its image": {
			app: appOptions{replicas: 1, image: "web:bad", deadline: 5}, condition: "Stalled", argo: "Degraded", message: "ImagePullBackOff", kapp: "failed",
		},
		"refused by the quota": {app: appOptions{replicas: 1}, quota: true, condition: "Stalled", argo: "Degraded", message: "quota", kapp: "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := s.namespace(t)
			if c.quota {
				s.noRoom(t, namespace)
			}
			c.app.name = "web"
			s.createApp(t, namespace, c.app)
			mustRun(t, s, "", kubectl(t), "wait", "-n", namespace, "app/web", "--for=condition="+c.condition, "--timeout=90s")
			if c.condition != "Ready" {
				out, err := run(t, s, "", kubectl(t), "wait", "-n", namespace, "app/web", "--for=condition=Ready", "--timeout=2s")
				if err == nil || !strings.Contains(err.Error(), "timed out waiting") {
					t.Errorf("kubectl wait --for=condition=Ready: %v\n%s", err, out)
				}
			}
			object := s.app(t, namespace, "web")
			status, message := argoHealth(t, "App", object.Object)
			if status != c.argo || !strings.Contains(message, c.message) {
				t.Errorf("Argo CD: %s (%s), want %s (%s)", status, message, c.argo, c.message)
			}
			if got := kappSays(t, object); got != c.kapp {
				t.Errorf("kapp: %s, want %s", got, c.kapp)
			}
		})
	}
}

func TestKubectlWaitArgoCDAndKappSeeHostsReleasesAndInstancesBecomeReady(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	s.createApp(t, namespace, appOptions{name: "web", replicas: 2})
	mustRun(t, s, "", kubectl(t), "wait", "-n", namespace, "app/web", "--for=condition=Ready", "--timeout=90s")
	for _, resource := range []string{"releases", "instances", "hosts"} {
		mustRun(t, s, "", kubectl(t), "wait", "-n", namespace, resource, "--all", "--for=condition=Ready", "--timeout=90s")
		list, err := s.dynamic.Resource(fleet.WithResource(resource)).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == 0 {
			t.Errorf("there are no %s", resource)
		}
		for _, object := range list.Items {
			if status, message := argoHealth(t, object.GetKind(), object.Object); status != "Healthy" {
				t.Errorf("%s %s: Argo CD says %s (%s)", object.GetKind(), object.GetName(), status, message)
			}
			if got := kappSays(t, &object); got != "deployed" {
				t.Errorf("%s %s: kapp says %s", object.GetKind(), object.GetName(), got)
			}
		}
	}
	mustRun(t, s, "", kubectl(t), "delete", "-n", namespace, "app/web")
	mustRun(t, s, "", kubectl(t), "wait", "-n", namespace, "instances", "--all", "--for=delete", "--timeout=90s")
}
