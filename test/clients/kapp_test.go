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
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kappConfig is the part of a kapp Config that defines when an object is deployed.
type kappConfig struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	WaitRules  []struct {
		SupportsObservedGeneration bool `json:"supportsObservedGeneration"`
		ConditionMatchers          []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Failure bool   `json:"failure"`
			Success bool   `json:"success"`
		} `json:"conditionMatchers"`
		ResourceMatchers []kappMatcher `json:"resourceMatchers"`
	} `json:"waitRules"`
	RebaseRules []struct {
		Path             []string      `json:"path"`
		Type             string        `json:"type"`
		Sources          []string      `json:"sources"`
		ResourceMatchers []kappMatcher `json:"resourceMatchers"`
	} `json:"rebaseRules"`
}

type kappMatcher struct {
	APIVersionKind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	} `json:"apiVersionKindMatcher"`
}

// kappSays applies the rules of the file as kapp's documentation of custom waiting describes them:
// the first matching rule counts; the generation must be observed; conditions of failure
// are checked before those of success.
func kappSays(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(artifacts, "kapp-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config kappConfig
	if err := yaml.UnmarshalStrict(content, &config); err != nil {
		t.Fatal(err)
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	holds := func(kind, status string) bool {
		return slices.ContainsFunc(conditions, func(condition any) bool {
			c, _ := condition.(map[string]any)
			return c["type"] == kind && c["status"] == status
		})
	}
	for _, rule := range config.WaitRules {
		if !slices.ContainsFunc(rule.ResourceMatchers, func(m kappMatcher) bool {
			return m.APIVersionKind.APIVersion == object.GetAPIVersion() && m.APIVersionKind.Kind == object.GetKind()
		}) {
			continue
		}
		observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		if rule.SupportsObservedGeneration && observed != object.GetGeneration() {
			return "waiting"
		}
		for _, matcher := range rule.ConditionMatchers {
			if matcher.Failure && holds(matcher.Type, matcher.Status) {
				return "failed"
			}
		}
		for _, matcher := range rule.ConditionMatchers {
			if matcher.Success && holds(matcher.Type, matcher.Status) {
				return "deployed"
			}
		}
		return "waiting"
	}
	return "deployed" // as kapp does with an unknown kind
}

func TestKappWaitsForTheConditionsOfEveryKind(t *testing.T) {
	for name, c := range map[string]struct{ kind, status, want string }{
		"an App without a status":              {"App", "{}", "waiting"},
		"an App that has not been seen":        {"App", `{observedGeneration: 1, conditions: [{type: Ready, status: "True"}]}`, "waiting"},
		"an App that is ready":                 {"App", `{observedGeneration: 2, conditions: [{type: Ready, status: "True"}, {type: Stalled, status: "False"}]}`, "deployed"},
		"an App that is not ready":             {"App", `{observedGeneration: 2, conditions: [{type: Ready, status: "False"}]}`, "waiting"},
		"an App that is stalled, though ready": {"App", `{observedGeneration: 2, conditions: [{type: Ready, status: "True"}, {type: Stalled, status: "True"}]}`, "failed"},
		"a Release that is ready":              {"Release", `{observedGeneration: 2, conditions: [{type: Ready, status: "True"}]}`, "deployed"},
		"an Instance that is ready":            {"Instance", `{conditions: [{type: Ready, status: "True"}]}`, "deployed"},
		"an Instance that has failed":          {"Instance", `{conditions: [{type: Ready, status: "False"}, {type: Stalled, status: "True"}]}`, "failed"},
		"a Host that has not reported":         {"Host", `{conditions: [{type: Ready, status: Unknown}]}`, "waiting"},
		"a Host that is ready":                 {"Host", `{conditions: [{type: Ready, status: "True"}]}`, "deployed"},
	} {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			text := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: x, generation: 2}\nstatus: %s", fleet, c.kind, c.status)
			if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
				t.Fatal(err)
			}
			// Decoded as by a client: integers are int64.
			object.SetGeneration(2)
			if observed, ok, _ := unstructured.NestedFieldNoCopy(object.Object, "status", "observedGeneration"); ok {
				if err := unstructured.SetNestedField(object.Object, int64(observed.(float64)), "status", "observedGeneration"); err != nil {
					t.Fatal(err)
				}
			}
			if got := kappSays(t, object); got != c.want {
				t.Errorf("kapp says %s, want %s", got, c.want)
			}
		})
	}
}

// kapp is not available as a Go module or from a distribution, so the test runs only if it is installed.
func TestKappDeploysAndReportsWhatIsStalled(t *testing.T) {
	kapp := os.Getenv("GATEHOUSE_KAPP")
	if kapp == "" {
		t.Skip("kapp is in no distribution and its Go module cannot be built from: install it from https://carvel.dev/kapp and set GATEHOUSE_KAPP to its path")
	}
	s := start(t)
	namespace := s.namespace(t)
	config, err := filepath.Abs(filepath.Join(artifacts, "kapp-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	deploy := func(o appOptions) (string, error) {
		file := filepath.Join(t.TempDir(), "app.yaml")
		if err := os.WriteFile(file, []byte(o.yaml(namespace)), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := run(t, s, "", kapp, "deploy", "--yes", "-a", o.name, "-n", namespace, "-f", file, "-f", config,
			"--wait-timeout", "90s", "--dangerous-allow-empty-list-of-resources")
		return out, err
	}
	if out, err := deploy(appOptions{name: "good", replicas: 2}); err != nil {
		t.Errorf("a healthy App: %v\n%s", err, out)
	}
	if out, err := deploy(appOptions{name: "none", replicas: 0}); err != nil {
		t.Errorf("an App scaled to zero: %v\n%s", err, out)
	}
	out, err := deploy(appOptions{name: "broken", replicas: 1, image: "web:bad", deadline: 5})
	if err == nil || !strings.Contains(out+err.Error(), "Stalled") {
		t.Errorf("an App with a broken image: %v\n%s", err, out)
	}
}
