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

package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

var apps = schema.GroupVersionResource{Group: "fleet.gatehouse.dev", Version: "v1alpha1", Resource: "apps"}

// program is Helm in the version of this module's go.mod. `go tool` would ignore the flags of the other
// builds and compile everything again.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programs, "helm")
	output, err := exec.Command("go", "build", "-o", path, "helm.sh/helm/v4/cmd/helm").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot build helm: %w: %s", err, output)
	}
	return path, nil
})

// programs is the directory of the programs that the tests build.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gatehouse-helm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is a `gatehouse up` with all controllers and two simulated hosts.
type server struct {
	*binary.Server
	dynamic dynamic.Interface
	typed   kubernetes.Interface
}

func start(t *testing.T) *server {
	t.Helper()
	if _, err := program(); err != nil {
		t.Fatal(err)
	}
	process := binary.Start(t, binary.DataDir(t), "--controllers=*", "--simulate-hosts", "2")
	return &server{Server: process, dynamic: dynamic.NewForConfigOrDie(process.Config), typed: kubernetes.NewForConfigOrDie(process.Config)}
}

func (s *server) namespace(t *testing.T) string {
	t.Helper()
	created, err := s.typed.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "helm-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created.Name
}

// noRoom creates a quota that refuses all instances of the namespace.
func (s *server) noRoom(t *testing.T, namespace string) {
	t.Helper()
	quotas := s.typed.CoreV1().ResourceQuotas(namespace)
	_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/instances.fleet.gatehouse.dev": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Before its usage is counted, the quota refuses with another message.
	events, err := quotas.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		if quota, ok := event.Object.(*corev1.ResourceQuota); ok && event.Type != watch.Deleted && len(quota.Status.Used) > 0 {
			return
		}
	}
	t.Fatal("the watch of quotas has ended before the quota was counted")
}

// helm runs Helm in the namespace and returns what it wrote.
func (s *server) helm(t *testing.T, namespace string, args ...string) (string, error) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--namespace", namespace}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(s.DataDir, "kubeconfig"), "HOME="+home,
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return output.String(), err
}

func (s *server) mustHelm(t *testing.T, namespace string, args ...string) string {
	t.Helper()
	output, err := s.helm(t, namespace, args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// revisions returns Helm's history of the release: "1 superseded", "2 deployed".
func (s *server) revisions(t *testing.T, namespace, release string) []string {
	t.Helper()
	var history []struct {
		Revision int    `json:"revision"`
		Status   string `json:"status"`
	}
	text := s.mustHelm(t, namespace, "history", release, "--output", "json")
	if err := json.Unmarshal([]byte(text), &history); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var result []string
	for _, entry := range history {
		result = append(result, fmt.Sprintf("%d %s", entry.Revision, entry.Status))
	}
	return result
}

// app returns the App, or nil if it does not exist.
func (s *server) app(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := s.dynamic.Resource(apps).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// kstatus returns the status that Flux and Helm's wait compute for the object.
func kstatus(t *testing.T, object *unstructured.Unstructured) status.Status {
	t.Helper()
	result, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func image(t *testing.T, app *unstructured.Unstructured) string {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(app.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) != 1 {
		t.Fatalf("containers %v: %v", containers, err)
	}
	return containers[0].(map[string]any)["image"].(string)
}
