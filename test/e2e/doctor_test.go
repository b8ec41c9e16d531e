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

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// doctor runs gatehouse doctor against the cluster and returns its lines and its exit code.
func doctor(t *testing.T, kubeconfig string, args ...string) (lines []string, code int) {
	t.Helper()
	args = append([]string{"doctor", "--mode=aggregated", "-o", "json", "--kubeconfig=" + kubeconfig, fmt.Sprintf("--connect=127.0.0.1:%d", env.gatehouse.Balancer.Port())}, args...)
	command := exec.CommandContext(t.Context(), env.cluster.Binaries.Gatehouse, args...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Findings []struct{ Check, Status, Found, Cure string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr.String())
	}
	for _, f := range report.Findings {
		// The time of discovery is that of a busy machine.
		if f.Check == "discovery" && f.Status == "warning" && strings.Contains(f.Found, "it takes") {
			f.Status = "ok"
		}
		lines = append(lines, f.Status+" "+f.Check+": "+f.Found+" | "+f.Cure)
	}
	return lines, code
}

// says fails the test unless a line begins with a status and a check and has all texts.
func says(t *testing.T, lines []string, begin string, texts ...string) {
	t.Helper()
	if !contains(lines, begin, texts...) {
		t.Errorf("no line begins with %q and has %q:\n%s", begin, texts, strings.Join(lines, "\n"))
	}
}

func contains(lines []string, begin string, texts ...string) bool {
	for _, line := range lines {
		all := strings.HasPrefix(line, begin)
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return true
		}
	}
	return false
}

// Faults are planted one by one in the registration that other tests need, so the test does not run in parallel with them, and
// it restores the registration.
func TestDoctorFindsFaultsOfARegistrationInARealCluster(t *testing.T) {
	admin := env.cluster.Admin
	wantNothingWrong(t)
	lines, _ := doctor(t, admin, env.gatehouse.EtcdFlags()...)
	says(t, lines, "ok rights", "gatehouse-system:gatehouse has all")
	says(t, lines, "ok ca-bundle", "verifies the certificate")
	says(t, lines, "ok etcd", "1 of 1 voters respond")

	t.Run("the service account may run it before the start", doctorOfTheServiceAccount)
	t.Run("a missing right", func(t *testing.T) {
		defer func() {
			apply(t, env.manifests)
			wantNothingWrong(t)
		}()
		kubectl(t, "delete", "clusterrolebinding", "gatehouse:server")
		lines, code := doctor(t, admin)
		if code != 2 {
			t.Errorf("exit code %d, want 2", code)
		}
		says(t, lines, "broken rights", "may not get, list, watch namespaces", "objects in namespaces cannot be created", "artifacts/deploy/rbac.yaml")
	})
	t.Run("a wrong caBundle", func(t *testing.T) {
		bundle := kubectl(t, "get", "apiservice", harness.APIServiceName, "-o", "jsonpath={.spec.caBundle}")
		patch := func(bundle string) {
			kubectl(t, "patch", "apiservice", harness.APIServiceName, "--type=merge", "-p", `{"spec":{"caBundle":"`+bundle+`"}}`)
		}
		defer func() {
			patch(bundle)
			wantNothingWrong(t)
		}()
		other, err := harness.NewAuthority(t.TempDir(), "other-ca")
		if err != nil {
			t.Fatal(err)
		}
		patch(base64.StdEncoding.EncodeToString(other.PEM()))
		kit.EventuallyState(t, "the APIService is unavailable, and the reason is named", func(context.Context) (bool, string) {
			lines, code := doctor(t, admin)
			return code == 2 && contains(lines, "broken ca-bundle", "is not of the authority that signed", "gatehouse certificates") &&
				contains(lines, "broken apiservices", "FailedDiscoveryCheck"), strings.Join(lines, "\n")
		})
	})
}

// wantNothingWrong waits until nothing is wrong: kube-apiserver looks at an APIService in intervals.
func wantNothingWrong(t *testing.T) {
	t.Helper()
	kit.EventuallyState(t, "nothing is wrong", func(context.Context) (bool, string) {
		lines, _ := doctor(t, env.cluster.Admin, env.gatehouse.EtcdFlags()...)
		return !contains(lines, "broken") && !contains(lines, "warning"), strings.Join(lines, "\n")
	})
}

// An init container has the rights of the service account and no others.
func doctorOfTheServiceAccount(t *testing.T) {
	token, err := env.cluster.Token(harness.Namespace, harness.ServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := harness.Kubeconfig(kubeconfig, env.cluster.URL, env.cluster.CAFile, harness.Pair{}, token); err != nil {
		t.Fatal(err)
	}
	lines, code := doctor(t, kubeconfig, "--service-account=", "--before-start", "--fail-on=broken")
	if code != 0 || contains(lines, "broken") {
		t.Errorf("exit code %d:\n%s", code, strings.Join(lines, "\n"))
	}
	says(t, lines, "ok rights", "this user has all")
	says(t, lines, "ok front-proxy", "front-proxy-client")
}
