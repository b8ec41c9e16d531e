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

package traces

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const (
	reviewsPath   = "/apis/diagnostics.gatehouse.dev/v1alpha1/requestreviews"
	instancesPath = "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances"
)

// patchMedia are the media types of patches.
var patchMedia = map[v1alpha1.ReviewPatchType]string{
	v1alpha1.ReviewPatchJSON: "application/json-patch+json", v1alpha1.ReviewPatchMerge: "application/merge-patch+json", v1alpha1.ReviewPatchApply: "application/apply-patch+yaml",
}

// reviewed is a request, as a review has it and as a client sends it.
type reviewed struct {
	name, user, verb string
	path, object     string
	patch            v1alpha1.ReviewPatchType
	conditions       string
	code             int32
	stop             v1alpha1.TraceStopName
	by               string
}

// spec returns the review of the request.
func (r reviewed) spec(t *testing.T) v1alpha1.RequestReviewSpec {
	t.Helper()
	spec := v1alpha1.RequestReviewSpec{Verb: r.verb, User: &v1alpha1.ReviewedUser{Username: r.user}}
	if r.user == "gatehouse-admin" {
		spec.User.Groups = []string{"system:masters"}
	}
	parts := strings.Split(strings.TrimPrefix(r.path, "/"), "/")
	if parts[0] == "api" {
		parts = slices.Insert(parts, 1, "")
	}
	spec.Resource = v1alpha1.ReviewedResource{Group: parts[1], Version: parts[2], Namespace: parts[4], Resource: parts[5]}
	if len(parts) > 6 {
		spec.Resource.Name = parts[6]
	}
	switch {
	case r.verb == "patch":
		spec.Patch, spec.PatchType = r.object, r.patch
		if r.patch == v1alpha1.ReviewPatchApply {
			spec.FieldManager = "other"
		}
	case r.verb == "delete" && r.conditions != "":
		if err := json.Unmarshal([]byte(r.conditions), &spec.Preconditions); err != nil {
			t.Fatal(err)
		}
	case r.object != "":
		spec.Object = &runtime.RawExtension{Raw: []byte(r.object)}
	}
	return spec
}

// send makes the request itself.
func (r reviewed) send(t *testing.T, client harness.RawClient) harness.RawAnswer {
	t.Helper()
	method := map[string]string{"get": http.MethodGet, "create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete}[r.verb]
	body, media, query := r.object, contentTypeOf(r.object), "?fieldValidation=Strict"
	if r.patch != "" {
		media = patchMedia[r.patch]
	}
	if r.patch == v1alpha1.ReviewPatchApply {
		query += "&fieldManager=other"
	}
	if r.conditions != "" {
		body, media = `{"apiVersion":"v1","kind":"DeleteOptions","preconditions":`+r.conditions+`}`, harness.JSONBody
	}
	return client.Do(t, method, r.path+query, media, "", body)
}

// review creates a review.
func review(t *testing.T, client harness.RawClient, spec v1alpha1.RequestReviewSpec) (v1alpha1.RequestReview, harness.RawAnswer) {
	t.Helper()
	in := v1alpha1.RequestReview{Spec: spec}
	in.APIVersion, in.Kind = v1alpha1.SchemeGroupVersion.String(), "RequestReview"
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	answer := client.Do(t, http.MethodPost, reviewsPath, harness.JSONBody, "", string(body))
	var out v1alpha1.RequestReview
	if answer.Code == http.StatusCreated {
		answer.Into(t, &out)
	}
	return out, answer
}

// gatesOf returns what each gate but authentication says, without times and causes.
func gatesOf(stops []v1alpha1.TraceStop) []string {
	var all []string
	for _, stop := range stops {
		if stop.Stop != v1alpha1.StopAuthentication {
			all = append(all, fmt.Sprintf("%s/%s %s changed=%t%v %s", stop.Stop, stop.By, stop.Verdict, stop.Changed, stop.ChangedPaths, stop.PriorityLevel))
		}
	}
	return all
}

// contentOf returns the whole content of etcd with its revision.
func contentOf(t *testing.T, client *clientv3.Client) string {
	t.Helper()
	all, err := client.Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	text := &strings.Builder{}
	fmt.Fprintln(text, all.Header.Revision)
	for _, kv := range all.Kvs {
		fmt.Fprintln(text, string(kv.Key), kv.ModRevision, kv.Version, kv.Lease)
	}
	return text.String()
}

func prepareReviews(t *testing.T, server *servertesting.Server, admin harness.RawClient) {
	t.Helper()
	url, ca := webhook(t)
	for _, object := range []struct{ path, body string }{
		{mapsPath, createMap("there", "x")},
		{"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", fmt.Sprintf(`{"metadata":{"name":"hooks"},"webhooks":[{"name":"deny.example.com",
			"clientConfig":{"url":%q,"caBundle":%q},"sideEffects":"NoneOnDryRun","admissionReviewVersions":["v1"],"objectSelector":{"matchLabels":{"hook":"yes"}},
			"rules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]}]}`, url, ca)},
		{"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", `{"metadata":{"name":"no-bad"},"spec":{"matchConstraints":{"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},
			"validations":[{"expression":"object.metadata.name != 'bad'","messageExpression":"'not ' + object.data.password"}]}}`},
		{"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", `{"metadata":{"name":"everywhere"},"spec":{"policyName":"no-bad","validationActions":["Deny"]}}`},
		{"/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"few"},"spec":{"hard":{"secrets":"0","count/configmaps":"50"}}}`},
		{"/api/v1/namespaces/default/limitranges", `{"metadata":{"name":"small"},"spec":{"limits":[{"type":"Container","max":{"cpu":"1"}}]}}`},
		{"/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", `{"metadata":{"name":"alices"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"alice"}]}`},
	} {
		must(t, admin, object.path, object.body)
	}
	// Policies, webhooks and quotas are in force a moment after they are stored.
	for _, body := range []string{createMap("bad", "x"), hookedMap("h"), `{"metadata":{"name":"s"}}`} {
		path := mapsPath
		if strings.Contains(body, `"s"`) {
			path = "/api/v1/namespaces/default/secrets"
		}
		harness.ComesTrue(t, func(context) string {
			if answer := admin.Do(t, http.MethodPost, path+"?dryRun=All", harness.JSONBody, "", body); answer.Code < http.StatusBadRequest {
				return body + " is accepted"
			}
			return ""
		})
	}
}

func hookedMap(name string) string {
	return strings.Replace(createMap(name, "x"), `"name"`, `"labels":{"hook":"yes"},"name"`, 1)
}

// reviewedRequests are refusals of each gate, and requests that succeed.
func reviewedRequests() []reviewed {
	const big = `{"metadata":{"name":"big"},"spec":{"containers":[{"name":"main","image":"registry.example/app:1","resources":{"limits":{"cpu":"2"}}}]}}`
	const secrets = "/api/v1/namespaces/default/secrets"
	return []reviewed{
		{name: "no role", user: "bob", verb: "create", path: mapsPath, object: createMap("a", "x"), code: 403, stop: v1alpha1.StopAuthorization, by: "rbac"},
		{name: "a quota", user: "alice", verb: "create", path: secrets, object: `{"metadata":{"name":"s"},"stringData":{"a":"` + secret + `"}}`, code: 403, stop: v1alpha1.StopValidatingAdmission, by: "ResourceQuota"},
		{name: "a limit range", user: "alice", verb: "create", path: instancesPath, object: big, code: 403, stop: v1alpha1.StopValidatingAdmission, by: "LimitRanger"},
		{name: "a policy", user: "alice", verb: "create", path: mapsPath, object: createMap("bad", secret), code: 422, stop: v1alpha1.StopValidatingAdmission, by: "no-bad/everywhere"},
		{name: "a webhook", user: "alice", verb: "create", path: mapsPath, object: hookedMap("hooked"), code: 400, stop: v1alpha1.StopValidatingAdmission, by: "hooks/deny.example.com"},
		{name: "an unknown field", user: "alice", verb: "create", path: mapsPath, object: `{"metadata":{"name":"odd"},"date":{"a":"` + secret + `"}}`, code: 400, stop: v1alpha1.StopDecoding},
		{name: "an invalid field", user: "alice", verb: "create", path: mapsPath, object: createMap("NOT VALID", secret), code: 422, stop: v1alpha1.StopValidation},
		{name: "a conflict", user: "alice", verb: "update", path: mapsPath + "/there", object: `{"metadata":{"name":"there","resourceVersion":"1"}}`, code: 409, stop: v1alpha1.StopStorage},
		{name: "a conflict of an apply", user: "alice", verb: "patch", path: mapsPath + "/there", patch: v1alpha1.ReviewPatchApply, object: `{"apiVersion":"v1","kind":"ConfigMap","data":{"password":"other"}}`, code: 409, stop: v1alpha1.StopStorage},
		{name: "an object that exists", user: "alice", verb: "create", path: mapsPath, object: createMap("there", "x"), code: 409, stop: v1alpha1.StopStorage},
		{name: "an object that does not exist", user: "alice", verb: "patch", path: mapsPath + "/nowhere", patch: v1alpha1.ReviewPatchMerge, object: `{"data":{"a":"b"}}`, code: 404, stop: v1alpha1.StopStorage},
		{name: "a precondition", user: "alice", verb: "delete", path: mapsPath + "/there", conditions: `{"uid":"other"}`, code: 409, stop: v1alpha1.StopStorage},
		{name: "a namespace that does not exist", user: "gatehouse-admin", verb: "create", path: "/api/v1/namespaces/nowhere/configmaps", object: createMap("a", "x"), code: 404, stop: v1alpha1.StopMutatingAdmission, by: "NamespaceLifecycle"},
		{name: "a create that succeeds", user: "alice", verb: "create", path: mapsPath, object: createMap("new", "x"), code: 201},
		{name: "an instance with defaults", user: "alice", verb: "create", path: instancesPath, object: strings.Replace(big, `"2"`, `"1"`, 1), code: 201},
		{name: "a read that succeeds", user: "alice", verb: "get", path: mapsPath + "/there", code: 200},
		{name: "a patch that succeeds", user: "alice", verb: "patch", path: mapsPath + "/there", patch: v1alpha1.ReviewPatchJSON, object: `[{"op":"add","path":"/data/b","value":"c"}]`, code: 200},
		{name: "a delete that succeeds", user: "alice", verb: "delete", path: mapsPath + "/there", code: 200},
	}
}

func TestAReviewNamesTheGateThatDecidesAboutTheRequestAndWritesNothing(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	prepareReviews(t, server, admin)
	etcd := harness.EtcdClient(t, server.DataDir)
	defer func() { _ = etcd.Close() }()
	rows, statuses := reviewedRequests(), map[string]v1alpha1.RequestReviewStatus{}
	// Controllers of the server write sometimes; a review that writes would do so each time.
	harness.ComesTrue(t, func(context) string {
		before := contentOf(t, etcd)
		for _, row := range rows {
			out, answer := review(t, admin, row.spec(t))
			if answer.Code != http.StatusCreated {
				t.Fatalf("%s: %s", row.name, answer.Body)
			}
			if text, _ := json.Marshal(out.Status); strings.Contains(string(text), secret) {
				t.Errorf("%s: the status has a value: %s", row.name, text)
			}
			statuses[row.name] = out.Status
		}
		if after := contentOf(t, etcd); after != before {
			return fmt.Sprintf("etcd had\n%s\nand has\n%s", before, after)
		}
		return ""
	})
	for _, trace := range list(t, admin, "") {
		if strings.HasPrefix(trace.Request.UserAgent, "gatehouse-review") {
			t.Errorf("a review is among the traces: %+v", trace.Request)
		}
	}
	clients := map[string]harness.RawClient{"gatehouse-admin": admin}
	for _, user := range []string{"alice", "bob"} {
		clients[user] = harness.NewRawClient(t, harness.IssueClient(t, server, user))
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			status := statuses[row.name]
			answer := row.send(t, clients[row.user])
			if answer.Code != int(row.code) || status.Code != row.code {
				t.Errorf("the review has the code %d, and the request %d: %s", status.Code, answer.Code, answer.Body)
			}
			if row.stop == "" && status.DecidedBy != nil || row.stop != "" && (status.DecidedBy == nil || status.DecidedBy.Stop != row.stop || status.DecidedBy.By != row.by) {
				t.Errorf("the review is decided by %+v", status.DecidedBy)
			}
			var trace v1alpha1.RequestTrace
			admin.Do(t, http.MethodGet, tracesPath+"/"+answer.Header.Get("Audit-Id"), "", "", "").Into(t, &trace)
			if got, want := gatesOf(status.Stops), gatesOf(trace.Stops); !slices.Equal(got, want) || status.Verdict != trace.Verdict || status.Reason != trace.Reason {
				t.Errorf("the review is %s %s\n%s\nand the request is %s %s\n%s", status.Verdict, status.Reason, strings.Join(got, "\n"), trace.Verdict, trace.Reason, strings.Join(want, "\n"))
			}
		})
	}
}
