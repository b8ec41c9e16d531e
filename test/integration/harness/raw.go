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

package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// Events reads a watch: next blocks until the server sends something.
func (c RawClient) Events(t *testing.T, path string) (next func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kit.Patience)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
	})
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: answered with code %d", path, response.StatusCode)
	}
	lines := bufio.NewScanner(response.Body)
	return func() string {
		t.Helper()
		if !lines.Scan() {
			return "END"
		}
		var event struct {
			Type   string
			Object metav1.PartialObjectMetadata
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if event.Object.Annotations[metav1.InitialEventsAnnotationKey] != "" {
			return "INITIAL EVENTS END"
		}
		return strings.TrimSpace(event.Type + " " + event.Object.Name)
	}
}

// At returns the row with another path.
func (row WrongRequest) At(path string) WrongRequest {
	row.Path = path
	return row
}

// GoodHost is the valid host that rows about request bodies modify.
const GoodHost = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"wrong"}}`

// Paths of the fleet group. Tests of invalid input send raw HTTP, because a client library
// would refuse to send most of it.
const (
	FleetPath     = "/apis/fleet.gatehouse.dev/v1alpha1"
	InstancesPath = FleetPath + "/namespaces/default/instances"
	HostsPath     = FleetPath + "/hosts"
	LeasesPath    = FleetPath + "/hostleases"
	AppsPath      = FleetPath + "/namespaces/default/apps"
	ReleasesPath  = FleetPath + "/namespaces/default/releases"
)

// Media types of bodies.
const (
	JSONBody       = "application/json"
	YAMLBody       = "application/yaml"
	ProtobufBody   = "application/vnd.kubernetes.protobuf"
	JSONPatch      = "application/json-patch+json"
	MergePatch     = "application/merge-patch+json"
	StrategicPatch = "application/strategic-merge-patch+json"
	ApplyPatch     = "application/apply-patch+yaml"
)

// WrongRequest is a request that must be refused, and what the refusal must contain. A name is a
// sentence about the server.
type WrongRequest struct {
	Name string
	// Method is POST if empty. The media type of a body is JSON if empty, or merge patch for PATCH.
	Method, Path, ContentType, Accept, Body string

	Code   int
	Reason metav1.StatusReason
	// Fields are the field paths of all causes, in alphabetical order, each as often as the
	// response contains it: a repeated cause is an error, too.
	Fields []string
	// Message is a part of the Status message, or of the body if that is no Status.
	Message string
}

// Check sends the request, and compares the response with the row.
func (row WrongRequest) Check(t *testing.T, client RawClient) {
	t.Helper()
	if row.Method == "" {
		row.Method = http.MethodPost
	}
	if row.ContentType == "" && row.Body != "" {
		row.ContentType = JSONBody
		if row.Method == http.MethodPatch {
			row.ContentType = MergePatch
		}
	}
	answer := client.Do(t, row.Method, row.Path, row.ContentType, row.Accept, row.Body)
	if answer.Code != row.Code {
		t.Errorf("answered with code %d, not %d: %s", answer.Code, row.Code, answer.Body)
	}
	if answer.Status == nil {
		if row.Reason != "" {
			t.Fatalf("answered with no Status: %q", answer.Body)
		}
		if !strings.Contains(string(answer.Body), row.Message) {
			t.Errorf("answered %q, which does not contain %q", answer.Body, row.Message)
		}
		return
	}
	if answer.Status.Reason != row.Reason {
		t.Errorf("answered with reason %q, not %q: %s", answer.Status.Reason, row.Reason, answer.Body)
	}
	if int(answer.Status.Code) != answer.Code || answer.Status.Status != metav1.StatusFailure {
		t.Errorf("the Status does not fit the code %d: %s", answer.Code, answer.Body)
	}
	if row.Message == "" || !strings.Contains(answer.Status.Message, row.Message) {
		t.Errorf("answered %q, which does not contain %q", answer.Status.Message, row.Message)
	}
	if fields := answer.Fields(); !slices.Equal(fields, row.Fields) {
		t.Errorf("named the fields %q, not %q: %s", fields, row.Fields, answer.Status.Message)
	}
}

// RawClient sends requests unchanged, with the administrator's certificate.
type RawClient struct {
	http *http.Client
	url  string
}

// NewRawClient returns a client that sends requests unchanged, with the credentials of the configuration.
func NewRawClient(t *testing.T, config *rest.Config) RawClient {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return RawClient{client, config.Host}
}

// RawAnswer is a response as received. status is nil if the body is no Status.
type RawAnswer struct {
	Code   int
	Header http.Header
	Body   []byte
	Status *metav1.Status
}

// Fields returns the fields of the causes, sorted.
func (a RawAnswer) Fields() []string {
	var fields []string
	if a.Status != nil && a.Status.Details != nil {
		for _, cause := range a.Status.Details.Causes {
			fields = append(fields, cause.Field)
		}
	}
	slices.Sort(fields)
	return fields
}

// Into decodes the body into object.
func (a RawAnswer) Into(t *testing.T, object any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, object); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
}

// Try sends a request; unlike do it may be called from any goroutine.
func (c RawClient) Try(ctx context.Context, method, path, contentType, accept, body string) (RawAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return RawAnswer{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return RawAnswer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return RawAnswer{}, err
	}
	answer := RawAnswer{Code: response.StatusCode, Header: response.Header, Body: data}
	status := &metav1.Status{}
	if err := json.Unmarshal(data, status); err == nil && status.Kind == "Status" {
		answer.Status = status
	}
	return answer, nil
}

// Do sends a request, and fails the test without a response.
func (c RawClient) Do(t *testing.T, method, path, contentType, accept, body string) RawAnswer {
	t.Helper()
	answer, err := c.Try(t.Context(), method, path, contentType, accept, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// Everything returns the metadata of all stored objects, by kind and name.
func (c RawClient) Everything(t *testing.T) map[string]metav1.ObjectMeta {
	t.Helper()
	all := map[string]metav1.ObjectMeta{}
	for kind, path := range map[string]string{"Host": HostsPath, "HostLease": LeasesPath, "Instance": FleetPath + "/instances", "App": FleetPath + "/apps", "Release": FleetPath + "/releases"} {
		var list metav1.PartialObjectMetadataList
		c.Do(t, http.MethodGet, path, "", "", "").Into(t, &list)
		for _, item := range list.Items {
			all[fmt.Sprintf("%s/%s", kind, item.Name)] = item.ObjectMeta
		}
	}
	return all
}

// ReadInitialEvents reads a watch until the bookmark that ends its initial events.
func (c RawClient) ReadInitialEvents(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kit.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answered with code %d", response.StatusCode)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), metav1.InitialEventsAnnotationKey) {
			return
		}
	}
	t.Errorf("the initial events did not end: %v", lines.Err())
}

// Object has the fields that the tests read from any kind.
type Object struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              map[string]any `json:"spec"`
	Status            map[string]any `json:"status"`
}

// Write sends a body and decodes the object of the response.
func (c RawClient) Write(t *testing.T, method, path, contentType, body string) Object {
	t.Helper()
	answer := c.Do(t, method, path, contentType, "", body)
	if answer.Code != http.StatusOK && answer.Code != http.StatusCreated {
		t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	var got Object
	answer.Into(t, &got)
	return got
}

// Apply applies a body with a field manager.
func (c RawClient) Apply(t *testing.T, path, manager, body string) Object {
	t.Helper()
	return c.Write(t, http.MethodPatch, path+"?fieldManager="+manager, ApplyPatch, body)
}
