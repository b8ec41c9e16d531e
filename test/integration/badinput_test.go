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

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
)

// Paths of the fleet group. Tests of invalid input send raw HTTP, because a client library
// would refuse to send most of it.
const (
	fleetPath     = "/apis/fleet.gatehouse.dev/v1alpha1"
	instancesPath = fleetPath + "/namespaces/default/instances"
	hostsPath     = fleetPath + "/hosts"
	leasesPath    = fleetPath + "/hostleases"
	appsPath      = fleetPath + "/namespaces/default/apps"
	releasesPath  = fleetPath + "/namespaces/default/releases"
)

// Media types of bodies.
const (
	jsonBody       = "application/json"
	yamlBody       = "application/yaml"
	protobufBody   = "application/vnd.kubernetes.protobuf"
	jsonPatch      = "application/json-patch+json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

// wrongRequest is a request that must be refused, and what the refusal must contain. A name is a
// sentence about the server.
type wrongRequest struct {
	name string
	// method is POST if empty. The media type of a body is JSON if empty, or merge patch for PATCH.
	method, path, contentType, accept, body string

	code   int
	reason metav1.StatusReason
	// fields are the field paths of all causes, in alphabetical order, each as often as the
	// response contains it: a repeated cause is an error, too.
	fields []string
	// message is a part of the Status message, or of the body if that is no Status.
	message string
}

// Placeholders in rows for values that only the running server provides.
const (
	seedVersion = "$SEED_RESOURCE_VERSION"
	seedUID     = "$SEED_UID"
)

// wrongTables returns all rows by topic.
func wrongTables() map[string][]wrongRequest {
	return map[string][]wrongRequest{
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
	client := newRawClient(t, server.Config)
	createAccount(t, server, "default", "web")
	seedForWrongRequests(t, client)
	before := client.everything(t)
	seed := before["Instance/seed"]

	rows := 0
	seen := map[string]bool{}
	for topic, table := range wrongTables() {
		t.Run(topic, func(t *testing.T) {
			for _, row := range table {
				rows++
				if seen[row.name] {
					t.Errorf("two rows are called %q", row.name)
				}
				seen[row.name] = true
				t.Run(row.name, func(t *testing.T) {
					known := strings.NewReplacer(seedVersion, seed.ResourceVersion, seedUID, string(seed.UID))
					row.body, row.message = known.Replace(row.body), known.Replace(row.message)
					row.check(t, client)
				})
			}
		})
	}
	t.Logf("%d wrong requests", rows)
	if rows < 70 {
		t.Errorf("the tables have %d rows, and must have 70 at least", rows)
	}

	after := client.everything(t)
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
	client := newRawClient(t, server.Config)
	createAccount(t, server, "default", "web")
	seedForWrongRequests(t, client)
	before := client.everything(t)
	for _, row := range []struct {
		name, method, path, contentType, body string
		code                                  int
		// field is a path into the response, and value is the expected value there.
		field []string
		value any
	}{
		{"A negative limit is no limit", http.MethodGet, instancesPath + "?limit=-1", "", "", http.StatusOK, []string{"metadata", "continue"}, nil},
		{"A time of creation is not changed by an update", http.MethodPatch, instancesPath + "/seed", mergePatch, `{"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"}}`,
			http.StatusOK, []string{"metadata", "creationTimestamp"}, before["Instance/seed"].CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")},
		{"A generation is not changed by an update", http.MethodPatch, instancesPath + "/seed", mergePatch, `{"metadata":{"generation":99}}`, http.StatusOK, []string{"metadata", "generation"}, 1.0},
		{"A status in an update is left out", http.MethodPatch, instancesPath + "/seed", mergePatch, `{"status":{"phase":"Running"}}`, http.StatusOK, []string{"status", "phase"}, "Pending"},
		{"A spec in an update of the status is left out", http.MethodPatch, instancesPath + "/seed/status", mergePatch, `{"spec":{"restartPolicy":"Never"}}`, http.StatusOK, []string{"spec", "restartPolicy"}, "Always"},
		{"A namespace in a cluster-scoped object is dropped", http.MethodPost, hostsPath + "?dryRun=All", jsonBody, strings.Replace(goodHost, `"wrong"`, `"wrong","namespace":"default"`, 1), http.StatusCreated, []string{"metadata", "namespace"}, nil},
		{"A uid and a generation in a create are dropped", http.MethodPost, hostsPath + "?dryRun=All", jsonBody, strings.Replace(goodHost, `"wrong"`, `"wrong","generation":9,"uid":"mine"`, 1), http.StatusCreated, []string{"metadata", "generation"}, 1.0},
		{"An unknown field is left out unless the caller is strict", http.MethodPost, hostsPath + "?dryRun=All", jsonBody, strings.Replace(goodHost, `}}`, `},"specs":{}}`, 1), http.StatusCreated, []string{"specs"}, nil},
		{"A slash in a key of a JSON pointer is written as ~1", http.MethodPatch, instancesPath + "/seed?dryRun=All", jsonPatch, `[{"op":"add","path":"/metadata/annotations","value":{}},{"op":"add","path":"/metadata/annotations/a.example.com~1b","value":"x"}]`,
			http.StatusOK, []string{"metadata", "annotations", "a.example.com/b"}, "x"},
		{"A body without a kind has the kind of its path", http.MethodPost, hostsPath + "?dryRun=All", jsonBody, `{"metadata":{"name":"wrong"}}`, http.StatusCreated, []string{"kind"}, "Host"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := client.do(t, row.method, row.path, row.contentType, "", row.body)
			if answer.code != row.code {
				t.Fatalf("answered with code %d, not %d: %s", answer.code, row.code, answer.body)
			}
			var object map[string]any
			answer.into(t, &object)
			if value, _, err := unstructured.NestedFieldNoCopy(object, row.field...); err != nil || value != row.value {
				t.Errorf("%s is %v (%v), not %v", strings.Join(row.field, "."), value, err, row.value)
			}
		})
	}
	for name, object := range client.everything(t) {
		if object.ResourceVersion != before[name].ResourceVersion {
			t.Errorf("%s was created or changed", name)
		}
	}
}

func (row wrongRequest) check(t *testing.T, client rawClient) {
	t.Helper()
	if row.method == "" {
		row.method = http.MethodPost
	}
	if row.contentType == "" && row.body != "" {
		row.contentType = jsonBody
		if row.method == http.MethodPatch {
			row.contentType = mergePatch
		}
	}
	answer := client.do(t, row.method, row.path, row.contentType, row.accept, row.body)
	if answer.code != row.code {
		t.Errorf("answered with code %d, not %d: %s", answer.code, row.code, answer.body)
	}
	if answer.status == nil {
		if row.reason != "" {
			t.Fatalf("answered with no Status: %q", answer.body)
		}
		if !strings.Contains(string(answer.body), row.message) {
			t.Errorf("answered %q, which does not contain %q", answer.body, row.message)
		}
		return
	}
	if answer.status.Reason != row.reason {
		t.Errorf("answered with reason %q, not %q: %s", answer.status.Reason, row.reason, answer.body)
	}
	if int(answer.status.Code) != answer.code || answer.status.Status != metav1.StatusFailure {
		t.Errorf("the Status does not fit the code %d: %s", answer.code, answer.body)
	}
	if row.message == "" || !strings.Contains(answer.status.Message, row.message) {
		t.Errorf("answered %q, which does not contain %q", answer.status.Message, row.message)
	}
	if fields := answer.fields(); !slices.Equal(fields, row.fields) {
		t.Errorf("named the fields %q, not %q: %s", fields, row.fields, answer.status.Message)
	}
}

// seedForWrongRequests stores the objects that invalid requests refer to.
func seedForWrongRequests(t *testing.T, client rawClient) {
	t.Helper()
	for _, seed := range []struct{ method, path, contentType, body string }{
		{http.MethodPost, hostsPath, jsonBody, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"edge-1"}}`},
		{http.MethodPost, leasesPath, jsonBody, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"edge-1"}}`},
		{http.MethodPost, instancesPath, jsonBody, seedInstance},
		{http.MethodPost, instancesPath, jsonBody, strings.Replace(seedInstance, `"seed"`, `"bound"`, 1)},
		{http.MethodPost, instancesPath + "/bound/binding", jsonBody, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","target":{"name":"edge-1"}}`},
		{http.MethodPost, appsPath, jsonBody, anApp("seed", `"minReadySeconds":5`)},
		{http.MethodPost, releasesPath, jsonBody, aRelease("seed", `"replicas":2`)},
		// Fields of other managers, for conflicts of server-side apply.
		{http.MethodPatch, instancesPath + "/applied?fieldManager=one", applyPatch, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"},"spec":{"containers":[{"name":"web","image":"web:1"}]}}`},
	} {
		if answer := client.do(t, seed.method, seed.path, seed.contentType, "", seed.body); answer.code != http.StatusCreated {
			t.Fatalf("%s %s: %d %s", seed.method, seed.path, answer.code, answer.body)
		}
	}
}

// rawClient sends requests unchanged, with the administrator's certificate.
type rawClient struct {
	http *http.Client
	url  string
}

func newRawClient(t *testing.T, config *rest.Config) rawClient {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return rawClient{client, config.Host}
}

// rawAnswer is a response as received. status is nil if the body is no Status.
type rawAnswer struct {
	code   int
	header http.Header
	body   []byte
	status *metav1.Status
}

// fields returns the fields of the causes, sorted.
func (a rawAnswer) fields() []string {
	var fields []string
	if a.status != nil && a.status.Details != nil {
		for _, cause := range a.status.Details.Causes {
			fields = append(fields, cause.Field)
		}
	}
	slices.Sort(fields)
	return fields
}

// into decodes the body into object.
func (a rawAnswer) into(t *testing.T, object any) {
	t.Helper()
	if err := json.Unmarshal(a.body, object); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// try sends a request; unlike do it may be called from any goroutine.
func (c rawClient) try(ctx context.Context, method, path, contentType, accept, body string) (rawAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return rawAnswer{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return rawAnswer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return rawAnswer{}, err
	}
	answer := rawAnswer{code: response.StatusCode, header: response.Header, body: data}
	status := &metav1.Status{}
	if err := json.Unmarshal(data, status); err == nil && status.Kind == "Status" {
		answer.status = status
	}
	return answer, nil
}

func (c rawClient) do(t *testing.T, method, path, contentType, accept, body string) rawAnswer {
	t.Helper()
	answer, err := c.try(t.Context(), method, path, contentType, accept, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// everything returns the metadata of all stored objects, by kind and name.
func (c rawClient) everything(t *testing.T) map[string]metav1.ObjectMeta {
	t.Helper()
	all := map[string]metav1.ObjectMeta{}
	for kind, path := range map[string]string{"Host": hostsPath, "HostLease": leasesPath, "Instance": fleetPath + "/instances", "App": fleetPath + "/apps", "Release": fleetPath + "/releases"} {
		var list metav1.PartialObjectMetadataList
		c.do(t, http.MethodGet, path, "", "", "").into(t, &list)
		for _, item := range list.Items {
			all[fmt.Sprintf("%s/%s", kind, item.Name)] = item.ObjectMeta
		}
	}
	return all
}
