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
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// statusEndpoint is the contract of an endpoint below a kind of Kubernetes that its strategy limits.
// Upstream's is in pkg/registry/GROUP/KIND/strategy.go of k8s.io/kubernetes.
type statusEndpoint struct {
	path string
	// metadata, spec and status report whether a write changes them.
	metadata, spec, status bool
	// change are the spec and the status of the write; specAt and statusAt are texts that an object has
	// once they are written.
	change, specAt, statusAt string
	// put is true for an endpoint that takes no patches.
	put bool
}

func statusEndpoints() map[string]statusEndpoint {
	const conditions = `"conditions":[{"type":"NamespaceContentRemaining","status":"True","reason":"Tested"}]`
	return map[string]statusEndpoint{
		"namespaces/status": {
			path: "/api/v1/namespaces/status/status", metadata: true, status: true,
			change: `"spec":{"finalizers":["example.com/own"]},"status":{` + conditions + `}`, specAt: "example.com/own", statusAt: `"reason":"Tested"`,
		},
		"namespaces/finalize": {
			path: "/api/v1/namespaces/status/finalize", metadata: true, spec: true, put: true,
			change: `"spec":{"finalizers":["kubernetes","example.com/finalize"]},"status":{"phase":"Active","conditions":[{"type":"Other","status":"True","reason":"Changed"}]}`, specAt: "example.com/finalize", statusAt: `"reason":"Changed"`,
		},
		"resourcequotas/status": {
			path: "/api/v1/namespaces/default/resourcequotas/status/status", metadata: true, status: true,
			change: `"spec":{"hard":{"secrets":"77"}},"status":{"hard":{"secrets":"5"},"used":{"secrets":"3"}}`, specAt: `"77"`, statusAt: `"secrets":"3"`,
		},
		"certificatesigningrequests/status": {
			path: "/apis/certificates.k8s.io/v1/certificatesigningrequests/status/status", metadata: true, status: true,
			change: `"spec":{"signerName":"example.com/other"},"status":{"conditions":[{"type":"Failed","status":"True","reason":"Tested"}]}`, specAt: "example.com/other", statusAt: `"reason":"Tested"`,
		},
		"certificatesigningrequests/approval": {
			path: "/apis/certificates.k8s.io/v1/certificatesigningrequests/approval/approval", metadata: true, status: true,
			change: `"spec":{"signerName":"example.com/other"},"status":{"conditions":[{"type":"Approved","status":"True","reason":"Tested"}]}`, specAt: "example.com/other", statusAt: `"reason":"Tested"`,
		},
		"flowschemas/status": {
			path: "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/status/status", status: true,
			change: `"spec":{"matchingPrecedence":77},"status":{"conditions":[{"type":"Tested","status":"True","reason":"Tested"}]}`, specAt: `"matchingPrecedence":77`, statusAt: `"reason":"Tested"`,
		},
		"prioritylevelconfigurations/status": {
			path: "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/status/status", status: true,
			change: `"spec":{"limited":{"nominalConcurrencyShares":77}},"status":{"conditions":[{"type":"Tested","status":"True","reason":"Tested"}]}`, specAt: `"nominalConcurrencyShares":77`, statusAt: `"reason":"Tested"`,
		},
		"storageversionmigrations/status": {
			path: "/apis/storagemigration.k8s.io/v1/storageversionmigrations/status/status", status: true,
			change: `"spec":{"resource":{"resource":"changed"}},"status":{"conditions":[{"type":"Tested","status":"True","reason":"Tested","lastTransitionTime":"2026-12-01T00:00:00Z","message":""}]}`, specAt: `"changed"`, statusAt: `"reason":"Tested"`,
		},
		"validatingadmissionpolicies/status": {
			path: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/status/status", status: true,
			change: `"spec":{"failurePolicy":"Ignore"},"status":{"conditions":[{"type":"Tested","status":"True","reason":"Tested","lastTransitionTime":"2026-12-01T00:00:00Z","message":""}]}`, specAt: "Ignore", statusAt: `"reason":"Tested"`,
		},
	}
}

func TestBuiltInStatusEndpointsTreatMetadataAsKubernetesDoes(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	admin := harness.BuiltinClient(t, server)
	if _, err := admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), typoPolicy("status", "true"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request, _ := harness.NewSigningRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}})
	signing := fmt.Sprintf(`"spec":{"signerName":"example.com/none","usages":["client auth"],"request":%q}}`, base64.StdEncoding.EncodeToString(request))
	for _, object := range []struct{ path, body string }{
		{"/api/v1/namespaces", `{"metadata":{"name":"status"}}`},
		{"/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"status"},"spec":{"hard":{"secrets":"5"}}}`},
		{"/apis/certificates.k8s.io/v1/certificatesigningrequests", `{"metadata":{"name":"status"},` + signing},
		{"/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", `{"metadata":{"name":"status"},"spec":{"priorityLevelConfiguration":{"name":"status"}}}`},
		{"/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations", `{"metadata":{"name":"status"},"spec":{"type":"Limited","limited":{"limitResponse":{"type":"Reject"}}}}`},
		{"/apis/storagemigration.k8s.io/v1/storageversionmigrations", `{"metadata":{"name":"status"},"spec":{"resource":{"resource":"nones"}}}`},
		{"/apis/certificates.k8s.io/v1/certificatesigningrequests", `{"metadata":{"name":"approval"},` + signing},
	} {
		if answer := client.Do(t, http.MethodPost, object.path, harness.JSONBody, "", object.body); answer.Code != http.StatusCreated {
			t.Fatalf("%s: %s", object.path, answer.Body)
		}
	}
	rows := statusEndpoints()
	for name, row := range rows {
		ways := []string{harness.MergePatch, harness.StrategicPatch}
		if row.put {
			ways = []string{harness.JSONBody}
		}
		for _, contentType := range ways {
			t.Run(name+" by "+contentType, func(t *testing.T) { row.check(t, client, contentType) })
		}
	}
	for _, name := range servedStatusEndpoints(t, admin) {
		if _, known := rows[name]; !known {
			t.Errorf("%s is not in the table: compare it with upstream's strategy, and add it here and in docs/stability.md", name)
		}
	}
	comparePage(t, rows)
}

// check writes everything at once through the endpoint, and looks at what was written.
func (row statusEndpoint) check(t *testing.T, client harness.RawClient, contentType string) {
	note := strings.NewReplacer("/", "-", "+", "-").Replace(contentType) // a valid label
	object := row.path[:strings.LastIndex(row.path, "/")]
	var before metav1.PartialObjectMetadata
	client.Do(t, http.MethodGet, object, "", "", "").Into(t, &before)
	method, fields := http.MethodPatch, ""
	if row.put {
		method, fields = http.MethodPut, `"name":"status",`
	}
	body := fmt.Sprintf(`{"metadata":{%s"annotations":{"a":%q},"labels":{"b":%q},"finalizers":["example.com/keep"],"generation":77},%s}`, fields, note, note, row.change)
	answer := client.Do(t, method, row.path, contentType, "", body)
	if answer.Code != http.StatusOK {
		t.Fatalf("answered with %d: %s", answer.Code, answer.Body)
	}
	var after metav1.PartialObjectMetadata
	var parts struct{ Spec, Status json.RawMessage }
	answer.Into(t, &after)
	answer.Into(t, &parts)
	if got := after.Annotations["a"] == note && after.Labels["b"] == note && slices.Contains(after.Finalizers, "example.com/keep"); got != row.metadata {
		t.Errorf("metadata is written: %v, want %v: %+v", got, row.metadata, after.ObjectMeta)
	}
	if !row.metadata && (after.Annotations["a"] != "" || after.Labels["b"] != "" || len(after.Finalizers) > 0) {
		t.Errorf("a part of the metadata is written: %+v", after.ObjectMeta)
	}
	if got := strings.Contains(string(parts.Spec), row.specAt); got != row.spec {
		t.Errorf("the spec is written: %v, want %v: %s", got, row.spec, parts.Spec)
	}
	if got := strings.Contains(string(parts.Status), row.statusAt); got != row.status {
		t.Errorf("the status is written: %v, want %v: %s", got, row.status, parts.Status)
	}
	if after.UID != before.UID || after.Name != before.Name || !row.put && !row.metadata && after.Generation != before.Generation {
		t.Errorf("the identity or the generation was changed: %+v", after.ObjectMeta)
	}
	wrongFinalizer := client.Do(t, http.MethodPatch, row.path, harness.MergePatch, "", `{"metadata":{"finalizers":["nonsense"]}}`)
	if !row.put && row.metadata && wrongFinalizer.Code != http.StatusUnprocessableEntity {
		t.Errorf("a finalizer that is none is answered with %d", wrongFinalizer.Code)
	}
}

// servedStatusEndpoints returns the endpoints of discovery that a strategy of their own limits.
func servedStatusEndpoints(t *testing.T, admin kubernetes.Interface) []string {
	t.Helper()
	_, lists, err := admin.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, list := range lists {
		for _, resource := range list.APIResources {
			_, endpoint, below := strings.Cut(resource.Name, "/")
			if below && !strings.HasPrefix(list.GroupVersion, "fleet.") && slices.Contains([]string{"status", "finalize", "approval"}, endpoint) {
				names = append(names, resource.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("discovery has no status endpoints")
	}
	return names
}

// comparePage compares the rows with the table in docs/stability.md.
func comparePage(t *testing.T, rows map[string]statusEndpoint) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/stability.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		row, known := rows[strings.Trim(cells[min(1, len(cells)-1)], " `")]
		if !known || len(cells) != 6 {
			continue
		}
		seen++
		for i, written := range []bool{row.metadata, row.spec, row.status} {
			if strings.HasPrefix(strings.TrimSpace(cells[i+2]), "written") != written {
				t.Errorf("docs/stability.md: column %d of %q differs from what is served", i+2, strings.TrimSpace(line))
			}
		}
	}
	if seen != len(rows) {
		t.Errorf("docs/stability.md has %d of %d endpoints", seen, len(rows))
	}
}
