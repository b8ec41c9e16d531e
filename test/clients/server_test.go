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
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// fleet is the group and version of the kinds.
var fleet = schema.GroupVersion{Group: "fleet.gatehouse.dev", Version: "v1alpha1"}

// artifacts is the directory of files for tools.
const artifacts = "../../artifacts/tools"

// server is a `gatehouse up` with all controllers and two simulated hosts.
type server struct {
	*binary.Server
	dynamic dynamic.Interface
	typed   kubernetes.Interface
}

func start(t *testing.T, args ...string) *server {
	t.Helper()
	process := binary.Start(t, binary.DataDir(t), append([]string{"--controllers=*", "--simulate-hosts", "2"}, args...)...)
	return &server{Server: process, dynamic: dynamic.NewForConfigOrDie(process.Config), typed: kubernetes.NewForConfigOrDie(process.Config)}
}

func (s *server) kubeconfig() string { return filepath.Join(s.DataDir, "kubeconfig") }

// namespace creates a namespace, which ends with the server.
func (s *server) namespace(t *testing.T) string {
	t.Helper()
	created, err := s.typed.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "clients-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created.Name
}

// tool finds a program, or ends the test with a message on how to install it.
func tool(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, fmt.Sprintf("%s is not installed: %s", name, install))
	}
	return path
}

// missing skips the test, or fails it if all clients are required.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_CLIENTS") == "all" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// kubectl returns the path of the kubectl that `make build` builds.
func kubectl(t *testing.T) string {
	t.Helper()
	path := os.Getenv("GATEHOUSE_KUBECTL")
	if path == "" {
		path = "../../bin/kubectl"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("kubectl is missing (%v): run `make build`", err)
	}
	return path
}

// run runs a program with the server's kubeconfig and returns its standard output; the error
// contains its standard error.
func run(t *testing.T, s *server, stdin, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if s != nil {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+s.kubeconfig())
	}
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func mustRun(t *testing.T, s *server, stdin, name string, args ...string) string {
	t.Helper()
	out, err := run(t, s, stdin, name, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}
