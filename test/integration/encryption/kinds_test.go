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

package encryption

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// kinds has an object of every kind that is stored, without metadata; those of the core group have the key v1.
var kinds = map[string]string{
	"v1/configmaps":      "data: {a: MARKER}",
	"v1/secrets":         "stringData: {a: MARKER}",
	"v1/events":          "{message: MARKER, involvedObject: {namespace: default}}",
	"v1/limitranges":     "{spec: {limits: []}}",
	"v1/namespaces":      "{}",
	"v1/resourcequotas":  "{spec: {hard: {secrets: 1000}}}",
	"v1/serviceaccounts": "{}",
	"admissionregistration.k8s.io/v1/mutatingadmissionpolicies":         "{spec: {reinvocationPolicy: Never, failurePolicy: Ignore, matchConstraints: {resourceRules: [{apiGroups: [none.example.com], apiVersions: [v1], operations: [CREATE], resources: [nones]}]}, mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: 'Object{}'}}]}}",
	"admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings":   "{spec: {policyName: marked}}",
	"admissionregistration.k8s.io/v1/mutatingwebhookconfigurations":     "{webhooks: []}",
	"admissionregistration.k8s.io/v1/validatingadmissionpolicies":       "{spec: {matchConstraints: {resourceRules: [{apiGroups: [none.example.com], apiVersions: [v1], operations: [CREATE], resources: [nones]}]}, validations: [{expression: 'true', message: MARKER}]}}",
	"admissionregistration.k8s.io/v1/validatingadmissionpolicybindings": "{spec: {policyName: marked, validationActions: [Deny]}}",
	"admissionregistration.k8s.io/v1/validatingwebhookconfigurations":   "{webhooks: []}",
	"certificates.k8s.io/v1/certificatesigningrequests":                 "{spec: {signerName: example.com/none, usages: ['client auth'], request: REQUEST}}",
	"certificates.k8s.io/v1/clustertrustbundles":                        "{spec: {trustBundle: AUTHORITY}}",
	"coordination.k8s.io/v1/leases":                                     "{spec: {holderIdentity: MARKER}}",
	"flowcontrol.apiserver.k8s.io/v1/flowschemas":                       "{spec: {priorityLevelConfiguration: {name: marked}, rules: [{subjects: [{kind: User, user: {name: MARKER}}], nonResourceRules: [{verbs: ['*'], nonResourceURLs: [/none]}]}]}}",
	"flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations":       "{spec: {type: Limited, limited: {limitResponse: {type: Reject}}}}",
	"rbac.authorization.k8s.io/v1/clusterroles":                         "{rules: [{apiGroups: [MARKER], resources: [nones], verbs: [get]}]}",
	"rbac.authorization.k8s.io/v1/clusterrolebindings":                  "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: marked}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: MARKER}]}",
	"rbac.authorization.k8s.io/v1/roles":                                "{rules: [{apiGroups: [MARKER], resources: [nones], verbs: [get]}]}",
	"rbac.authorization.k8s.io/v1/rolebindings":                         "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: marked}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: MARKER}]}",
	"storagemigration.k8s.io/v1/storageversionmigrations":               "{spec: {resource: {resource: nones}}}",
	"fleet.gatehouse.dev/v1alpha1/apps":                                 "{spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: 'a:1', args: [MARKER]}]}}}}",
	"fleet.gatehouse.dev/v1alpha1/releases":                             "{spec: {replicas: 0, selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: c}}, spec: {containers: [{name: a, image: 'a:1', args: [MARKER]}]}}}}",
	"fleet.gatehouse.dev/v1alpha1/instances":                            "{spec: {containers: [{name: a, image: 'a:1', args: [MARKER]}]}}",
	"fleet.gatehouse.dev/v1alpha1/hosts":                                "{spec: {unschedulable: true}}",
	"fleet.gatehouse.dev/v1alpha1/hostleases":                           "{spec: {holderIdentity: MARKER}}",
}

// twins are other names of the same objects.
var twins = []string{"events.k8s.io/v1/events"}

// kind is a stored kind and the marker that its object holds.
type kind struct {
	resource   schema.GroupVersionResource
	kind       string
	namespaced bool
	marker     string
}

func (k kind) client(config *rest.Config) dynamic.ResourceInterface {
	client := dynamic.NewForConfigOrDie(config).Resource(k.resource)
	if k.namespaced {
		return client.Namespace("default")
	}
	return client
}

// storedKinds returns what discovery lists, each with a marker. A kind without an object in the table fails
// the test.
func storedKinds(t *testing.T, config *rest.Config) []kind {
	t.Helper()
	lists, err := kubernetes.NewForConfigOrDie(config).Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	var found []kind
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if version.Group == diagnostics.GroupName {
			continue // request traces are only in memory
		}
		for _, r := range list.APIResources {
			key := list.GroupVersion + "/" + r.Name
			if strings.Contains(r.Name, "/") || !slices.Contains([]string(r.Verbs), "list") || slices.Contains(twins, key) {
				continue
			}
			if _, known := kinds[key]; !known {
				t.Errorf("no object of %s: add one to kinds, so that its encryption is tested", key)
				continue
			}
			found = append(found, kind{version.WithResource(r.Name), r.Kind, r.Namespaced, fmt.Sprintf("marker-of-%s-in-plaintext", r.Name)})
		}
	}
	return found
}

// createMarked creates an object of the kind with its marker in an annotation, and in a field of the kind if it
// has one for text.
func (k kind) createMarked(t *testing.T, config *rest.Config) {
	t.Helper()
	object := &unstructured.Unstructured{}
	request, _ := harness.NewSigningRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: k.marker}})
	content := strings.ReplaceAll(kinds[k.resource.GroupVersion().String()+"/"+k.resource.Resource], "MARKER", k.marker)
	content = strings.ReplaceAll(content, "REQUEST", base64.StdEncoding.EncodeToString(request))
	content = strings.ReplaceAll(content, "AUTHORITY", strconv.Quote(k.marker+"\n"+string(config.CAData)))
	if err := yaml.Unmarshal([]byte(content), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetGroupVersionKind(k.resource.GroupVersion().WithKind(k.kind))
	object.SetName("marked")
	object.SetAnnotations(map[string]string{"example.com/marker": k.marker})
	// One of the objects is a quota, which refuses others until the controller has counted for the first time.
	harness.ComesTrue(t, func(ctx context.Context) string {
		_, err := k.client(config).Create(ctx, object, metav1.CreateOptions{})
		if err != nil && strings.Contains(err.Error(), "status unknown for quota") {
			return err.Error()
		}
		if err != nil {
			t.Errorf("creating an object of %s: %v", k.resource.Resource, err)
		}
		return ""
	})
}

func (k kind) wantMarked(t *testing.T, config *rest.Config) {
	t.Helper()
	object, err := k.client(config).Get(t.Context(), "marked", metav1.GetOptions{})
	if err != nil || object.GetAnnotations()["example.com/marker"] != k.marker {
		t.Errorf("the object of %s cannot be read: %v", k.resource.Resource, err)
	}
}
