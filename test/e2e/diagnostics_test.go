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
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/pages"
)

// gatehousePlugin runs the plugin as a user of the cluster and returns what it prints.
func gatehousePlugin(t *testing.T, kubeconfig string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), env.cluster.Binaries.Kubectl, append([]string{"gatehouse"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+pages.Bin(t, env.cluster.Binaries.Kubectl)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// refused creates an object that Gatehouse refuses as a user and returns the ID of the request.
func refused(t *testing.T, user, manifest string) string {
	t.Helper()
	id := ""
	kit.EventuallyState(t, "Gatehouse refuses the object", func(context.Context) (bool, string) {
		_, err := env.cluster.Kubectl(manifest, "create", "--as="+user, "-f", "-")
		found := regexp.MustCompile(`\(validation; why: kubectl gatehouse why ([0-9a-f]{8})\)`).FindStringSubmatch(errText(err))
		if found == nil {
			return false, errText(err)
		}
		id = found[1]
		return true, ""
	})
	return id
}

func TestARefusalThroughTheKubeAPIServerLeadsToItsTraceWhicheverReplicaRefused(t *testing.T) {
	ns := namespace(t, "traced")
	kubeconfigs := map[string]string{}
	for _, user := range []string{"alice", "bertha"} {
		kubectl(t, "create", "rolebinding", user, "-n", ns, "--clusterrole=edit", "--user="+user)
		path, err := env.cluster.UserKubeconfig(user)
		if err != nil {
			t.Fatal(err)
		}
		kubeconfigs[user] = path
	}
	invalid := strings.Replace(instance(ns, "wrong", ""), "spec: {", "spec: {restartPolicy: Sometimes, ", 1)
	// Each refusal is of the replica that the kube-apiserver's connection leads to. The search for an unknown
	// trace moves the connection on.
	servers := map[string]bool{}
	for range 4 {
		id := refused(t, "alice", invalid)
		out, err := gatehousePlugin(t, kubeconfigs["alice"], "why", id)
		if err != nil || !strings.Contains(out, `Refused: user "alice" create instances.fleet.gatehouse.dev "wrong" in namespace "`+ns+`": 422 Invalid`) || !strings.Contains(out, "> Validation") {
			t.Fatalf("alice sees %v: %s", err, out)
		}
		out, err = gatehousePlugin(t, env.cluster.Admin, "why", id, "-o", "json")
		if err != nil {
			t.Fatalf("the administrator sees %v: %s", err, out)
		}
		servers[regexp.MustCompile(`"server": "([^"]+)"`).FindString(out)] = true
		out, err = gatehousePlugin(t, kubeconfigs["bertha"], "why", id)
		if err == nil || !strings.Contains(out, "no request \""+id+"\" of yours is in the memory of the servers ") {
			t.Errorf("bertha sees %v: %s", err, out)
		}
	}
	if len(servers) != 2 {
		t.Errorf("the refusals are of %v, and two replicas run", servers)
	}
	t.Run("the role of diagnostics reads the traces of others", func(t *testing.T) {
		id := refused(t, "alice", invalid)
		kubectl(t, "create", "clusterrolebinding", "bertha-diagnostics", "--clusterrole=gatehouse:diagnostics", "--user=bertha")
		t.Cleanup(func() {
			_, _ = env.cluster.Kubectl("", "delete", "clusterrolebinding", "bertha-diagnostics", "--ignore-not-found")
		})
		kit.EventuallyState(t, "bertha reads the trace", func(context.Context) (bool, string) {
			out, err := gatehousePlugin(t, kubeconfigs["bertha"], "why", id)
			return err == nil && strings.Contains(out, `user "alice"`), out
		})
	})
	t.Run("top requests is about the own requests only, and states it", func(t *testing.T) {
		out, err := gatehousePlugin(t, kubeconfigs["alice"], "top", "requests")
		if err != nil || !strings.Contains(out, "Only your own requests") || !strings.Contains(out, "alice") || strings.Contains(out, "system:") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// output is what a command has printed.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (o *output) Write(content []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(content)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestFollowShowsTheRefusalsOfAllReplicas(t *testing.T) {
	ns := namespace(t, "followed")
	kubectl(t, "create", "rolebinding", "fred", "-n", ns, "--clusterrole=edit", "--user=fred")
	printed := &output{}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, env.cluster.Binaries.Kubectl, "gatehouse", "why", "--follow", "-o", "name")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+env.cluster.Admin, "PATH="+pages.Bin(t, env.cluster.Binaries.Kubectl)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	kit.EventuallyState(t, "both replicas are followed", func(context.Context) (bool, string) {
		return strings.Contains(printed.String(), "Following the refused requests of the servers "), printed.String()
	})
	invalid := strings.Replace(instance(ns, "wrong", ""), "spec: {", "spec: {restartPolicy: Sometimes, ", 1)
	servers := map[string]bool{}
	for range 6 {
		id := refused(t, "fred", invalid)
		kit.EventuallyState(t, "the refusal "+id+" is shown", func(context.Context) (bool, string) {
			return strings.Contains(printed.String(), "/"+id), printed.String()
		})
		out, err := gatehousePlugin(t, env.cluster.Admin, "why", id, "-o", "json")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		servers[regexp.MustCompile(`"server": "([^"]+)"`).FindString(out)] = true
		moveOn(t.Context(), through(t, "mover"))
	}
	if len(servers) != 2 {
		t.Errorf("the refusals are of %v, and two replicas run", servers)
	}
}

func TestTheCommandsOfThePageOnDebuggingPrintWhatItShowsThroughTheKubeAPIServer(t *testing.T) {
	ns := namespace(t, "shop")
	kit.EventuallyState(t, "the namespace has its service account", func(context.Context) (bool, string) {
		_, err := env.cluster.Kubectl("", "get", "serviceaccount", "default", "-n", ns)
		return err == nil, errText(err)
	})
	controllers, err := env.gatehouse.StartControllers("controllers-page")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(controllers.Stop)
	bob, err := env.cluster.UserKubeconfig("bob")
	if err != nil {
		t.Fatal(err)
	}
	shell := pages.Shell{Dir: t.TempDir(), Bin: pages.Bin(t, env.cluster.Binaries.Kubectl), Kubeconfig: env.cluster.Admin}
	if err := os.Symlink(bob, filepath.Join(shell.Dir, "bob.kubeconfig")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = env.cluster.Kubectl("", "delete", "mutatingwebhookconfiguration", "sidecars", "--ignore-not-found")
	})
	pages.Debugging(t, filepath.Join("..", "..", "docs", "debugging.md"), pages.Aggregated, shell)
}
