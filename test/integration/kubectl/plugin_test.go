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

package kubectl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// pluginUser runs kubectl, with the plugin in the same directory.
type pluginUser struct {
	t          *testing.T
	kubectl    string
	kubeconfig string
}

func newPluginUser(t *testing.T, kubeconfig string) pluginUser {
	t.Helper()
	dir := filepath.Dir(binary.Path(t))
	if _, err := os.Stat(filepath.Join(dir, "kubectl-gatehouse")); err != nil {
		t.Fatalf("the plugin is missing (%v): run `make build`", err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return pluginUser{t, kubectl.Find(t), kubeconfig}
}

func (u pluginUser) command(args string) *exec.Cmd {
	cmd := exec.CommandContext(u.t.Context(), u.kubectl, append([]string{"gatehouse"}, strings.Fields(args)...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+u.kubeconfig)
	return cmd
}

// run expects an exit code, and words in the output.
func (u pluginUser) run(args string, code int, words ...string) string {
	u.t.Helper()
	var said bytes.Buffer
	cmd := u.command(args)
	cmd.Stdout, cmd.Stderr = &said, &said
	u.expect(cmd.Run(), args, code, said.String(), words...)
	return said.String()
}

func (u pluginUser) expect(err error, args string, code int, said string, words ...string) {
	u.t.Helper()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		u.t.Fatal(err)
	}
	if got != code {
		u.t.Errorf("kubectl gatehouse %s ended with code %d, not %d:\n%s", args, got, code, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			u.t.Errorf("kubectl gatehouse %s does not contain %q:\n%s", args, word, said)
		}
	}
}

// report stands in for the app controller: it has observed the app, which is at the revision.
func (u pluginUser) report(client harness.FleetClient, revision int, status v1alpha1.AppStatus) {
	u.t.Helper()
	apps := client.FleetV1alpha1().Apps("default")
	app, err := apps.Patch(u.t.Context(), "web", types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{"%s":"%d"}}}`, v1alpha1.RevisionAnnotation, revision), metav1.PatchOptions{})
	if err != nil {
		u.t.Fatal(err)
	}
	app.Status = status
	app.Status.ObservedGeneration = app.Generation
	if _, err := apps.UpdateStatus(u.t.Context(), app, metav1.UpdateOptions{}); err != nil {
		u.t.Fatal(err)
	}
}

func TestKubectlGatehouse(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	u := newPluginUser(t, server.Kubeconfig)
	harness.SeedRevisions(t, client)

	u.run("rollout status web --watch=false", 2, `Waiting for app "web" spec update to be observed...`)
	u.report(client, 3, v1alpha1.AppStatus{Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1})
	t.Run("history", func(t *testing.T) { tryHistory(t, u) })
	t.Run("status", func(t *testing.T) { tryStatus(t, u, client) })
	t.Run("changes", func(t *testing.T) { tryChanges(t, u, client) })
	t.Run("tree and hosts", func(t *testing.T) { tryTree(t, u, client) })
	t.Run("mistakes", func(*testing.T) {
		u.run("rollout status nothing", 1, `error: there is no app "nothing" in the namespace default`)
		u.run("rollout undo nothing -n other", 1, `error: there is no app "nothing" in the namespace other`)
		u.run("tree deployment/web", 1, `error: "deployment/web" names a deployment, but this is about apps: write app/NAME`)
		u.run("rollout restart", 1, "takes one app, not 0; see kubectl gatehouse rollout restart --help")
		u.run("rollout status web -o yaml", 1, "--output=yaml is unknown: use json")
		u.run("rollout undo web --dry-run=client", 1, "--dry-run=client is unknown: use none or server")
		u.run("rollout status web --kubeconfig /nowhere", 1, "/nowhere")
	})
}

func tryHistory(t *testing.T, u pluginUser) {
	u.t = t
	u.run("rollout history app/web", 0, "REVISION", "1          web-1     web:1", "3*         web-3     web:3")
	u.run("rollout history web --revision 2", 0, "app.fleet.gatehouse.dev/web with revision #2", "image: web:2")
	u.run("rollout history web --revision 9", 1, `error: app "web" has no revision 9: its revisions are 1, 2, 3`)
	var history []struct {
		Revision int64
		Current  bool
		Images   []string
	}
	if err := json.Unmarshal([]byte(u.run("rollout history web -o json", 0)), &history); err != nil {
		t.Fatal(err)
	}
	if len(history) != 3 || history[1].Current || !history[2].Current || history[0].Images[0] != "web:1" {
		t.Errorf("%+v", history)
	}
}

func tryStatus(t *testing.T, u pluginUser, client harness.FleetClient) {
	u.t = t
	u.run("rollout status web", 0, `app "web" successfully rolled out`)
	u.run("rollout status web --revision 2", 1, `error: app "web" is at revision 3, not at revision 2`)
	u.report(client, 3, v1alpha1.AppStatus{})
	u.run("rollout status web --timeout 1s", 2, "0 out of 1 new replicas have been updated...", "watched for 1s (--timeout) and continues")
	var progress struct {
		Done, Failed bool
		Revision     int64
		Message      string
	}
	if err := json.Unmarshal([]byte(u.run("rollout status web --watch=false -o json", 2)), &progress); err != nil {
		t.Fatal(err)
	}
	if progress.Done || progress.Failed || progress.Revision != 3 || progress.Message == "" {
		t.Errorf("%+v", progress)
	}

	args := "rollout status app/web"
	watched := func(code int, words []string, reports ...v1alpha1.AppStatus) {
		t.Helper()
		cmd := u.command(args)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := ""
		for lines := bufio.NewScanner(out); lines.Scan(); { // a report follows each line
			said += lines.Text() + "\n"
			if len(reports) > 0 {
				u.report(client, 3, reports[0])
				reports = reports[1:]
			}
		}
		u.expect(cmd.Wait(), args, code, said+stderr.String(), words...)
	}
	watched(0, []string{"0 out of 1 new replicas", "1 old replicas are pending termination", "0 of 1 updated replicas are available", `app "web" successfully rolled out`},
		v1alpha1.AppStatus{Replicas: 2, UpdatedReplicas: 1}, v1alpha1.AppStatus{Replicas: 1, UpdatedReplicas: 1}, v1alpha1.AppStatus{Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1})
	u.report(client, 3, v1alpha1.AppStatus{Replicas: 1, UpdatedReplicas: 1})
	watched(1, []string{`error: app "web" exceeded its progress deadline: nothing moves`}, v1alpha1.AppStatus{Replicas: 1, UpdatedReplicas: 1, Conditions: []metav1.Condition{{
		Type: v1alpha1.AppConditionProgressing, Status: metav1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "nothing moves", LastTransitionTime: metav1.Now(),
	}}})
}

func tryChanges(t *testing.T, u pluginUser, client harness.FleetClient) {
	u.t = t
	get := func() *v1alpha1.App {
		t.Helper()
		app, err := client.FleetV1alpha1().Apps("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return app
	}
	image := func() string { return get().Spec.Template.Spec.Containers[0].Image }
	u.run("rollout undo web --to-revision 1 --dry-run=server", 0, "app.fleet.gatehouse.dev/web rolled back (server dry run)")
	if image() != "web:3" {
		t.Error("the dry run changed the app")
	}
	u.run("rollout undo web --to-revision 9", 1, `app "web" has no revision 9: its revisions are 1, 2, 3`)
	u.run("rollout undo web --to-revision 3", 0, "app.fleet.gatehouse.dev/web unchanged")
	u.run("rollout undo app/web", 0, "app.fleet.gatehouse.dev/web rolled back")
	if image() != "web:2" {
		t.Errorf("went back to %s", image())
	}
	u.run("rollout pause web", 0, "app.fleet.gatehouse.dev/web paused")
	u.run("rollout pause web", 1, `app "web" is paused already`)
	if !get().Spec.Paused {
		t.Error("not paused")
	}
	u.run("rollout undo web", 1, `app "web" is paused`)
	u.run("rollout restart web", 1, `app "web" is paused`)
	u.run("rollout resume web", 0, "app.fleet.gatehouse.dev/web resumed")
	u.run("rollout resume web", 1, `app "web" is not paused`)
	u.run("rollout restart web", 0, "app.fleet.gatehouse.dev/web restarted")
	if app := get(); app.Spec.Paused || app.Spec.Template.Annotations["fleet.gatehouse.dev/restartedAt"] == "" {
		t.Errorf("%+v", app.Spec)
	}
}

func tryTree(t *testing.T, u pluginUser, client harness.FleetClient) {
	u.t = t
	client.CreateHost(t, "edge-1")
	release, err := client.FleetV1alpha1().Releases("default").Get(t.Context(), "web-3", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client.CreateInstance(t, "web-3-a", func(i *v1alpha1.Instance) {
		i.Labels = release.Spec.Template.Labels
		i.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(release, v1alpha1.SchemeGroupVersion.WithKind("Release"))}
	})
	client.MustBind(t, "web-3-a", "edge-1")
	u.run("tree app/web", 0, "app/web", "release/web-3", "instance/web-3-a", "0/1", "Pending", "edge-1", "Unknown")
	u.run("cordon edge-1", 0, "host.fleet.gatehouse.dev/edge-1 cordoned")
	u.run("cordon host/edge-1 nothing", 1, "host.fleet.gatehouse.dev/edge-1 already cordoned", `there is no host "nothing"; "kubectl get hosts" lists`)
	var tree struct {
		App      string
		Releases []struct {
			Name      string
			Instances []struct {
				Name string
				Host struct{ Name, Status string }
			}
		}
	}
	if err := json.Unmarshal([]byte(u.run("tree web -o json", 0)), &tree); err != nil {
		t.Fatal(err)
	}
	if tree.App != "web" || len(tree.Releases) != 3 || tree.Releases[0].Name != "web-3" || tree.Releases[0].Instances[0].Host.Status != "Unknown,SchedulingDisabled" {
		t.Errorf("%+v", tree)
	}
	u.run("uncordon edge-1", 0, "host.fleet.gatehouse.dev/edge-1 uncordoned")
	host, err := client.FleetV1alpha1().Hosts().Get(t.Context(), "edge-1", metav1.GetOptions{})
	if err != nil || host.Spec.Unschedulable {
		t.Errorf("%+v (%v)", host, err)
	}
}
