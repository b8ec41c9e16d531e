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
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// Placeholders in rows for values that only the running server provides.
const (
	seedVersion = "$SEED_RESOURCE_VERSION"
	seedUID     = "$SEED_UID"
)

// wrongTables returns all rows by topic.
func wrongTables() map[string][]harness.WrongRequest {
	return map[string][]harness.WrongRequest{
		"what is no request":          malformedRequests(),
		"a wrong list or watch":       wrongReads(),
		"a wrong patch":               wrongPatches(),
		"a wrong apply":               wrongApplies(),
		"a wrong delete":              wrongDeletes(),
		"what the library answers":    libraryFaults(),
		"a wrong update":              wrongUpdates(),
		"wrong metadata":              wrongMetadata(),
		"a wrong instance":            wrongInstances(),
		"a wrong container":           wrongContainers(),
		"an immutable field":          immutableFields(),
		"a wrong status of instances": wrongInstanceStatuses(),
		"a wrong host":                wrongHosts(),
		"a wrong status of hosts":     wrongHostStatuses(),
		"a wrong host lease":          wrongHostLeases(),
		"a wrong binding":             wrongBindings(),
		"a wrong app":                 wrongApps(),
		"a wrong status of apps":      wrongAppStatuses(),
		"a wrong release":             wrongReleases(),
		"a wrong scale":               wrongScales(),
		"a wrong rollback":            wrongRollbacks(),
	}
}

func TestWrongRequestsAreRefusedWithTheExactCodeReasonAndFields(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	harness.CreateAccount(t, server, "default", "web")
	seedForWrongRequests(t, client)
	before := client.Everything(t)
	seed := before["Instance/seed"]

	rows := 0
	seen := map[string]bool{}
	for topic, table := range wrongTables() {
		t.Run(topic, func(t *testing.T) {
			for _, row := range table {
				rows++
				if seen[row.Name] {
					t.Errorf("two rows are called %q", row.Name)
				}
				seen[row.Name] = true
				t.Run(row.Name, func(t *testing.T) {
					known := strings.NewReplacer(seedVersion, seed.ResourceVersion, seedUID, string(seed.UID))
					row.Body, row.Message = known.Replace(row.Body), known.Replace(row.Message)
					row.Check(t, client)
				})
			}
		})
	}
	t.Logf("%d wrong requests", rows)
	if rows < 70 {
		t.Errorf("the tables have %d rows, and must have 70 at least", rows)
	}

	after := client.Everything(t)
	for name, object := range after {
		if old, ok := before[name]; !ok {
			t.Errorf("a wrong request created %s", name)
		} else if old.ResourceVersion != object.ResourceVersion {
			t.Errorf("a wrong request changed %s", name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("a wrong request deleted %s", name)
		}
	}
}

// Input that a kube-apiserver accepts for pods and nodes is accepted here, too, and does no harm.
func TestWhatKubernetesForgivesIsForgiven(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	harness.CreateAccount(t, server, "default", "web")
	seedForWrongRequests(t, client)
	before := client.Everything(t)
	for _, row := range []struct {
		name, method, path, contentType, body string
		code                                  int
		// field is a path into the response, and value is the expected value there.
		field []string
		value any
	}{
		{"A negative limit is no limit", http.MethodGet, harness.InstancesPath + "?limit=-1", "", "", http.StatusOK, []string{"metadata", "continue"}, nil},
		{"A time of creation is not changed by an update", http.MethodPatch, harness.InstancesPath + "/seed", harness.MergePatch, `{"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"}}`,
			http.StatusOK, []string{"metadata", "creationTimestamp"}, before["Instance/seed"].CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")},
		{"A generation is not changed by an update", http.MethodPatch, harness.InstancesPath + "/seed", harness.MergePatch, `{"metadata":{"generation":99}}`, http.StatusOK, []string{"metadata", "generation"}, 1.0},
		{"A status in an update is left out", http.MethodPatch, harness.InstancesPath + "/seed", harness.MergePatch, `{"status":{"phase":"Running"}}`, http.StatusOK, []string{"status", "phase"}, "Pending"},
		{"A spec in an update of the status is left out", http.MethodPatch, harness.InstancesPath + "/seed/status", harness.MergePatch, `{"spec":{"restartPolicy":"Never"}}`, http.StatusOK, []string{"spec", "restartPolicy"}, "Always"},
		{"A namespace in a cluster-scoped object is dropped", http.MethodPost, harness.HostsPath + "?dryRun=All", harness.JSONBody, strings.Replace(harness.GoodHost, `"wrong"`, `"wrong","namespace":"default"`, 1), http.StatusCreated, []string{"metadata", "namespace"}, nil},
		{"A uid and a generation in a create are dropped", http.MethodPost, harness.HostsPath + "?dryRun=All", harness.JSONBody, strings.Replace(harness.GoodHost, `"wrong"`, `"wrong","generation":9,"uid":"mine"`, 1), http.StatusCreated, []string{"metadata", "generation"}, 1.0},
		{"An unknown field is left out unless the caller is strict", http.MethodPost, harness.HostsPath + "?dryRun=All", harness.JSONBody, strings.Replace(harness.GoodHost, `}}`, `},"specs":{}}`, 1), http.StatusCreated, []string{"specs"}, nil},
		{"A slash in a key of a JSON pointer is written as ~1", http.MethodPatch, harness.InstancesPath + "/seed?dryRun=All", harness.JSONPatch, `[{"op":"add","path":"/metadata/annotations","value":{}},{"op":"add","path":"/metadata/annotations/a.example.com~1b","value":"x"}]`,
			http.StatusOK, []string{"metadata", "annotations", "a.example.com/b"}, "x"},
		{"A body without a kind has the kind of its path", http.MethodPost, harness.HostsPath + "?dryRun=All", harness.JSONBody, `{"metadata":{"name":"wrong"}}`, http.StatusCreated, []string{"kind"}, "Host"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := client.Do(t, row.method, row.path, row.contentType, "", row.body)
			if answer.Code != row.code {
				t.Fatalf("answered with code %d, not %d: %s", answer.Code, row.code, answer.Body)
			}
			var object map[string]any
			answer.Into(t, &object)
			if value, _, err := unstructured.NestedFieldNoCopy(object, row.field...); err != nil || value != row.value {
				t.Errorf("%s is %v (%v), not %v", strings.Join(row.field, "."), value, err, row.value)
			}
		})
	}
	for name, object := range client.Everything(t) {
		if object.ResourceVersion != before[name].ResourceVersion {
			t.Errorf("%s was created or changed", name)
		}
	}
}

// seedForWrongRequests stores the objects that invalid requests refer to.
func seedForWrongRequests(t *testing.T, client harness.RawClient) {
	t.Helper()
	for _, seed := range []struct{ method, path, contentType, body string }{
		{http.MethodPost, harness.HostsPath, harness.JSONBody, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"edge-1"}}`},
		{http.MethodPost, harness.LeasesPath, harness.JSONBody, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"edge-1"}}`},
		{http.MethodPost, harness.InstancesPath, harness.JSONBody, seedInstance},
		{http.MethodPost, harness.InstancesPath, harness.JSONBody, strings.Replace(seedInstance, `"seed"`, `"bound"`, 1)},
		{http.MethodPost, harness.InstancesPath + "/bound/binding", harness.JSONBody, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","target":{"name":"edge-1"}}`},
		{http.MethodPost, harness.AppsPath, harness.JSONBody, anApp("seed", `"minReadySeconds":5`)},
		{http.MethodPost, harness.ReleasesPath, harness.JSONBody, aRelease("seed", `"replicas":2`)},
		// Fields of other managers, for conflicts of server-side apply.
		{http.MethodPatch, harness.InstancesPath + "/applied?fieldManager=one", harness.ApplyPatch, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"},"spec":{"containers":[{"name":"web","image":"web:1"}]}}`},
	} {
		if answer := client.Do(t, seed.method, seed.path, seed.contentType, "", seed.body); answer.Code != http.StatusCreated {
			t.Fatalf("%s %s: %d %s", seed.method, seed.path, answer.Code, answer.Body)
		}
	}
}
