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

package kstatus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

const (
	inProgress  = string(status.InProgressStatus)
	current     = string(status.CurrentStatus)
	failed      = string(status.FailedStatus)
	terminating = string(status.TerminatingStatus)
)

// patience bounds every wait: far longer than needed, for a busy machine.
const patience = 3 * time.Minute

var (
	apps      = v1alpha1.SchemeGroupVersion.WithResource("apps")
	releases  = v1alpha1.SchemeGroupVersion.WithResource("releases")
	instances = v1alpha1.SchemeGroupVersion.WithResource("instances")
	hosts     = v1alpha1.SchemeGroupVersion.WithResource("hosts")
)

// stage is a server and a dynamic client of it.
type stage struct {
	t      *testing.T
	client dynamic.Interface
	core   kubernetes.Interface
	config *rest.Config
}

func begin(t *testing.T, args ...string) stage {
	t.Helper()
	server := binary.Start(t, binary.DataDir(t), args...)
	client, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return stage{t, client, core, server.Config}
}

func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

const spec = `
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example.com/web:%s"}]}
`

func app(name, tag, more string) string {
	return "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: App\nmetadata: {name: " + name + "}\nspec:" + fmt.Sprintf(spec, tag) + more
}

func statusOf(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	result, err := status.Compute(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(result.Status)
}

// TestNothingIsCurrentBeforeAControllerHasLooked creates one object of each kind without running controllers.
func TestNothingIsCurrentBeforeAControllerHasLooked(t *testing.T) {
	s := begin(t, "--controllers=*,-app-controller,-release-controller,-scheduler,-host-lifecycle-controller,-ended-instance-collector")
	namespace := s.namespace("new")
	for _, tc := range []struct {
		name     string
		resource dynamic.ResourceInterface
		manifest string
	}{
		{"an app", s.client.Resource(apps).Namespace(namespace), app("web", "1", "")},
		{"an app of nothing", s.client.Resource(apps).Namespace(namespace), app("none", "1", "  replicas: 0\n")},
		{"a release", s.client.Resource(releases).Namespace(namespace), strings.Replace(app("web", "1", ""), "kind: App", "kind: Release", 1)},
		{"an instance", s.client.Resource(instances).Namespace(namespace), `{apiVersion: fleet.gatehouse.dev/v1alpha1, kind: Instance, metadata: {name: web}, spec: {containers: [{name: web, image: "web:1"}]}}`},
		{"a host", s.client.Resource(hosts), `{apiVersion: fleet.gatehouse.dev/v1alpha1, kind: Host, metadata: {name: edge-1}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			created, err := tc.resource.Create(t.Context(), parse(t, tc.manifest), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := statusOf(t, created); got != inProgress {
				t.Errorf("kstatus calls it %s: %v", got, created.Object["status"])
			}
		})
	}
}

func (s stage) namespace(name string) string {
	s.t.Helper()
	if _, err := s.core.CoreV1().Namespaces().Create(s.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// TestAppsAreCalledWhatTheyAre watches apps from before their creation, and expects each status
// of kstatus in order, with no other in between.
func TestAppsAreCalledWhatTheyAre(t *testing.T) {
	s := begin(t, "--simulate-hosts=2", "--controllers=*")
	const image = `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.com/web:%s"}]`
	for _, tc := range []struct {
		name     string
		manifest string
		before   func(namespace string)
		want     []string
		// change is a JSON patch that is applied in that status, and then the following statuses.
		change string
		then   []string
	}{
		{name: "healthy", manifest: app("web", "1", "  replicas: 2\n"), want: []string{inProgress, current}},
		{name: "scaled to zero", manifest: app("web", "1", "  replicas: 0\n"), want: []string{inProgress, current}},
		{name: "slow", manifest: app("web", "1", "  minReadySeconds: 3\n"), want: []string{inProgress, current}},
		{name: "broken image", manifest: app("web", "bad", "  progressDeadlineSeconds: 2\n"), want: []string{inProgress, failed}},
		{name: "refused by a quota", manifest: app("web", "1", ""), before: s.noInstances, want: []string{inProgress, failed}},
		{name: "updated", manifest: app("web", "1", ""), want: []string{inProgress, current}, change: fmt.Sprintf(image, "2"), then: []string{inProgress, current}},
		{name: "updated to a broken image", manifest: app("web", "1", "  progressDeadlineSeconds: 2\n"), want: []string{inProgress, current}, change: fmt.Sprintf(image, "bad"), then: []string{inProgress, failed}},
		{name: "scaled up from zero with a broken image", manifest: app("web", "bad", "  replicas: 0\n  progressDeadlineSeconds: 2\n"), want: []string{inProgress, current}, change: `[{"op":"replace","path":"/spec/replicas","value":1}]`, then: []string{inProgress, failed}},
		{name: "paused, and changed", manifest: app("web", "1", "  paused: true\n"), want: []string{inProgress}},
		{name: "deleted", manifest: app("web", "1", ""), want: []string{inProgress, current}, change: `[{"op":"add","path":"/metadata/finalizers","value":["example.com/hold"]}]`, then: []string{terminating}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			namespace := s.namespace(strings.NewReplacer(" ", "-", ",", "").Replace(tc.name))
			if tc.before != nil {
				tc.before(namespace)
			}
			f := s.follow(t, namespace)
			client := s.client.Resource(apps).Namespace(namespace)
			if _, err := client.Create(t.Context(), parse(t, tc.manifest), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			f.expect(t, tc.want)
			if tc.change == "" {
				return
			}
			if _, err := client.Patch(t.Context(), "web", types.JSONPatchType, []byte(tc.change), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(tc.then, terminating) {
				if err := client.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			f.expect(t, tc.then)
			if slices.Contains(tc.then, terminating) {
				if _, err := client.Patch(t.Context(), "web", types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/finalizers"}]`), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func (s stage) noInstances(namespace string) {
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}}
	if err := yaml.Unmarshal([]byte(`{spec: {hard: {"count/instances.fleet.gatehouse.dev": "0"}}}`), quota); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.core.CoreV1().ResourceQuotas(namespace).Create(s.t.Context(), quota, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// follower sends each status of the app of a namespace that differs from the one before.
type follower struct{ statuses chan string }

func (s stage) follow(t *testing.T, namespace string) follower {
	t.Helper()
	client := s.client.Resource(apps).Namespace(namespace)
	list, err := client.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := client.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	f := follower{make(chan string, 1000)}
	go func() {
		defer close(f.statuses)
		last := ""
		for event := range watcher.ResultChan() {
			obj, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				return
			}
			result, err := status.Compute(obj)
			if err != nil {
				return
			}
			if now := string(result.Status); now != last {
				last = now
				f.statuses <- now
			}
		}
	}()
	return f
}

func (f follower) expect(t *testing.T, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for at, wanted := range want {
		select {
		case got := <-f.statuses:
			if got != wanted {
				t.Fatalf("kstatus calls it %q, want %q, after %v", got, wanted, want[:at])
			}
		case <-ctx.Done():
			t.Fatalf("kstatus never calls it %q, after %v", wanted, want[:at])
		}
	}
}

// TestInstancesAndHostsAreCalledWhatTheyAre checks objects that simulated hosts report on.
func TestInstancesAndHostsAreCalledWhatTheyAre(t *testing.T) {
	s := begin(t, "--simulate-hosts=1", "--controllers=*")
	namespace := s.namespace("instances")
	becomes := func(t *testing.T, resource dynamic.ResourceInterface, name, want string) {
		t.Helper()
		got := ""
		if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			obj, err := resource.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil // a simulated host registers a moment later
			}
			if err != nil {
				return false, err
			}
			got = statusOf(t, obj)
			return got == want, nil
		}); err != nil {
			t.Fatalf("%v; the last status was %s, want %s", err, got, want)
		}
	}
	becomes(t, s.client.Resource(hosts), "sim-1", current)
	for _, tc := range []struct{ name, tag, more, want string }{
		{"runs", "1", "", current},
		{"waits", "bad", "", inProgress},
		{"fails", "bad", ", activeDeadlineSeconds: 1", failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := s.client.Resource(instances).Namespace(namespace)
			manifest := fmt.Sprintf(`{apiVersion: fleet.gatehouse.dev/v1alpha1, kind: Instance, metadata: {name: %s}, spec: {containers: [{name: web, image: "web:%s"}]%s}}`, tc.name, tc.tag, tc.more)
			if _, err := client.Create(t.Context(), parse(t, manifest), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			becomes(t, client, tc.name, tc.want)
		})
	}
}
