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
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// patience bounds every wait. No wait takes seconds on an idle machine.
const patience = 2 * time.Minute

// Env is the environment of the scenes.
type Env struct {
	// Kubectl is the path of kubectl 1.37; see Find.
	Kubectl string
	// Kubeconfig is the path of a kubeconfig of a user that may do everything with the fleet
	// group, in all namespaces, and get the namespace.
	Kubeconfig string
	// Namespace is the namespace of instances. It must exist, with a service account "builder".
	Namespace string
	// Aggregated is true if a kube-apiserver proxies to the server: other groups are
	// served besides ours, discovery lags, and the cluster collects garbage.
	Aggregated bool
}

// Find returns the kubectl of the project: $GATEHOUSE_KUBECTL, or bin/kubectl in the
// nearest directory above the test's own that has one.
func Find(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("GATEHOUSE_KUBECTL"); path != "" {
		if !isFile(path) {
			t.Fatalf("GATEHOUSE_KUBECTL: there is no file %s; run `make build`", path)
		}
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if path := filepath.Join(dir, "bin", "kubectl"); isFile(path) && isFile(filepath.Join(dir, "go.mod")) {
			return path
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no bin/kubectl: run `make build`, or set GATEHOUSE_KUBECTL")
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Run runs every scene, some at the same time. Each has a random identifier, which is part of
// the names of its objects and the value of their label "tour", so that scenes do not share
// objects and each can run alone.
func Run(t *testing.T, env Env) {
	t.Helper()
	scenes := []struct {
		sentence string
		play     func(*scene)
	}{
		{"create makes objects, fills in defaults and names every fault", create},
		{"strict validation refuses fields that are unknown or doubled", strictValidation},
		{"a server-side dry run answers like the real thing and stores nothing", dryRun},

		{"get prints a table of each kind, and more columns with -o wide", getTables},
		{"get accepts short names, singular names, full names and the category fleet", getNames},
		{"get prints YAML, JSON, JSONPath, templates and custom columns", getFormats},
		{"describe prints everything of an object", describe},
		{"field selectors choose by every selectable field, and others are refused", fieldSelectors},
		{"label selectors choose, and labels make columns", labelSelectors},
		{"--chunk-size lists page by page", chunks},
		{"what does not exist is named in the answer", notFound},
		{"cluster-scoped and namespaced kinds are distinguished", scopes},

		{"get --watch prints a line for every change", watchTable},
		{"get -o yaml --watch prints a document for every change", watchYAML},
		{"a watch with a field selector receives objects that enter and leave the selection", watchSelector},

		{"patch takes JSON, merge and strategic merge patches", patch},
		{"a strategic merge patch finds list items by their keys", strategicMerge},
		{"label and annotate set, keep, overwrite and remove", labelAndAnnotate},
		{"replace requires the latest resourceVersion", replace},
		{"edit writes what the editor leaves, and shows it the server's objections", edit},
		{"the status subresource writes the status and nothing else", statusSubresource},

		{"apply creates, changes and takes back what it applied", apply},
		{"apply of an immutable field is refused with its path", applyImmutable},
		{"server-side apply refuses a conflict of two managers until it is forced", serverSideApply},
		{"diff shows what apply would change", diff},

		{"a Binding binds an instance once", binding},
		{"delete takes names, selectors and files", deleteObjects},
		{"a bound instance is Terminating until its agent's last delete", gracefulDelete},
		{"delete with foreground, orphan and background propagation", propagation},

		{"wait --for=condition ends when the status has the condition", waitCondition},
		{"wait --for=jsonpath ends when the value is there", waitJSONPath},
		{"wait --for=delete ends when the object is gone", waitDelete},

		{"api-resources and api-versions list the group", apiResources},
		{"explain teaches every field", explain},
		{"readyz lists its checks", readyz},
		{"version reports no skew", version},
	}
	home := t.TempDir()
	awaitGroup(newScene(t, env, home))
	t.Run("kubectl", func(t *testing.T) { // ends when all of them have
		for _, s := range scenes {
			t.Run(s.sentence, func(t *testing.T) {
				t.Parallel()
				s.play(newScene(t, env, home))
			})
		}
	})
}

// CheckVersion runs only the scene of kubectl version, on a server that make has built.
func CheckVersion(t *testing.T, env Env) {
	t.Helper()
	noSkew(newScene(t, env, t.TempDir()))
}

// awaitGroup waits until the group is in discovery and in OpenAPI: kube-apiserver fetches both
// from the servers behind it, some time after they are ready.
func awaitGroup(s *scene) {
	s.Helper()
	kit.EventuallyState(s, "the fleet group is served", func(context.Context) (bool, string) {
		for _, line := range []string{
			"explain hosts.spec --api-version=fleet.gatehouse.dev/v1alpha1",
			"explain instances.spec --api-version=fleet.gatehouse.dev/v1alpha1",
			"get hosts,hostleases,instances.fleet.gatehouse.dev -l tour=$ID",
		} {
			if last := s.kubectl(line); last.code != 0 {
				return false, last.String()
			}
		}
		return true, ""
	})
}

// scene is one test with its own kubectl and identifier.
type scene struct {
	*testing.T
	env Env
	// home is kubectl's home directory, with its discovery cache; dir is for the files of this
	// scene.
	home, dir string
	id        string
	// expand fills in $ID, $NS and $API; see command.
	expand *strings.Replacer
}

// newScene prepares a scene, and deletes its objects afterwards.
func newScene(t *testing.T, env Env, home string) *scene {
	// A letter first: a label of digits alone would be a number in YAML.
	id := "t" + utilrand.String(6)
	s := &scene{
		T: t, env: env, home: home, dir: t.TempDir(), id: id,
		expand: strings.NewReplacer(
			"$ID", id,
			"$NS", env.Namespace,
			"$API", "/apis/fleet.gatehouse.dev/v1alpha1",
		),
	}
	t.Cleanup(func() {
		// s.kubectl cannot be used, because the test's context has ended.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		command := s.command(ctx, "delete instances.fleet.gatehouse.dev,hosts,hostleases -l tour=$ID --grace-period=0 --force --ignore-not-found")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("cleaning up: %v\n%s", err, out)
		}
	})
	return s
}
