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
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func amount(list v1alpha1.ResourceList, name v1alpha1.ResourceName) string {
	quantity := list[name]
	return quantity.String()
}

// stdout returns what the plugin prints. kubectl's arguments may come first.
func (u pluginUser) stdout(stdin string, args ...string) string {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), u.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+u.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("kubectl %q: %v\n%s", args, err, stderr.String())
	}
	return out.String()
}

func TestKubectlGatehouseCreatesAndChangesApps(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	u := newPluginUser(t, server.Kubeconfig)
	t.Run("create", func(t *testing.T) { u.t = t; tryCreate(t, u, client) })
	t.Run("set image", func(t *testing.T) { u.t = t; trySetImage(t, u, client) })
	t.Run("set env", func(t *testing.T) { u.t = t; trySetEnv(t, u, client) })
	t.Run("set resources and service account", func(t *testing.T) {
		u.t = t
		u.run("set resources web api --requests=cpu=500m --limits=memory=1Gi -c server", 1, "app.fleet.gatehouse.dev/web resources updated", `error: app "api" has no container "server": its containers are api`)
		got := client.App(t, "web").Spec.Template.Spec.Containers[0].Resources
		if amount(got.Requests, "cpu") != "500m" || amount(got.Requests, "memory") != "64Mi" || amount(got.Limits, "memory") != "1Gi" {
			t.Errorf("%+v", got)
		}
		u.run("set serviceaccount app/api builder", 0, "app.fleet.gatehouse.dev/api serviceaccount updated")
		if name := client.App(t, "api").Spec.Template.Spec.ServiceAccountName; name != "builder" {
			t.Errorf("the service account is %q", name)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		u.t = t
		u.run("create app web --image=x", 1, `error: app "web" already exists in the namespace default: use another name`)
		u.run("create app web --image=x -n nowhere", 1, `error: namespaces "nowhere" not found`)
		u.run("create app other --image=x --requests=disk=1", 1, "error: failed to create app: ", "spec.template.spec.containers[0].resources.requests")
		u.run("set image app/nothing a=b", 1, `error: there is no app "nothing" in the namespace default`)
		u.run("set image app/web server=y --as nobody", 1, `error: apps.fleet.gatehouse.dev "web" is forbidden: User "nobody" cannot get resource "apps"`)
	})
}

func tryCreate(t *testing.T, u pluginUser, client harness.FleetClient) {
	u.run("create app web --image=registry.example.com/server:1 --image=registry.example.com/proxy:1 --replicas=2 --port=8080 --env=MODE=test --requests=cpu=100m,memory=64Mi --dry-run=server", 0,
		"app.fleet.gatehouse.dev/web created (server dry run)")
	if list, err := client.FleetV1alpha1().Apps("").List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Fatalf("the dry run made %+v (%v)", list, err)
	}
	u.run("create app web --image=registry.example.com/server:1 --image=registry.example.com/proxy:1 --replicas=2 --port=8080 --env=MODE=test --requests=cpu=100m,memory=64Mi", 0,
		"app.fleet.gatehouse.dev/web created")
	app := client.App(t, "web")
	containers := app.Spec.Template.Spec.Containers
	if *app.Spec.Replicas != 2 || app.Spec.Selector.MatchLabels["app"] != "web" || len(containers) != 2 || containers[0].Name != "server" || containers[1].Name != "proxy" ||
		containers[0].Ports[0].ContainerPort != 8080 || len(containers[1].Ports) != 0 || containers[1].Env[0].Value != "test" || amount(containers[1].Resources.Requests, "memory") != "64Mi" {
		t.Errorf("%+v", app.Spec)
	}

	// The printed manifest can be applied, and has the same content.
	manifest := u.stdout("", "gatehouse", "create", "app", "api", "--image=registry.example.com/api:1", "--dry-run=client", "-o", "yaml", "--", "/bin/api", "-v")
	if said := u.stdout(manifest, "apply", "-f", "-"); said != "app.fleet.gatehouse.dev/api created\n" {
		t.Errorf("the manifest is applied with %q:\n%s", said, manifest)
	}
	if diff := cmp.Diff([]string{"/bin/api", "-v"}, client.App(t, "api").Spec.Template.Spec.Containers[0].Command); diff != "" {
		t.Error(diff)
	}
	// In YAML the response of the server has its defaults and no managedFields.
	printed := u.stdout("", "gatehouse", "create", "app", "third", "--image=x", "--dry-run=server", "-o", "yaml")
	if !strings.Contains(printed, "progressDeadlineSeconds: 600") || strings.Contains(printed, "managedFields") || !strings.Contains(printed, "kind: App\n") {
		t.Errorf("the server's answer is printed as\n%s", printed)
	}
}

func trySetImage(t *testing.T, u pluginUser, client harness.FleetClient) {
	images := func(name string) (images []string) {
		for _, container := range client.App(t, name).Spec.Template.Spec.Containers {
			images = append(images, container.Image)
		}
		return images
	}
	expect := func(name string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, images(name)); diff != "" {
			t.Error(diff)
		}
	}
	generation := client.App(t, "web").Generation
	u.run("set image app/web server=server:2 proxy=proxy:2", 0, "app.fleet.gatehouse.dev/web image updated")
	expect("web", "server:2", "proxy:2")
	if now := client.App(t, "web").Generation; now != generation+1 {
		t.Errorf("two images made %d generations", now-generation)
	}
	u.run("set image app/web server=server:2", 0, "app.fleet.gatehouse.dev/web image unchanged")
	u.run("set image app web *=all:1 --dry-run=server", 0, "app.fleet.gatehouse.dev/web image updated (server dry run)")
	u.run("set image web *=all:1 --dry-run=client -o yaml", 0, "image: all:1", "kind: App")
	expect("web", "server:2", "proxy:2")
	u.run("set image web server=server:3 cache=x", 1, `error: app "web" has no container "cache": its containers are server, proxy`)
	expect("web", "server:2", "proxy:2") // all or nothing
	u.run("set image -l app=api *=api:2", 0, "app.fleet.gatehouse.dev/api image updated")
	expect("api", "api:2")
	u.run("set image apps --all proxy=proxy:3", 1, "app.fleet.gatehouse.dev/web image updated", `error: app "api" has no container "proxy"`)
	expect("web", "server:2", "proxy:3")
	u.run("set image -l app=nothing *=x", 0, "No apps found in the namespace default.")
	if app := client.App(t, "web"); app.Spec.Template.Spec.Containers[0].Ports[0].ContainerPort != 8080 || len(app.Spec.Template.Spec.Containers[0].Env) != 1 {
		t.Errorf("more than images changed: %+v", app.Spec)
	}
}

func trySetEnv(t *testing.T, u pluginUser, client harness.FleetClient) {
	u.run("set env app/web -c server MODE=prod LEVEL=3", 0, "app.fleet.gatehouse.dev/web env updated")
	list := func() string { return u.run("set env app/web --list", 0) }
	if diff := cmp.Diff("# App web, container server\nMODE=prod\nLEVEL=3\n# App web, container proxy\nMODE=test\n", list()); diff != "" {
		t.Error(diff)
	}
	u.run("set env app/web MODE-", 0, "app.fleet.gatehouse.dev/web env updated")
	u.run("set env app/web LEVEL=4 --overwrite=false", 1, "LEVEL has a value, and --overwrite=false is set")
	u.stdout("FROM=stdin\n", "gatehouse", "set", "env", "web", "-c", "proxy", "-")
	u.stdout("", "gatehouse", "set", "env", "web", "-c", "proxy", "ESCAPE=\x1b[31m")
	if diff := cmp.Diff("# App web, container server\nLEVEL=3\n# App web, container proxy\nFROM=stdin\nESCAPE=\"\\x1b[31m\"\n", list()); diff != "" {
		t.Error(diff)
	}
	before := client.App(t, "web").Generation
	u.run("set env app/web --list ADDED=1", 0, "ADDED=1")
	if client.App(t, "web").Generation != before {
		t.Error("--list changed the app")
	}
}

func TestKubectlGatehouseTaintsAndDrainsHosts(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) {
		o.Controllers, o.SimulateHosts = manager.Selection{manager.AllControllers}, 2
	})
	client := harness.NewFleetClient(t, server.Config)
	u := newPluginUser(t, server.Kubeconfig)
	host := func(name string) *v1alpha1.Host {
		t.Helper()
		host, err := client.FleetV1alpha1().Hosts().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return host
	}
	client.WaitReady(t, "sim-1")
	client.WaitReady(t, "sim-2")
	u.run("taint host sim-1 gpu=reserved:NoSchedule", 0, "host.fleet.gatehouse.dev/sim-1 tainted")
	u.run("taint host sim-1 gpu=free:NoSchedule", 1, `host "sim-1" has the taint gpu=reserved:NoSchedule already: use --overwrite`)
	u.run("taint sim-1 gpu=free:NoSchedule --overwrite --dry-run=server", 0, "host.fleet.gatehouse.dev/sim-1 modified (server dry run)")
	// A new host may have a taint of the host lifecycle controller, too.
	if taints := host("sim-1").Spec.Taints; !slices.ContainsFunc(taints, func(t v1alpha1.Taint) bool { return t.Key == "gpu" && t.Value == "reserved" }) {
		t.Errorf("%+v", taints)
	}
	u.run("taint host/sim-1 gpu-", 0, "host.fleet.gatehouse.dev/sim-1 untainted")
	u.run("taint hosts --all old:NoExecute", 0, "host.fleet.gatehouse.dev/sim-1 tainted", "host.fleet.gatehouse.dev/sim-2 tainted")
	u.run("taint hosts --all old-", 0, "untainted")
	u.run("taint host nothing sim-1 a:NoSchedule", 1, `there is no host "nothing"`, "host.fleet.gatehouse.dev/sim-1 tainted")
	u.run("taint host sim-1 a-", 0)

	// After a drain the instances of the host run on the other host.
	u.run("cordon host sim-2", 0, "host.fleet.gatehouse.dev/sim-2 cordoned")
	u.run("create app web --image=web:1 --replicas=3", 0)
	u.run("rollout status app web", 0, "successfully rolled out")
	u.run("uncordon sim-2", 0)
	if said := u.run("drain sim-1", 0, "host.fleet.gatehouse.dev/sim-1 cordoned", "host.fleet.gatehouse.dev/sim-1 drained"); strings.Count(said, "deleted from the namespace default") != 3 {
		t.Errorf("drain prints\n%s", said)
	}
	u.run("rollout status web", 0, "successfully rolled out")
	instances, err := client.FleetV1alpha1().Instances("default").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.hostName=sim-2"})
	if err != nil || len(instances.Items) != 3 || !host("sim-1").Spec.Unschedulable {
		t.Errorf("%d instances on sim-2 (%v)", len(instances.Items), err)
	}

	// An instance without an owner that recreates it is kept, unless --force. No host is left for the
	// scheduler, which would otherwise bind the instance before the binding here.
	u.run("cordon host sim-2", 0, "host.fleet.gatehouse.dev/sim-2 cordoned")
	client.CreateInstance(t, "alone")
	client.MustBind(t, "alone", "sim-1")
	u.run("drain sim-1", 1, "already cordoned", `error: host "sim-1" is cordoned and not drained: no release replaces default/alone: delete these instances, or use --force`)
	u.run("drain sim-1 --force", 0, "instance.fleet.gatehouse.dev/alone deleted", "host.fleet.gatehouse.dev/sim-1 drained")
	u.run("drain nothing", 1, `there is no host "nothing"`)
}

// The agent of the host does not respond, so its instances never terminate.
func TestKubectlGatehouseDrainGivesUpAfterItsTimeout(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	u := newPluginUser(t, server.Kubeconfig)
	client.CreateHost(t, "edge-1")
	done := client.CreateInstance(t, "done")
	client.MustBind(t, "done", "edge-1")
	done, err := client.FleetV1alpha1().Instances("default").Get(t.Context(), done.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done.Status.Phase = v1alpha1.InstanceSucceeded
	if _, err := client.FleetV1alpha1().Instances("default").UpdateStatus(t.Context(), done, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	u.run("drain edge-1", 0, "instance.fleet.gatehouse.dev/done deleted", "host.fleet.gatehouse.dev/edge-1 drained") // it has ended: nothing is lost

	client.CreateInstance(t, "web-1")
	client.MustBind(t, "web-1", "edge-1")
	u.run("drain edge-1 --force --timeout=2s", 1, `error: host "edge-1" is cordoned and still had default/web-1 after 2s (--timeout): the deletions continue`)
	if instance, err := client.FleetV1alpha1().Instances("default").Get(t.Context(), "web-1", metav1.GetOptions{}); err != nil || instance.DeletionTimestamp == nil {
		t.Errorf("%+v (%v)", instance, err)
	}
}

// kubectl calls the plugin through kubectl_complete-gatehouse.
func TestKubectlCompletesThePlugin(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	u := newPluginUser(t, server.Kubeconfig)
	if _, err := os.Stat(filepath.Join(filepath.Dir(binary.Path(t)), "kubectl_complete-gatehouse")); err != nil {
		t.Fatalf("the plugin's completion is missing (%v): run `make build`", err)
	}
	client.CreateHost(t, "edge-1")
	client.CreateHost(t, "edge-2")
	harness.CreateNamespace(t, server, "shop")
	u.run("create app web --image=server:1 --image=proxy:1 --env=MODE=test", 0)
	u.run("create app api --image=api:1", 0)
	u.run("create app cart --image=cart:1 -n shop", 0)
	for _, tc := range []struct {
		line string
		want string
	}{
		{"rollout status app/", "app/api\napp/web\n:4\n"},
		{"rollout status apps/w", "apps/web\n:4\n"},
		{"rollout status deployment/", ":4\n"},
		{"rollout undo ", "api\nweb\n:4\n"},
		{"rollout undo app ", "api\nweb\n:4\n"},
		{"rollout undo web ", ":4\n"},
		{"tree -n shop ", "cart\n:4\n"},
		{"tree --namespace=s", "shop\n:4\n"},
		{"tree -n s", "shop\n:4\n"},
		{"cordon edge-1 ", "edge-2\n:4\n"},
		{"drain host/", "host/edge-1\nhost/edge-2\n:4\n"},
		{"taint host ", "edge-1\nedge-2\n:4\n"},
		{"set image app/web ", "server=\nproxy=\n:6\n"},
		{"set image app/web server=x ", "proxy=\n:6\n"},
		{"set image w", "web\n:4\n"},
		{"set env web ", "MODE-\nMODE=\n:6\n"},
		{"set env web -c ", "server\nproxy\n:4\n"},
		{"rollout st", "status\tWatch a rollout until it is done or has failed\n:4\n"},
		{"set image --dry", "--dry-run\t"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			u.t = t
			got := u.stdout("", append([]string{"__complete", "gatehouse"}, strings.Split(tc.line, " ")...)...)
			if got != tc.want && (!strings.HasSuffix(tc.want, "\t") || !strings.HasPrefix(got, tc.want)) {
				t.Errorf("offers\n%s\nnot\n%s", got, tc.want)
			}
		})
	}
}

// docs/kubectl-plugin.md states this about kubectl's flags.
func TestThePluginTakesKubectlsFlagsBehindItsName(t *testing.T) {
	server := servertesting.Start(t)
	u := newPluginUser(t, server.Kubeconfig)
	harness.CreateNamespace(t, server, "shop")
	for _, line := range []string{"-n shop gatehouse tree web", "--namespace=shop gatehouse tree web"} {
		out, err := exec.CommandContext(t.Context(), u.kubectl, strings.Fields(line)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "flags cannot be placed before plugin name") {
			t.Errorf("kubectl %s: %v\n%s", line, err, out)
		}
	}
	u.run("create app web --image=web:1 -n shop", 0)
	u.run("-n shop tree web", 0, "app/web")
	u.run("tree --namespace=shop web", 0, "app/web")

	const withoutThem = "--cache-dir --kuberc --log-flush-frequency --match-server-version --profile --profile-output"
	help := u.run("tree --help", 0)
	flags := regexp.MustCompile(`(?m)^ +(?:(-\w), )?(--[a-z-]+)`).FindAllStringSubmatch(u.stdout("", "options"), -1)
	if len(flags) < 20 {
		t.Fatalf("kubectl has only the flags %q", flags)
	}
	for _, flag := range flags {
		want := " " + flag[2] + " "
		if flag[1] != "" {
			want = " " + flag[1] + "," + want
		}
		without := strings.Contains(withoutThem+" ", flag[2]+" ")
		if strings.Contains(help, want) == without {
			t.Errorf("kubectl has the flag%s; the plugin does not have it: %v, as documented: %v", want, !strings.Contains(help, want), without)
		}
	}
}

// The table in README.md of kubectl commands and their equivalents here.
func TestWhatKubectlItselfDoesWithApps(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	u := newPluginUser(t, server.Kubeconfig)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "web-1")
	u.run("create app web --image=web:1", 0)
	const compiled, noNodes = `no kind "App" is registered`, `the server doesn't have a resource type "node`
	for _, tc := range []struct {
		line string
		says string
		ok   bool
	}{
		{"scale app web --replicas=5", "app.fleet.gatehouse.dev/web scaled", true},
		{"label app web tier=front", "labeled", true},
		{"annotate app web kubernetes.io/change-cause=test", "annotated", true},
		{"wait app/web --for=jsonpath={.spec.replicas}=5 --timeout=60s", "condition met", true},
		{"describe host edge-1", "Kind:         Host", true},
		{"set image app/web web=web:2", compiled, false},
		{"set env app/web A=1", compiled, false},
		{"set resources app/web --requests=cpu=1", compiled, false},
		{"rollout status app/web", compiled, false},
		{"rollout restart app/web", compiled, false},
		{"rollout undo app/web", compiled, false},
		{"expose app web --port=80", compiled, false},
		{"logs app/web", compiled, false},
		{"exec instance/web-1 -- ls", `no kind "Instance" is registered`, false},
		{"autoscale app web --max=3", "error:", false},
		{"top node", "Metrics API not available", false},
		{"cordon edge-1", noNodes, false},
		{"drain edge-1", noNodes, false},
		{"taint host edge-1 a=b:NoSchedule", "only node types are supported", false},
		{"create deployment web --image=web:1", "could not find the requested resource", false},
	} {
		t.Run(tc.line, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), u.kubectl, strings.Fields(tc.line)...)
			cmd.Env = append(os.Environ(), "KUBECONFIG="+u.kubeconfig)
			out, err := cmd.CombinedOutput()
			if (err == nil) != tc.ok || !strings.Contains(string(out), tc.says) {
				t.Errorf("kubectl %s: %v\n%s", tc.line, err, out)
			}
		})
	}
}
