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

// Package e2e runs Gatehouse behind a real kube-apiserver and kube-controller-manager.
// make e2e builds what it needs and runs it.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
)

// env is the control plane that all tests share; each test uses its own namespace.
var env struct {
	cluster   *harness.Cluster
	gatehouse *harness.Gatehouse
	// manifests are the installed manifests besides the servers.
	manifests string
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	root := repositoryRoot()
	binaries, err := harness.FindBinaries(envOr("GATEHOUSE_E2E_BIN", filepath.Join(root, "_output", "e2e")), filepath.Join(root, "bin"))
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "gatehouse-e2e-")
	if err != nil {
		return 1, err
	}
	cluster, err := harness.StartCluster(ctx, dir, binaries)
	if err != nil {
		return 1, err
	}
	defer cluster.Stop()
	env.cluster = cluster
	env.manifests = deployManifests(binaries.Kubectl, root)
	if env.gatehouse, err = harness.InstallGatehouse(ctx, cluster, env.manifests, 2); err != nil {
		return 1, err
	}
	if *serve {
		if err := keepUp(ctx); err != nil {
			return 1, fmt.Errorf("%w; logs are kept in %s", err, dir)
		}
		cluster.Stop()
		return 0, os.RemoveAll(dir)
	}
	code := m.Run()
	if code == 0 {
		_ = os.RemoveAll(dir)
	} else {
		fmt.Fprintln(os.Stderr, "e2e: logs are kept in", dir)
	}
	return code, nil
}

// deployManifests returns the manifests of artifacts/deploy without the workloads: the
// harness runs the same server outside of the cluster.
func deployManifests(kubectl, root string) string {
	out, err := exec.Command(kubectl, "kustomize", filepath.Join(root, "artifacts", "deploy")).Output()
	if err != nil {
		panic(fmt.Sprintf("kubectl kustomize artifacts/deploy: %v", err))
	}
	var kept []string
	for _, document := range strings.Split(string(out), "\n---\n") {
		keep := true
		for _, kind := range []string{"Deployment", "Service", "APIService", "PodDisruptionBudget", "StatefulSet", "NetworkPolicy"} {
			if strings.Contains("\n"+document+"\n", "\nkind: "+kind+"\n") {
				keep = false
			}
		}
		if keep {
			kept = append(kept, document)
		}
	}
	return strings.Join(kept, "\n---\n")
}

func repositoryRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return filepath.Dir(filepath.Dir(dir))
}

func envOr(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// namespace creates a namespace for the test and deletes it afterwards.
func namespace(t *testing.T, name string) string {
	t.Helper()
	kubectl(t, "create", "namespace", name)
	t.Cleanup(func() {
		_, _ = env.cluster.Kubectl("", "delete", "namespace", name, "--ignore-not-found", "--wait=false")
	})
	return name
}

// kubectl runs kubectl as the administrator and fails the test when it fails.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := env.cluster.Kubectl("", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply applies manifests as the administrator.
func apply(t *testing.T, manifests string) {
	t.Helper()
	if err := env.cluster.Apply(manifests); err != nil {
		t.Fatal(err)
	}
}

// instance returns the manifest of an instance; extra is inserted below its metadata.
func instance(namespace, name, extra string) string {
	return fmt.Sprintf(`apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Instance
metadata:
  name: %s
  namespace: %s
%s
spec: {containers: [{name: main, image: "example.com/app:1"}]}
`, name, namespace, extra)
}
