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
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const exampleDir = "../../../artifacts/examples/controller"

// applyExampleRole stores the objects of the example's rbac.yaml.
func applyExampleRole(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(exampleDir, "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		kinds++
		switch o := object.(type) {
		case *corev1.ServiceAccount:
			_, err = client.CoreV1().ServiceAccounts(o.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
		case *rbacv1.ClusterRole:
			_, err = client.RbacV1().ClusterRoles().Create(t.Context(), o, metav1.CreateOptions{})
		case *rbacv1.ClusterRoleBinding:
			_, err = client.RbacV1().ClusterRoleBindings().Create(t.Context(), o, metav1.CreateOptions{})
		default:
			t.Fatalf("a %T is not expected", object)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if kinds != 3 {
		t.Fatalf("there are %d objects, not an account, a role and a binding", kinds)
	}
}

// startExample runs the program until the test ends or the returned function is called, which
// stops the program and fails the test unless it exits without an error.
func startExample(t *testing.T, program, kubeconfig string) (stop func()) {
	t.Helper()
	var output bytes.Buffer
	process := exec.Command(program, "--kubeconfig", kubeconfig)
	process.Stdout, process.Stderr = &output, &output
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = process.Process.Signal(syscall.SIGTERM)
		if err := process.Wait(); err != nil {
			t.Errorf("the controller ended with %v:\n%s", err, output.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestTheExampleControllerDoesItsWorkWithItsRoleAlone(t *testing.T) {
	program := filepath.Join(t.TempDir(), "controller")
	if out, err := exec.Command("go", "build", "-o", program, exampleDir).CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	server := servertesting.Start(t)
	admin, client := kubernetes.NewForConfigOrDie(server.Config), harness.NewFleetClient(t, server.Config)
	applyExampleRole(t, admin)
	token := harness.NewToken(t, admin, "host-labeler", authenticationv1.TokenRequestSpec{})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"gatehouse": {Server: server.URL, CertificateAuthorityData: server.Config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{"labeler": {Token: token}},
		Contexts:       map[string]*api.Context{"gatehouse": {Cluster: "gatehouse", AuthInfo: "labeler"}},
		CurrentContext: "gatehouse",
	}, kubeconfig); err != nil {
		t.Fatal(err)
	}

	// One host exists before the controller starts; others are created while it runs.
	reports := func(name, system, architecture string) {
		t.Helper()
		host, err := client.FleetV1alpha1().Hosts().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil {
			host.Status.Info.OperatingSystem, host.Status.Info.Architecture = system, architecture
			_, err = client.FleetV1alpha1().Hosts().UpdateStatus(t.Context(), host, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	labelled := func(name, system, architecture string) *v1alpha1.Host {
		t.Helper()
		var host *v1alpha1.Host
		harness.ComesTrue(t, func(ctx context.Context) string {
			var err error
			host, err = client.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if host.Labels["labeler.example.com/os"] != system || host.Labels["labeler.example.com/architecture"] != architecture {
				return fmt.Sprintf("%s reports %q on %q and is labelled %v", name, system, architecture, host.Labels)
			}
			return ""
		})
		return host
	}
	client.CreateHost(t, "edge-1")
	reports("edge-1", "Linux", "arm64")
	stop := startExample(t, program, kubeconfig)
	labelled("edge-1", "linux", "arm64")
	client.CreateHost(t, "edge-2")
	reports("edge-2", "linux", "amd64")
	labelled("edge-2", "linux", "amd64")

	// The controller follows changes of the host, and reverts foreign changes of its own labels only.
	patched := func(patch string) {
		t.Helper()
		if _, err := client.FleetV1alpha1().Hosts().Patch(t.Context(), "edge-1", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patched(`{"metadata":{"labels":{"site":"lab","labeler.example.com/os":"plan9"}}}`)
	labelled("edge-1", "linux", "arm64")
	reports("edge-1", "linux", "")
	if host := labelled("edge-1", "linux", ""); host.Labels["site"] != "lab" || len(host.Labels) != 2 {
		t.Errorf("the host has the labels %v", host.Labels)
	}

	// After a restart the controller catches up on missed changes, and writes nothing twice.
	stop()
	untouched, err := client.FleetV1alpha1().Hosts().Get(t.Context(), "edge-2", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client.CreateHost(t, "edge-3")
	reports("edge-3", "linux", "riscv64")
	stop = startExample(t, program, kubeconfig)
	labelled("edge-3", "linux", "riscv64")
	reports("edge-1", "linux", "s390x")
	labelled("edge-1", "linux", "s390x")
	if again := labelled("edge-2", "linux", "amd64"); again.ResourceVersion != untouched.ResourceVersion {
		t.Error("a host that had its labels was written again")
	}
	stop()

	// The role grants no more than its rules state.
	labeler := harness.NewFleetClient(t, harness.WithToken(server, token)).FleetV1alpha1()
	if _, err := labeler.Hosts().Get(t.Context(), "edge-1", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("it may get a host: %v", err)
	}
	if err := labeler.Hosts().Delete(t.Context(), "edge-1", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("it may delete a host: %v", err)
	}
	if _, err := labeler.Instances("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("it may list instances: %v", err)
	}
}
