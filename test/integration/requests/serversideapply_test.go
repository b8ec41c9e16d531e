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
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// If the OpenAPI document lacks the names of its models, the server stores every object without
// ownership and only logs it. So each way to write is tested on each kind, and the recorded entries are
// compared exactly.

// ownership is an entry of managedFields.
type ownership struct {
	manager     string
	operation   metav1.ManagedFieldsOperationType
	subresource string
}

// applied and updated return entries of the main endpoint; the others are of the status endpoint.
func applied(manager string) ownership {
	return ownership{manager, metav1.ManagedFieldsOperationApply, ""}
}

func appliedStatus(manager string) ownership {
	return ownership{manager, metav1.ManagedFieldsOperationApply, "status"}
}

func updated(manager string) ownership {
	return ownership{manager, metav1.ManagedFieldsOperationUpdate, ""}
}

func updatedStatus(manager string) ownership {
	return ownership{manager, metav1.ManagedFieldsOperationUpdate, "status"}
}

// wantOwners compares managedFields with all expected entries and their fields as JSON.
func wantOwners(t *testing.T, obj harness.Object, want map[ownership]string) {
	t.Helper()
	left := map[ownership]string{}
	for owner, fields := range want {
		left[owner] = fields
	}
	for _, entry := range obj.ManagedFields {
		owner := ownership{entry.Manager, entry.Operation, entry.Subresource}
		if entry.APIVersion != "fleet.gatehouse.dev/v1alpha1" || entry.FieldsType != "FieldsV1" || entry.Time == nil || entry.FieldsV1 == nil {
			t.Errorf("the entry of %v is not complete: %+v", owner, entry)
			continue
		}
		fields, found := left[owner]
		delete(left, owner)
		if !found {
			t.Errorf("%v owns fields and should not: %s", owner, entry.FieldsV1.GetRawString())
			continue
		}
		if diff := cmp.Diff(decoded(t, fields), decoded(t, entry.FieldsV1.GetRawString())); diff != "" {
			t.Errorf("%v owns other fields (-want +got):\n%s", owner, diff)
		}
	}
	for owner := range left {
		t.Errorf("%v owns nothing: the write was not recorded", owner)
	}
}

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

func TestServerSideApplyRecordsToTheLetterWhatAManagerOwns(t *testing.T) {
	client := harness.NewRawClient(t, servertesting.Start(t).Config)
	for _, test := range []struct {
		kind, path, body, fields, statusBody, statusFields string
	}{
		{"Host", harness.HostsPath, appliedHost, appliedHostFields, appliedHostStatus, appliedHostStatusFields},
		{"HostLease", harness.LeasesPath, appliedLease, appliedLeaseFields, "", ""},
		{"Instance", harness.InstancesPath, appliedInstance, appliedInstanceFields, appliedInstanceStatus, appliedInstanceStatusFields},
	} {
		t.Run(test.kind, func(t *testing.T) {
			path := test.path + "/owned"
			obj := client.Apply(t, path, "ops", test.body)
			wantOwners(t, obj, map[ownership]string{applied("ops"): test.fields})
			again := client.Apply(t, path, "ops", test.body)
			if again.ResourceVersion != obj.ResourceVersion {
				t.Error("a repeated apply made a new revision")
			}
			if test.statusBody == "" {
				return
			}
			// The status has a separate entry, even for the same manager.
			obj = client.Apply(t, path+"/status", "ops", test.statusBody)
			wantOwners(t, obj, map[ownership]string{applied("ops"): test.fields, appliedStatus("ops"): test.statusFields})
		})
	}
}

// Every ordinary way to write is tested on every kind.
func TestOrdinaryWritesAreRecordedToo(t *testing.T) {
	client := harness.NewRawClient(t, servertesting.Start(t).Config)
	const typeMeta = `"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":`
	for _, test := range []struct {
		kind, path, create, createFields string
		// change is a part of the spec, and changeFields the fields that it sets.
		change, changeFields string
		statusChange         string
		statusFields         string
	}{
		{
			kind: "Host", path: harness.HostsPath,
			create:       `"spec":{"taints":[{"key":"a","effect":"NoExecute"}]}`,
			createFields: `{"f:spec":{"f:taints":{".":{},"k:{\"effect\":\"NoExecute\",\"key\":\"a\"}":{".":{},"f:effect":{},"f:key":{}}}}}`,
			change:       `{"spec":{"unschedulable":true}}`, changeFields: `{"f:spec":{"f:unschedulable":{}}}`,
			statusChange: `{"status":{"info":{"architecture":"arm64"}}}`, statusFields: `{"f:status":{"f:info":{"f:architecture":{}}}}`,
		},
		{
			kind: "HostLease", path: harness.LeasesPath,
			create:       `"spec":{"leaseDurationSeconds":30}`,
			createFields: `{"f:spec":{"f:leaseDurationSeconds":{}}}`,
			change:       `{"spec":{"holderIdentity":"edge-1"}}`, changeFields: `{"f:spec":{"f:holderIdentity":{}}}`,
		},
		{
			kind: "Instance", path: harness.InstancesPath,
			create: `"spec":{"containers":[{"name":"web","image":"web:1"}]}`,
			createFields: `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:imagePullPolicy":{},"f:resources":{}}},
				"f:restartPolicy":{},"f:terminationGracePeriodSeconds":{}}}`,
			change: `{"spec":{"activeDeadlineSeconds":60}}`, changeFields: `{"f:spec":{"f:activeDeadlineSeconds":{}}}`,
			statusChange: `{"status":{"reason":"Tested"}}`, statusFields: `{"f:status":{"f:reason":{}}}`,
		},
	} {
		body := func(name string) string {
			return "{" + typeMeta + `"` + test.kind + `","metadata":{"name":"` + name + `"},` + test.create + "}"
		}
		for _, patch := range []string{harness.MergePatch, harness.StrategicPatch} {
			t.Run("a create and a patch of type "+patch+" of a "+test.kind, func(t *testing.T) {
				name := "patched-" + map[string]string{harness.MergePatch: "merge", harness.StrategicPatch: "strategic"}[patch]
				obj := client.Write(t, http.MethodPost, test.path+"?fieldManager=maker", harness.JSONBody, body(name))
				wantOwners(t, obj, map[ownership]string{updated("maker"): test.createFields})
				obj = client.Write(t, http.MethodPatch, test.path+"/"+name+"?fieldManager=changer", patch, test.change)
				wantOwners(t, obj, map[ownership]string{updated("maker"): test.createFields, updated("changer"): test.changeFields})
				if test.statusChange == "" {
					return
				}
				obj = client.Write(t, http.MethodPatch, test.path+"/"+name+"/status?fieldManager=changer", patch, test.statusChange)
				wantOwners(t, obj, map[ownership]string{
					updated("maker"): test.createFields, updated("changer"): test.changeFields, updatedStatus("changer"): test.statusFields,
				})
			})
		}
		t.Run("an update of a "+test.kind, func(t *testing.T) {
			client.Write(t, http.MethodPost, test.path+"?fieldManager=maker", harness.JSONBody, body("replaced"))
			whole := merged(t, client.Do(t, http.MethodGet, test.path+"/replaced", "", "", "").Body, test.change)
			obj := client.Write(t, http.MethodPut, test.path+"/replaced?fieldManager=changer", harness.JSONBody, whole)
			wantOwners(t, obj, map[ownership]string{updated("maker"): test.createFields, updated("changer"): test.changeFields})
			if test.statusChange == "" {
				return
			}
			whole = merged(t, client.Do(t, http.MethodGet, test.path+"/replaced", "", "", "").Body, test.statusChange)
			obj = client.Write(t, http.MethodPut, test.path+"/replaced/status?fieldManager=changer", harness.JSONBody, whole)
			wantOwners(t, obj, map[ownership]string{
				updated("maker"): test.createFields, updated("changer"): test.changeFields, updatedStatus("changer"): test.statusFields,
			})
		})
		t.Run("a JSON patch of a "+test.kind+" by a client that gives no name", func(t *testing.T) {
			client.Write(t, http.MethodPost, test.path+"?fieldManager=maker", harness.JSONBody, body("json-patched"))
			obj := client.Write(t, http.MethodPatch, test.path+"/json-patched", harness.JSONPatch, `[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`)
			// The name derives from the user agent: Go's HTTP client sends Go-http-client/1.1 or 2.0.
			wantOwners(t, obj, map[ownership]string{
				updated("maker"):          test.createFields,
				updated("Go-http-client"): `{"f:metadata":{"f:labels":{".":{},"f:a":{}}}}`,
			})
		})
	}
}

// merged applies a change to an object.
func merged(t *testing.T, obj []byte, change string) string {
	t.Helper()
	var lay func(under, over map[string]any)
	lay = func(under, over map[string]any) {
		for key, value := range over {
			if inner, ok := value.(map[string]any); ok {
				if below, ok := under[key].(map[string]any); ok {
					lay(below, inner)
					continue
				}
			}
			under[key] = value
		}
	}
	whole := decoded(t, string(obj))
	lay(whole, decoded(t, change))
	data, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAConflictBetweenManagersNamesTheFieldAndTheOwner(t *testing.T) {
	client := harness.NewRawClient(t, servertesting.Start(t).Config)
	client.Apply(t, harness.HostsPath+"/owned", "one", appliedHost)
	client.Apply(t, harness.HostsPath+"/owned/status", "one", appliedHostStatus)
	client.Apply(t, harness.LeasesPath+"/owned", "one", appliedLease)
	client.Apply(t, harness.InstancesPath+"/owned", "one", appliedInstance)
	for _, test := range []struct {
		name, path, body, old, new string
		fields                     []string
	}{
		{"a taint", harness.HostsPath + "/owned", appliedHost, "value: batch", "value: other", []string{`.spec.taints[effect="NoSchedule",key="example.com/dedicated"].value`}},
		{"a condition", harness.HostsPath + "/owned/status", appliedHostStatus, "reason: Tested", "reason: Other", []string{`.status.conditions[type="Ready"].reason`}},
		{"an amount", harness.HostsPath + "/owned/status", appliedHostStatus, `cpu: "4"`, `cpu: "5"`, []string{".status.capacity.cpu"}},
		{"an atomic list", harness.HostsPath + "/owned/status", appliedHostStatus, "192.0.2.1", "192.0.2.2", []string{".status.addresses"}},
		{"a lease", harness.LeasesPath + "/owned", appliedLease, "holderIdentity: owned", "holderIdentity: other", []string{".spec.holderIdentity"}},
		{"an image", harness.InstancesPath + "/owned", appliedInstance, "image: web:1", "image: web:2", []string{`.spec.containers[name="web"].image`}},
		{"a variable", harness.InstancesPath + "/owned", appliedInstance, "value: info", "value: debug", []string{`.spec.containers[name="web"].env[name="LOG_LEVEL"].value`}},
		{"a port", harness.InstancesPath + "/owned", appliedInstance, "name: http", "name: web", []string{`.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].name`}},
		{"an atomic map", harness.InstancesPath + "/owned", appliedInstance, "zone: a", "zone: b", []string{".spec.hostSelector"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := strings.Replace(test.body, test.old, test.new, 1)
			if body == test.body {
				t.Fatal("the row changes nothing")
			}
			answer := client.Do(t, http.MethodPatch, test.path+"?fieldManager=two", harness.ApplyPatch, "", body)
			if answer.Code != http.StatusConflict || answer.Status == nil || answer.Status.Reason != metav1.StatusReasonConflict {
				t.Fatalf("answered %d %s", answer.Code, answer.Body)
			}
			var fields []string
			for _, cause := range answer.Status.Details.Causes {
				fields = append(fields, cause.Field)
				if cause.Type != metav1.CauseTypeFieldManagerConflict || !strings.Contains(cause.Message, `"one"`) {
					t.Errorf("the cause does not name the owner: %+v", cause)
				}
			}
			if !slices.Equal(fields, test.fields) {
				t.Errorf("the conflict names %q, want %q: %s", fields, test.fields, answer.Status.Message)
			}
		})
	}
}

const (
	applyOne = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"shared"},"spec":{"unschedulable":true,"taints":[{"key":"a","effect":"NoExecute","value":"1"},{"key":"b","effect":"NoExecute"}]}}`
	applyTwo = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"shared"},"spec":{"taints":[{"key":"a","effect":"NoExecute","value":"2"},{"key":"c","effect":"NoExecute"}]}}`
	taintA   = `"k:{\"effect\":\"NoExecute\",\"key\":\"a\"}":{".":{},"f:key":{},"f:effect":{},"f:value":{}}`
)

func TestAForcedApplyTakesAFieldAndADroppedFieldGoesWithItsLastOwner(t *testing.T) {
	client := harness.NewRawClient(t, servertesting.Start(t).Config)
	path := harness.HostsPath + "/shared"
	client.Apply(t, path, "one", applyOne)
	obj := client.Write(t, http.MethodPatch, path+"?fieldManager=two&force=true", harness.ApplyPatch, applyTwo)
	wantOwners(t, obj, map[ownership]string{
		applied("one"): `{"f:spec":{"f:unschedulable":{},"f:taints":{
			"k:{\"effect\":\"NoExecute\",\"key\":\"a\"}":{".":{},"f:key":{},"f:effect":{}},
			"k:{\"effect\":\"NoExecute\",\"key\":\"b\"}":{".":{},"f:key":{},"f:effect":{}}}}}`,
		applied("two"): `{"f:spec":{"f:taints":{` + taintA + `,"k:{\"effect\":\"NoExecute\",\"key\":\"c\"}":{".":{},"f:key":{},"f:effect":{}}}}}`,
	})
	wantTaints(t, obj, "a=2", "b=", "c=")

	// Fields that the first manager no longer applies are removed, unless another manager owns them.
	obj = client.Apply(t, path, "one", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"shared"},"spec":{"unschedulable":true}}`)
	wantTaints(t, obj, "a=2", "c=")
	if obj.Spec["unschedulable"] != true {
		t.Errorf("the host is not unschedulable any more: %v", obj.Spec)
	}
}

// wantTaints compares the taints of a host, as key=value, with the expected ones.
func wantTaints(t *testing.T, host harness.Object, want ...string) {
	t.Helper()
	var got []string
	list, _ := host.Spec["taints"].([]any)
	for _, item := range list {
		taint := item.(map[string]any)
		value, _ := taint["value"].(string)
		got = append(got, taint["key"].(string)+"="+value)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the host has the taints %q, want %q", got, want)
	}
}

// An apply of a whole object to one endpoint owns only the fields that this endpoint writes.
func TestAnApplyOwnsNothingThatItsEndpointLeavesAlone(t *testing.T) {
	client := harness.NewRawClient(t, servertesting.Start(t).Config)
	const whole = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"whole","labels":{"a":"b"}},"spec":{"unschedulable":true},"status":{"info":{"machineID":"1"}}}`
	const specFields = `{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:unschedulable":{}}}`
	obj := client.Apply(t, harness.HostsPath+"/whole", "ops", whole)
	wantOwners(t, obj, map[ownership]string{applied("ops"): specFields})
	if info, _ := obj.Status["info"].(map[string]any); len(info) != 0 {
		t.Errorf("the main endpoint wrote the status: %v", obj.Status)
	}

	other := strings.NewReplacer(`"b"`, `"stolen"`, "true", "false").Replace(whole)
	obj = client.Apply(t, harness.HostsPath+"/whole/status", "agent", other)
	wantOwners(t, obj, map[ownership]string{
		applied("ops"):         specFields,
		appliedStatus("agent"): `{"f:status":{"f:info":{"f:machineID":{}}}}`,
	})
	if obj.Labels["a"] != "b" || obj.Spec["unschedulable"] != true {
		t.Errorf("the status endpoint wrote labels or spec: %v %v", obj.Labels, obj.Spec)
	}
}

// A binding is not a write by a field manager. It must keep the ownership of others, and an apply
// without the host must not remove the host.
func TestABindingLeavesOwnershipAndAnApplyLeavesTheBinding(t *testing.T) {
	client := harness.NewRawClient(t, servertesting.Start(t).Config)
	client.Apply(t, harness.HostsPath+"/owned", "ops", appliedHost)
	client.Apply(t, harness.InstancesPath+"/owned", "ops", appliedInstance)
	client.Do(t, http.MethodPost, harness.InstancesPath+"/owned/binding", harness.JSONBody, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","target":{"kind":"Host","name":"owned"}}`)
	obj := client.Apply(t, harness.InstancesPath+"/owned", "ops", strings.Replace(appliedInstance, "web:1", "web:2", 1))
	if obj.Spec["hostName"] != "owned" {
		t.Errorf("the instance is bound to %v", obj.Spec["hostName"])
	}
	for _, entry := range obj.ManagedFields {
		if entry.Manager == "ops" && entry.Operation == metav1.ManagedFieldsOperationApply {
			wantOwners(t, harness.Object{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{entry}}}, map[ownership]string{applied("ops"): appliedInstanceFields})
			return
		}
	}
	t.Error("the binding took ownership away")
}

// An applied configuration may differ in form from the stored object: defaults
// are omitted, a quantity is a number. A repeated apply must still change nothing,
// not even the time in managedFields, or a client that applies in a loop would wake every watch.
func TestApplyingTheSameAgainWritesNothing(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewRawClient(t, server.Config)
	for _, tc := range []struct{ name, path, body string }{
		{"an app without its defaults", "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/apps/a", anApp("a", `"replicas":2`)},
		{"a secret in plain text", "/api/v1/namespaces/default/secrets/a", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"stringData":{"a":"b"}}`},
		{"a quota in numbers", "/api/v1/namespaces/default/resourcequotas/a", `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"a"},"spec":{"hard":{"secrets":10}}}`},
		{"a binding with a subject without a group", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/a", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"a"},
			"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"jane"}]}`},
		{"a webhook with rules without a scope", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/a", `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"a"},
			"webhooks":[{"name":"a.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{"url":"https://127.0.0.1:1/"},"namespaceSelector":{"matchLabels":{"no":"where"}},
			"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]}]}`},
		{"a policy with rules without a scope", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/a", `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"a"},
			"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]},"validations":[{"expression":"true"}]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			first := client.Apply(t, tc.path, "keeper", tc.body)
			// Times are stored in seconds: within the same second nothing would differ anyway.
			harness.ComesTrue(t, func(context.Context) string {
				if !time.Now().Truncate(time.Second).After(first.ManagedFields[0].Time.Time) {
					return "the clock stands still"
				}
				return ""
			})
			again := client.Apply(t, tc.path, "keeper", tc.body)
			// The resourceVersion is not compared, because a controller may write the status meanwhile.
			if was, is := first.ManagedFields[0], again.ManagedFields[0]; is.Manager != "keeper" || !is.Time.Equal(was.Time) {
				t.Errorf("written again: %+v became %+v", was, is)
			}
		})
	}
}
