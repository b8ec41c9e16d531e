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

package requests

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

func TestAScaleOwnsTheNumberOfReplicas(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	for _, row := range []struct{ name, path, body string }{
		{"of an app", harness.AppsPath + "/web", anApp("web", `"replicas":1`)},
		{"of a release", harness.ReleasesPath + "/web", aRelease("web", `"replicas":1`)},
	} {
		t.Run(row.name, func(t *testing.T) {
			apply := func() harness.RawAnswer {
				return client.Do(t, http.MethodPatch, row.path+"?fieldManager=a", harness.ApplyPatch, "", row.body)
			}
			scale := func(query string, replicas int) {
				t.Helper()
				if answer := client.Do(t, http.MethodPatch, row.path+"/scale?fieldManager=autoscaler"+query, harness.MergePatch, "", fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)); answer.Code != http.StatusOK {
					t.Fatalf("%s", answer.Body)
				}
			}
			// expect compares the number of replicas, and whether the scale owns it.
			expect := func(what string, replicas int32, owned bool) {
				t.Helper()
				var object v1alpha1.Release // an App has the same metadata and replicas
				client.Do(t, http.MethodGet, row.path, "", "", "").Into(t, &object)
				owns := false
				for _, entry := range object.ManagedFields {
					owns = owns || entry.Manager == "autoscaler" && entry.Subresource == "scale" && entry.FieldsV1.GetRawString() == `{"f:spec":{"f:replicas":{}}}`
				}
				if *object.Spec.Replicas != replicas || owns != owned {
					t.Errorf("%s: %d replicas, and the scale owns them: %t, want %d and %t: %+v", what, *object.Spec.Replicas, owns, replicas, owned, object.ManagedFields)
				}
			}
			if answer := apply(); answer.Code != http.StatusCreated {
				t.Fatalf("%s", answer.Body)
			}
			scale("&dryRun=All", 9)
			expect("after a dry run", 1, false)
			scale("", 2)
			expect("after a scale", 2, true)
			if answer := apply(); answer.Code != http.StatusConflict || !strings.Contains(answer.Status.Message, `conflict with "autoscaler" with subresource "scale"`) {
				t.Errorf("an apply of another number is answered with %d: %s", answer.Code, answer.Body)
			}
			expect("after the conflict", 2, true)
		})
	}
}

// A field that kubectl applied client-side and that the file no longer has must not stay because the
// earlier manager still owns it.
func TestAServerSideApplyTakesOverFromAClientSideOne(t *testing.T) {
	server := servertesting.Start(t)
	program := kubectl.Find(t)
	run := func(input string, args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, append([]string{"--kubeconfig", server.Kubeconfig}, args...)...)
		command.Stdin = strings.NewReader(input)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, output)
		}
		return string(output)
	}
	manifest := func(port int, more string) string {
		return strings.Replace(anApp("web", `"replicas":0`+more), `"image":"web:1"}`, fmt.Sprintf(`"image":"web:1","ports":[{"containerPort":%d}]}`, port), 1)
	}
	before := manifest(80, `,"minReadySeconds":3`)
	run(before, "apply", "-f", "-")
	run(before, "apply", "--server-side", "-f", "-")
	run(manifest(8080, ""), "apply", "--server-side", "-f", "-")
	got := run("", "get", "app", "web", "-o", `jsonpath={.spec.minReadySeconds} {.spec.template.spec.containers[*].ports[*].containerPort}`)
	if got != " 8080" {
		t.Errorf("minReadySeconds and ports are %q, want none and 8080", got)
	}
}
