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
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestNumbersThatDoNotFitAreRefusedAndTheFieldIsNamed(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	for path, body := range map[string]string{harness.AppsPath: anApp("seed", `"replicas":0`), harness.ReleasesPath: aRelease("seed", `"replicas":0`), harness.HostsPath: strings.Replace(harness.GoodHost, "wrong", "seed", 1)} {
		if answer := client.Do(t, http.MethodPost, path, harness.JSONBody, "", body); answer.Code != http.StatusCreated {
			t.Fatalf("%s: %s", path, answer.Body)
		}
	}
	before := client.Everything(t)
	apply := func(kind, rest string) string {
		return fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":%q,"metadata":{"name":"seed"},%s}`, kind, rest)
	}
	const scale = `{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"seed"},"spec":{"replicas":4294967298}}`
	port := `{"spec":{"template":{"spec":{"containers":[{"name":"web","ports":[{"containerPort":4294967376}]}]}}}}`
	for _, row := range []struct{ name, method, path, contentType, body, says string }{
		{"A create of too many replicas", http.MethodPost, harness.AppsPath, harness.JSONBody, anApp("huge", `"replicas":99999999999`), "spec.replicas"},
		{"A create in YAML of too many replicas", http.MethodPost, harness.AppsPath, harness.YAMLBody, anApp("huge", `"replicas":99999999999`), "spec.replicas"},
		{"An apply of too many replicas", http.MethodPatch, harness.AppsPath + "/seed?fieldManager=a", harness.ApplyPatch, apply("App", `"spec":{"replicas":99999999999}`), "spec.replicas"},
		{"An apply that creates too many replicas", http.MethodPatch, harness.AppsPath + "/huge?fieldManager=a", harness.ApplyPatch, strings.Replace(anApp("huge", `"replicas":99999999999`), "seed", "huge", 1), "spec.replicas"},
		{"An apply in YAML of too many replicas", http.MethodPatch, harness.AppsPath + "/seed?fieldManager=a", harness.ApplyPatch, "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: App\nmetadata: {name: seed}\nspec:\n  replicas: 4_294_967_298\n", "spec.replicas"},
		{"A strategic patch of too many replicas", http.MethodPatch, harness.AppsPath + "/seed", harness.StrategicPatch, `{"spec":{"replicas":4294967298}}`, "spec.replicas"},
		{"A merge patch of too many replicas", http.MethodPatch, harness.AppsPath + "/seed", harness.MergePatch, `{"spec":{"replicas":4294967298}}`, "spec.replicas"},
		{"A JSON patch of too many replicas", http.MethodPatch, harness.AppsPath + "/seed", harness.JSONPatch, `[{"op":"replace","path":"/spec/replicas","value":4294967298}]`, "spec.replicas"},
		{"A strategic patch of a port that does not exist", http.MethodPatch, harness.AppsPath + "/seed", harness.StrategicPatch, port, "containerPort"},
		{"A strategic patch of half a replica", http.MethodPatch, harness.ReleasesPath + "/seed", harness.StrategicPatch, `{"spec":{"replicas":1.5}}`, "spec.replicas"},
		{"A merge patch of a surge", http.MethodPatch, harness.AppsPath + "/seed", harness.MergePatch, `{"spec":{"strategy":{"rollingUpdate":{"maxSurge":4294967298}}}}`, "spec.strategy.rollingUpdate.maxSurge"},
		{"A strategic patch of the scale", http.MethodPatch, harness.AppsPath + "/seed/scale", harness.StrategicPatch, `{"spec":{"replicas":4294967298}}`, "spec.replicas"},
		{"An apply of the scale", http.MethodPatch, harness.AppsPath + "/seed/scale?fieldManager=a", harness.ApplyPatch, scale, "spec.replicas"},
		{"An update of the scale", http.MethodPut, harness.AppsPath + "/seed/scale", harness.JSONBody, scale, "spec.replicas"},
		{"A strategic patch of a status", http.MethodPatch, harness.AppsPath + "/seed/status", harness.StrategicPatch, `{"status":{"replicas":4294967298}}`, "status.replicas"},
		{"An apply of a status", http.MethodPatch, harness.HostsPath + "/seed/status?fieldManager=a", harness.ApplyPatch, apply("Host", `"status":{"observedGeneration":9223372036854775808}`), "status.observedGeneration"},
	} {
		t.Run(row.name+" is refused", func(t *testing.T) {
			answer := client.Do(t, row.method, row.path, row.contentType, "", row.body)
			if answer.Code != http.StatusUnprocessableEntity && answer.Code != http.StatusBadRequest || answer.Status == nil || !strings.Contains(answer.Status.Message, row.says) {
				t.Errorf("answered with %d: %.500s", answer.Code, answer.Body)
			}
		})
	}
	for name, object := range client.Everything(t) {
		if object.ResourceVersion != before[name].ResourceVersion {
			t.Errorf("%s was created or changed", name)
		}
	}
}

// A client makes a strategic patch from the OpenAPI document, and the server applies it by the tags of
// the Go type. In both, one port with two protocols is two elements.
func TestAPortByTwoProtocolsIsTwoPorts(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	body := strings.Replace(anApp("dns", `"replicas":0`), `"image":"web:1"}`, `"image":"web:1","ports":[{"containerPort":53,"protocol":"UDP","name":"dns-udp"},{"containerPort":53,"protocol":"TCP","name":"dns"}]}`, 1)
	if answer := client.Do(t, http.MethodPost, harness.AppsPath, harness.JSONBody, "", body); answer.Code != http.StatusCreated {
		t.Fatalf("%s", answer.Body)
	}
	ports := func(value string) string {
		return `{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"web"}],"containers":[{"name":"web","ports":` + value + `}]}}}}`
	}
	for _, row := range []struct{ name, contentType, body, want string }{
		{"A strategic patch renames one of them", harness.StrategicPatch, ports(`[{"containerPort":53,"protocol":"UDP","name":"dns-udp"},{"containerPort":53,"protocol":"TCP","name":"dns-tcp"}]`), "UDP/53/dns-udp TCP/53/dns-tcp"},
		{"A strategic patch drops one of them", harness.StrategicPatch, ports(`[{"containerPort":53,"protocol":"TCP","name":"dns-tcp"}]`), "TCP/53/dns-tcp"},
		{"An apply adds one", harness.ApplyPatch, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"dns"},"spec":{"template":{"spec":{"containers":[{"name":"web","ports":[{"containerPort":53,"protocol":"UDP"}]}]}}}}`, "TCP/53/dns-tcp UDP/53/"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var app v1alpha1.App
			client.Do(t, http.MethodPatch, harness.AppsPath+"/dns?fieldManager=a", row.contentType, "", row.body).Into(t, &app)
			if len(app.Spec.Template.Spec.Containers) != 1 {
				t.Fatalf("got %+v", app.Spec.Template.Spec)
			}
			var got []string
			for _, port := range app.Spec.Template.Spec.Containers[0].Ports {
				got = append(got, fmt.Sprintf("%s/%d/%s", port.Protocol, port.ContainerPort, port.Name))
			}
			if strings.Join(got, " ") != row.want {
				t.Errorf("got %q, want %s", got, row.want)
			}
		})
	}
}

func TestAnAppBecomesRecreateByEveryKindOfWrite(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	applied := func(name, strategy string) string {
		return strings.Replace(anApp(name, `"replicas":0`), `"replicas":0`, `"replicas":0`+strategy, 1)
	}
	const recreate = `,"strategy":{"type":"Recreate"}`
	for i, row := range []struct {
		name, before, method, query, contentType string
		// body may hold NAME and VERSION; it is empty for a request that is refused.
		body    string
		refused bool
	}{
		{"an apply by the same manager", "", http.MethodPatch, "?fieldManager=a", harness.ApplyPatch, applied("NAME", recreate), false},
		{"an apply with null", "", http.MethodPatch, "?fieldManager=a", harness.ApplyPatch, applied("NAME", `,"strategy":{"type":"Recreate","rollingUpdate":null}`), false},
		{"an apply by another manager", "", http.MethodPatch, "?fieldManager=b", harness.ApplyPatch, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"NAME"},"spec":{"strategy":{"type":"Recreate"}}}`, false},
		{"an apply that drops a surge of its own", `,"strategy":{"rollingUpdate":{"maxSurge":1}}`, http.MethodPatch, "?fieldManager=a", harness.ApplyPatch, applied("NAME", recreate), false},
		{"a merge patch", "", http.MethodPatch, "", harness.MergePatch, `{"spec":{"strategy":{"type":"Recreate"}}}`, false},
		{"a strategic patch", "", http.MethodPatch, "", harness.StrategicPatch, `{"spec":{"strategy":{"type":"Recreate"}}}`, false},
		{"a strategic patch as kubectl apply makes it", "", http.MethodPatch, "", harness.StrategicPatch, `{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}`, false},
		{"a JSON patch", "", http.MethodPatch, "", harness.JSONPatch, `[{"op":"replace","path":"/spec/strategy/type","value":"Recreate"}]`, false},
		{"an update", "", http.MethodPut, "", harness.JSONBody, applied("NAME", recreate), false},
		{"a merge patch that sets a surge", "", http.MethodPatch, "", harness.MergePatch, `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":{"maxSurge":7}}}}`, true},
		{"an apply that sets a surge", "", http.MethodPatch, "?fieldManager=a", harness.ApplyPatch, applied("NAME", `,"strategy":{"type":"Recreate","rollingUpdate":{"maxSurge":7}}`), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := fmt.Sprintf("recreate-%d", i)
			first := client.Do(t, http.MethodPatch, harness.AppsPath+"/"+name+"?fieldManager=a", harness.ApplyPatch, "", applied(name, row.before))
			if first.Code != http.StatusCreated {
				t.Fatalf("%s", first.Body)
			}
			var app v1alpha1.App
			first.Into(t, &app)
			body := strings.ReplaceAll(row.body, "NAME", name)
			if row.method == http.MethodPut {
				body = strings.Replace(body, `"name":"`+name+`"`, `"name":"`+name+`","resourceVersion":"`+app.ResourceVersion+`"`, 1)
			}
			answer := client.Do(t, row.method, harness.AppsPath+"/"+name+row.query, row.contentType, "", body)
			if row.refused {
				if answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Status.Message, "spec.strategy.rollingUpdate: Forbidden") {
					t.Errorf("answered with %d: %s", answer.Code, answer.Body)
				}
				return
			}
			app = v1alpha1.App{}
			answer.Into(t, &app)
			if answer.Code != http.StatusOK || app.Spec.Strategy.Type != v1alpha1.RecreateAppStrategy || app.Spec.Strategy.RollingUpdate != nil || app.Generation != 2 {
				t.Fatalf("answered with %d: %s", answer.Code, answer.Body)
			}
			// The change is reverted: the defaults return.
			client.Do(t, http.MethodPatch, harness.AppsPath+"/"+name, harness.MergePatch, "", `{"spec":{"strategy":{"type":"RollingUpdate"}}}`).Into(t, &app)
			if app.Spec.Strategy.RollingUpdate == nil || app.Spec.Strategy.RollingUpdate.MaxSurge.String() != "25%" {
				t.Errorf("back again: %+v", app.Spec.Strategy)
			}
		})
	}
}

func TestAScaleIsPrintedWithItsColumns(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	for path, body := range map[string]string{harness.AppsPath: anApp("web", `"replicas":3`), harness.ReleasesPath: aRelease("other", `"replicas":3`)} {
		if answer := client.Do(t, http.MethodPost, path, harness.JSONBody, "", body); answer.Code != http.StatusCreated {
			t.Fatalf("%s", answer.Body)
		}
	}
	for _, path := range []string{harness.AppsPath + "/web/scale", harness.ReleasesPath + "/other/scale"} {
		var table metav1.Table
		client.Do(t, http.MethodGet, path, "", "application/json;as=Table;v=v1;g=meta.k8s.io", "").Into(t, &table)
		var names []string
		for _, column := range table.ColumnDefinitions {
			names = append(names, column.Name)
		}
		if strings.Join(names, " ") != "Name Desired Available Age" || len(table.Rows) != 1 || len(table.Rows[0].Cells) != 4 || table.Rows[0].Cells[1] != 3.0 {
			t.Errorf("%s: columns %q, rows %+v", path, names, table.Rows)
		}
	}
}

// As in Kubernetes, every caller may read /version, and the keys that verify tokens are readable once
// a binding grants it.
func TestRolesDecideWhatAnonymousCallersRead(t *testing.T) {
	server := servertesting.Start(t)
	nobody := harness.NewRawClient(t, rest.AnonymousClientConfig(server.Config))
	for _, path := range []string{"/version", "/version/"} {
		if answer := nobody.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusOK || !strings.Contains(string(answer.Body), "gitVersion") {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	discovery := []string{"/.well-known/openid-configuration", "/openid/v1/jwks"}
	for _, path := range discovery {
		harness.WrongRequest{Method: http.MethodGet, Path: path, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: `User "system:anonymous" cannot get path "` + path + `"`}.Check(t, nobody)
	}
	admin := harness.BuiltinClient(t, server)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "verify-tokens"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range discovery {
		kit.Eventually(t, path+" is open", func(context.Context) bool {
			return nobody.Do(t, http.MethodGet, path, "", "", "").Code == http.StatusOK
		})
	}
	// The revoked path is forbidden again.
	viewer, err := admin.RbacV1().ClusterRoleBindings().Get(t.Context(), "system:public-info-viewer", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	viewer.Subjects = viewer.Subjects[:1]
	if _, err := admin.RbacV1().ClusterRoleBindings().Update(t.Context(), viewer, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "/version is closed", func(context.Context) bool {
		return nobody.Do(t, http.MethodGet, "/version", "", "", "").Code == http.StatusForbidden
	})
}

// typoPolicy is a policy about apps with an expression.
func typoPolicy(name string, expressions ...string) *admissionregistrationv1.ValidatingAdmissionPolicy {
	policy := harness.PolicyOn(name, "", "")
	policy.Spec.ParamKind = nil
	policy.Spec.MatchConstraints.ResourceRules[0].Rule = admissionregistrationv1.Rule{APIGroups: []string{"fleet.gatehouse.dev", ""}, APIVersions: []string{"v1", "v1alpha1"}, Resources: []string{"apps", "configmaps"}}
	policy.Spec.Validations = nil
	for _, expression := range expressions {
		policy.Spec.Validations = append(policy.Spec.Validations, admissionregistrationv1.Validation{Expression: expression})
	}
	return policy
}

func TestTypeCheckingOfAPolicyNamesUnknownFields(t *testing.T) {
	server := servertesting.Start(t)
	policies := harness.BuiltinClient(t, server).AdmissionregistrationV1().ValidatingAdmissionPolicies()
	created, err := policies.Create(t.Context(), typoPolicy("typo", "object.metadata.name != ''", "object.spec.replica > 1"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	warnings := func(policy *admissionregistrationv1.ValidatingAdmissionPolicy) string {
		t.Helper()
		if policy.Status.TypeChecking == nil || policy.Status.ObservedGeneration != policy.Generation {
			t.Fatalf("generation %d has the status %+v", policy.Generation, policy.Status)
		}
		var all []string
		for _, w := range policy.Status.TypeChecking.ExpressionWarnings {
			all = append(all, w.FieldRef+": "+w.Warning)
		}
		return strings.Join(all, "\n")
	}
	got := warnings(created)
	for _, part := range []string{"spec.validations[1].expression", "fleet.gatehouse.dev/v1alpha1, Kind=App", "undefined field 'replica'"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q does not contain %q", got, part)
		}
	}
	if strings.Contains(got, "validations[0]") {
		t.Errorf("the valid expression has an error: %s", got)
	}
	fix := func(expression string) *admissionregistrationv1.ValidatingAdmissionPolicy {
		t.Helper()
		patch, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/spec/validations/1/expression", "value": expression}})
		if err != nil {
			t.Fatal(err)
		}
		fixed, err := policies.Patch(t.Context(), "typo", types.JSONPatchType, patch, metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return fixed
	}
	if got := warnings(fix("!has(object.spec) || object.metadata.nam == ''")); !strings.Contains(got, "undefined field 'nam'") || !strings.Contains(got, "Kind=ConfigMap") {
		t.Errorf("after a change: %s", got)
	}
	if got := warnings(fix("object.metadata.namespace != 'a'")); got != "" {
		t.Errorf("after the mend: %s", got)
	}
}

func TestTypeCheckingOfAVeryLargePolicyIsBoundedWithAWarning(t *testing.T) {
	server := servertesting.Start(t)
	expressions := make([]string, 300)
	for i := range expressions {
		expressions[i] = fmt.Sprintf("object.metadata.name != 'a-%d'", i)
	}
	created, err := harness.BuiltinClient(t, server).AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), typoPolicy("large", expressions...), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := created.Status.TypeChecking.ExpressionWarnings
	if len(found) != 1 || found[0].FieldRef != "spec.validations[32]" || !strings.Contains(found[0].Warning, "300 validations") {
		t.Errorf("got %+v", found)
	}
}

// The status endpoints of Kubernetes' own kinds accept changes of metadata where those of a
// kube-apiserver accept them.
func TestBuiltInStatusEndpointsTreatMetadataAsKubernetesDoes(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	admin := harness.BuiltinClient(t, server)
	if _, err := admin.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), typoPolicy("status", "true"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request, _ := harness.NewSigningRequest(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}})
	for path, body := range map[string]string{
		"/apis/certificates.k8s.io/v1/certificatesigningrequests": fmt.Sprintf(`{"metadata":{"name":"status"},"spec":{"signerName":"example.com/none","usages":["client auth"],"request":%q}}`, base64.StdEncoding.EncodeToString(request)),
		"/api/v1/namespaces":                        `{"metadata":{"name":"status"}}`,
		"/api/v1/namespaces/default/resourcequotas": `{"metadata":{"name":"status"}}`,
	} {
		if answer := client.Do(t, http.MethodPost, path, harness.JSONBody, "", body); answer.Code != http.StatusCreated {
			t.Fatalf("%s: %s", path, answer.Body)
		}
	}
	rows := map[string]struct {
		path string
		kept bool
	}{
		"namespaces":                  {"/api/v1/namespaces/status/status", true},
		"certificatesigningrequests":  {"/apis/certificates.k8s.io/v1/certificatesigningrequests/status/status", true},
		"resourcequotas":              {"/api/v1/namespaces/default/resourcequotas/status/status", true},
		"validatingadmissionpolicies": {"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/status/status", false},
	}
	for name, row := range rows {
		for _, contentType := range []string{harness.MergePatch, harness.StrategicPatch} {
			var object metav1.PartialObjectMetadata
			client.Do(t, http.MethodPatch, row.path, contentType, "", fmt.Sprintf(`{"metadata":{"annotations":{"a":%q},"labels":{"b":"c"}}}`, contentType)).Into(t, &object)
			if kept := object.Annotations["a"] == contentType && object.Labels["b"] == "c"; kept != row.kept {
				t.Errorf("%s by %s: metadata %+v", name, contentType, object.ObjectMeta)
			}
		}
		wrongFinalizer := client.Do(t, http.MethodPatch, row.path, harness.MergePatch, "", `{"metadata":{"finalizers":["nonsense"]}}`)
		if row.kept && wrongFinalizer.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: a finalizer that is none is answered with %d", name, wrongFinalizer.Code)
		}
	}
	// A new built-in status endpoint needs a row in the table above.
	lists, err := admin.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if strings.HasPrefix(list.GroupVersion, "fleet.") {
			continue
		}
		all, err := admin.Discovery().ServerResourcesForGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range all.APIResources {
			if name, isStatus := strings.CutSuffix(resource.Name, "/status"); isStatus {
				if _, known := rows[name]; !known {
					t.Errorf("%s/status is not in the table", name)
				}
			}
		}
	}
}
