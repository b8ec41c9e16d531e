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

package app

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestContainersAreNamedAfterTheirImages(t *testing.T) {
	for image, want := range map[string]string{
		"web":                             "web",
		"web:1.0":                         "web",
		"registry.example.com:5000/a/web": "web",
		"registry.example.com/web@sha256:0123456789abcdef": "web",
		"registry.example.com/web:1.0@sha256:0123456789":   "web",
		"registry.example.com/web_api.v2":                  "web-api-v2",
		"Web":                                              "web",
		"registry.example.com/_":                           "app",
		"registry.example.com/taken:2":                     "taken-2",
		strings.Repeat("a", 70):                            strings.Repeat("a", 60),
	} {
		if got := containerName(image, []v1alpha1.Container{{Name: "taken"}}); got != want {
			t.Errorf("%s makes %q, not %q", image, got, want)
		}
	}
}

func twoContainers() *v1alpha1.App {
	app := newApp(v1alpha1.AppStatus{})
	app.Spec.Template.Spec.Containers = []v1alpha1.Container{
		{Name: "server", Image: "web:1", Env: []v1alpha1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}},
		{Name: "proxy", Image: "proxy:1", Ports: []v1alpha1.ContainerPort{{ContainerPort: 53, Protocol: "TCP"}, {ContainerPort: 53, Protocol: "UDP"}}},
	}
	return app
}

// patched returns the UID and the containers in a patch of an App.
func patched(t *testing.T, patch []byte) (uid any, containers string) {
	t.Helper()
	var sent struct {
		Metadata map[string]any
		Spec     struct {
			Template struct {
				Spec struct{ Containers json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(patch, &sent); err != nil {
		t.Fatal(err)
	}
	return sent.Metadata["uid"], string(sent.Spec.Template.Spec.Containers)
}

func TestAChangeSendsOnlyWhatDiffers(t *testing.T) {
	env := func(set, removed string, change ...func(*setEnvCommand)) func(*v1alpha1.App) error {
		return func(app *v1alpha1.App) error {
			c := &setEnvCommand{containers: "*", overwrite: true}
			for _, f := range change {
				f(c)
			}
			variables, gone, err := parseEnv(append(strings.Fields(set), strings.Fields(removed)...))
			if err != nil {
				return err
			}
			return c.change(app, variables, gone)
		}
	}
	images := func(pairs string) func(*v1alpha1.App) error {
		return func(app *v1alpha1.App) error {
			parsed, err := parseImages(strings.Fields(pairs))
			if err != nil {
				return err
			}
			return setImages(app, parsed)
		}
	}
	server := func(c *setEnvCommand) { c.containers = "serv*" }
	for _, tc := range []struct {
		name   string
		change func(*v1alpha1.App) error
		want   string // the containers of the patch; empty if there is no patch
		err    string
	}{
		{"an image", images("server=web:2"), `[{"image":"web:2","name":"server"}]`, ""},
		{"two images", images("proxy=proxy:2 server=web:2"), `[{"image":"web:2","name":"server"},{"image":"proxy:2","name":"proxy"}]`, ""},
		{"the image of all containers", images("*=x"), `[{"image":"x","name":"server"},{"image":"x","name":"proxy"}]`, ""},
		{"the image that is there", images("server=web:1"), "", ""},
		{"an image of a container that is missing", images("server=web:2 cache=x"), "", `app "web" has no container "cache": its containers are server, proxy`},
		{"a variable of one container", env("A=3", "", server), `[{"$setElementOrder/env":[{"name":"A"},{"name":"B"}],"env":[{"name":"A","value":"3"}],"name":"server"}]`, ""},
		{"a variable that is removed", env("", "A-"), `[{"$setElementOrder/env":[{"name":"B"}],"env":[{"$patch":"delete","name":"A"}],"name":"server"}]`, ""},
		{"a variable that is not there is removed", env("", "Z-"), "", ""},
		{"a value that is overwritten", env("A=3", "", func(c *setEnvCommand) { c.overwrite = false }), "", `app "web", container "server": A has a value, and --overwrite=false is set`},
		{"the same value is no overwriting", env("A=1", "", server, func(c *setEnvCommand) { c.overwrite = false }), "", ""},
		{"variables of a container that is missing", env("A=3", "", func(c *setEnvCommand) { c.containers = "c*" }), "", `app "web" has no container "c*"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, after := twoContainers(), twoContainers()
			err := tc.change(after)
			if said := errorText(err); !strings.Contains(said, tc.err) || tc.err == "" && err != nil {
				t.Fatalf("got %q, want %q", said, tc.err)
			}
			if tc.err != "" {
				return
			}
			patch, err := differenceOf(before, after)
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == "" {
				if patch != nil {
					t.Errorf("sends %s", patch)
				}
				return
			}
			uid, containers := patched(t, patch)
			if diff := cmp.Diff(tc.want, containers); diff != "" || uid != "app" {
				t.Errorf("%s\n%s", patch, diff)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestResourcesThatAreNotNamedKeepTheirValues(t *testing.T) {
	changes, err := parseResources("--requests", "cpu=500m,example.com/gpu=1")
	if err != nil {
		t.Fatal(err)
	}
	got := overlaid(v1alpha1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("1Gi")}, changes)
	want := v1alpha1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("1Gi"), "example.com/gpu": resource.MustParse("1")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if overlaid(nil, nil) != nil {
		t.Error("no change creates a list")
	}
}

func TestVariablesOnStandardInputTakeThePlaceOfTheDash(t *testing.T) {
	got, err := withStdin([]string{"A=1", "-", "D-"}, strings.NewReader("B=2\n# X=1\n\nno pair\n C=3 4 # kept\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=1", "B=2", "C=3 4 # kept", "D-"}, got); diff != "" {
		t.Error(diff)
	}
	if got, err := withStdin([]string{"A=1"}, nil); err != nil || len(got) != 1 {
		t.Errorf("%q (%v)", got, err)
	}
	if _, err := withStdin([]string{"-"}, strings.NewReader("A="+strings.Repeat("x", 1<<21))); err == nil {
		t.Error("a line without an end is accepted")
	}
}

func TestAListedValueNeverSteersTheTerminal(t *testing.T) {
	for value, want := range map[string]string{
		"plain value": "plain value", "größe": "größe", "": "", "two\nlines": `"two\nlines"`, "\x1b[31mred": `"\x1b[31mred"`, "\u009b31m": `"\u009b31m"`,
	} {
		if got := onOneLine(value); got != want {
			t.Errorf("%q is printed as %s, not %s", value, got, want)
		}
	}
}

func TestTaintsChange(t *testing.T) {
	for _, tc := range []struct {
		name      string
		before    string
		specs     string
		overwrite bool
		want      string
		what      string
		err       string
	}{
		{"one is added", "", "a=b:NoSchedule", false, "a=b:NoSchedule", "tainted", ""},
		{"one without a value is added behind another", "x:NoExecute", "a:NoSchedule", false, "x:NoExecute a:NoSchedule", "tainted", ""},
		{"the same key with another effect is another taint", "a=b:NoExecute", "a=b:NoSchedule", false, "a=b:NoExecute a=b:NoSchedule", "tainted", ""},
		{"the one that is there", "a=b:NoSchedule", "a=b:NoSchedule", false, "a=b:NoSchedule", "unchanged", ""},
		{"another value is refused", "a=b:NoSchedule", "a=c:NoSchedule", false, "", "", `host "edge-1" has the taint a=b:NoSchedule already: use --overwrite`},
		{"another value with --overwrite", "a=b:NoSchedule", "a=c:NoSchedule", true, "a=c:NoSchedule", "modified", ""},
		{"--overwrite without anything to replace", "", "a=c:NoSchedule", true, "a=c:NoSchedule", "tainted", ""},
		{"one effect is removed", "a=b:NoSchedule a=b:NoExecute", "a:NoSchedule-", false, "a=b:NoExecute", "untainted", ""},
		{"all effects are removed", "a=b:NoSchedule a=b:NoExecute c:NoExecute", "a-", false, "c:NoExecute", "untainted", ""},
		{"what is removed may carry its value", "a=b:NoSchedule", "a=b:NoSchedule-", false, "", "untainted", ""},
		{"one is removed and another added", "a=b:NoSchedule", "a- c:NoExecute", false, "c:NoExecute", "modified", ""},
		{"what is not there is not removed", "a=b:NoSchedule", "a:NoExecute-", false, "", "", `host "edge-1" has no taint a:NoExecute: its taints are a=b:NoSchedule`},
		{"nothing is removed from nothing", "", "a-", false, "", "", "its taints are none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host := &v1alpha1.Host{}
			host.Name = "edge-1"
			if tc.before != "" {
				host.Spec.Taints, _, _ = parseTaints(strings.Fields(tc.before))
			}
			added, removed, err := parseTaints(strings.Fields(tc.specs))
			if err != nil {
				t.Fatal(err)
			}
			before := writtenAll(host.Spec.Taints)
			taints, what, err := changeTaints(host, added, removed, tc.overwrite)
			if said := errorText(err); !strings.Contains(said, tc.err) || tc.err == "" && err != nil {
				t.Fatalf("got %q, want %q", said, tc.err)
			}
			var texts []string
			for _, taint := range taints {
				texts = append(texts, written(taint))
			}
			if got := strings.Join(texts, " "); got != tc.want || what != tc.what {
				t.Errorf("%s, with %q and not %q", what, got, tc.want)
			}
			if after := writtenAll(host.Spec.Taints); after != before {
				t.Errorf("the host that was read was changed: %s", after)
			}
		})
	}
}
