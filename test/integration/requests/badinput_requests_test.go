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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func malformedRequests() []harness.WrongRequest {
	return []harness.WrongRequest{
		{Name: "A body of more than 3 MiB is refused", Path: harness.HostsPath,
			Body: `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 3<<20) + `"}}}`,
			Code: http.StatusRequestEntityTooLarge, Reason: metav1.StatusReasonRequestEntityTooLarge, Message: "limit is 3145728"},
		{Name: "JSON that ends too early is refused", Path: harness.HostsPath, Body: harness.GoodHost[:len(harness.GoodHost)-2],
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "unexpected end of JSON input"},
		{Name: "JSON with a value of the wrong type is refused with the field's name", Path: harness.HostsPath,
			Body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"wrong"},"spec":{"unschedulable":"yes"}}`,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "cannot unmarshal string into Go struct field HostSpec.spec.unschedulable of type bool"},
		{Name: "An empty body is refused", Path: harness.HostsPath, ContentType: harness.JSONBody,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "unexpected end of JSON input"},
		{Name: "JSON that is no object is refused", Path: harness.HostsPath, Body: `["edge-1"]`,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "cannot unmarshal array"},
		{Name: "Invalid YAML is refused", Path: harness.HostsPath, ContentType: harness.YAMLBody, Body: "apiVersion: fleet.gatehouse.dev/v1alpha1\n\tkind: Host\n",
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "yaml: line 2: found a tab character that violates indentation"},
		{Name: "Protobuf without its prefix is refused", Path: harness.HostsPath, ContentType: harness.ProtobufBody, Body: "not protobuf",
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "does not appear to be a protobuf message"},
		{Name: "Protobuf with rubbish behind its prefix is refused", Path: harness.HostsPath, ContentType: harness.ProtobufBody, Body: "k8s\x00\xff\xff\xff\xff",
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "unexpected EOF"},
		{Name: "A media type that the server does not read is refused with those that it does", Path: harness.HostsPath, ContentType: "text/plain", Body: harness.GoodHost,
			Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType, Message: "application/vnd.kubernetes.protobuf"},
		{Name: "An invalid media type is refused", Path: harness.HostsPath, ContentType: "json", Body: harness.GoodHost,
			Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType, Message: "application/json"},
		{Name: "An answer in a media type that the server does not write is refused with those that it does", Method: http.MethodGet, Path: harness.HostsPath, Accept: "text/html",
			Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: "application/vnd.kubernetes.protobuf"},
		{Name: "A table in an unknown version is refused", Method: http.MethodGet, Path: harness.HostsPath, Accept: "application/json;as=Table;v=v9;g=meta.k8s.io",
			Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: "application/json"},
		{Name: "A create that accepts only an unknown media type is refused before it is stored", Path: harness.HostsPath, Accept: "text/html", Body: harness.GoodHost,
			Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable, Message: "application/json"},

		{Name: "An unknown group is not found", Method: http.MethodGet, Path: "/apis/fleet.example.com/v1/hosts", Code: http.StatusNotFound, Message: `"/apis/fleet.gatehouse.dev/v1alpha1"`},
		{Name: "An unknown version is not found", Method: http.MethodGet, Path: "/apis/fleet.gatehouse.dev/v9/hosts", Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"},
		{Name: "An unknown resource is not found", Method: http.MethodGet, Path: harness.FleetPath + "/pods", Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"},
		{Name: "An unknown subresource is not found", Method: http.MethodGet, Path: harness.InstancesPath + "/seed/proxy", Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"},
		{Name: "A status endpoint that a kind does not have is not found", Method: http.MethodPatch, Path: harness.LeasesPath + "/edge-1/status", Body: "{}", Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"},
		{Name: "A namespaced path of a cluster-scoped kind is not found", Method: http.MethodGet, Path: harness.FleetPath + "/namespaces/default/hosts", Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "the server could not find the requested resource"},
		{Name: "An object that does not exist is not found", Method: http.MethodGet, Path: harness.HostsPath + "/nobody",
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `hosts.fleet.gatehouse.dev "nobody" not found`},
		{Name: "An update of what does not exist is not found, and creates nothing", Method: http.MethodPut, Path: harness.HostsPath + "/wrong", Body: harness.GoodHost,
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `hosts.fleet.gatehouse.dev "wrong" not found`},
		{Name: "A status of what does not exist is not found, and creates nothing", Method: http.MethodPatch, Path: harness.HostsPath + "/wrong/status", Body: `{"status":{}}`,
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `hosts.fleet.gatehouse.dev "wrong" not found`},

		{Name: "A create at an object's own path is not allowed", Path: harness.HostsPath + "/wrong", Body: harness.GoodHost, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},
		{Name: "An update of a collection is not allowed", Method: http.MethodPut, Path: harness.HostsPath, Body: harness.GoodHost, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},
		{Name: "A create in all namespaces at once is not allowed", Path: harness.FleetPath + "/instances", Body: seedInstance, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},
		{Name: "A delete of a status is not allowed", Method: http.MethodDelete, Path: harness.HostsPath + "/edge-1/status", Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},
		{Name: "A create of a status is not allowed", Path: harness.InstancesPath + "/seed/status", Body: seedInstance, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},
		{Name: "A get of a binding is not allowed", Method: http.MethodGet, Path: harness.InstancesPath + "/seed/binding", Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},

		{Name: "A body of another served kind is refused", Path: harness.InstancesPath, Body: harness.GoodHost,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `Host in version "v1alpha1" cannot be handled as a Instance`},
		{Name: "A body of a kind that is not served is refused", Path: harness.InstancesPath, Body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"wrong"}}`,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `no kind "Pod" is registered for version "v1"`},
		{Name: "A body in an unknown version is refused", Path: harness.HostsPath, Body: `{"apiVersion":"fleet.gatehouse.dev/v9","kind":"Host","metadata":{"name":"wrong"}}`,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "fleet.gatehouse.dev/v9"},
		{Name: "A create in another namespace than the URL's is refused", Path: harness.InstancesPath, Body: strings.Replace(seedInstance, `"name":"seed"`, `"name":"wrong","namespace":"other"`, 1),
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "the namespace of the provided object does not match the namespace sent on the request"},
		{Name: "A create of a name that is taken is a conflict", Path: harness.HostsPath, Body: strings.Replace(harness.GoodHost, "wrong", "edge-1", 1),
			Code: http.StatusConflict, Reason: metav1.StatusReasonAlreadyExists, Message: `hosts.fleet.gatehouse.dev "edge-1" already exists`},

		{Name: "A create with an unknown dryRun is refused", Path: harness.HostsPath + "?dryRun=foo", Body: harness.GoodHost,
			Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"dryRun"}, Message: `supported values: "All"`},
		{Name: "A create with an unknown fieldValidation is refused", Path: harness.HostsPath + "?fieldValidation=Loud", Body: harness.GoodHost,
			Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"fieldValidation"}, Message: "Strict"},
		{Name: "A create with a fieldManager of more than 128 characters is refused", Path: harness.HostsPath + "?fieldManager=" + strings.Repeat("m", 129), Body: harness.GoodHost,
			Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"fieldManager"}, Message: "128"},
		{Name: "A strict create with an unknown field is refused", Path: harness.HostsPath + "?fieldValidation=Strict", Body: strings.Replace(harness.GoodHost, `}}`, `},"spec":{"unschedulabel":true}}`, 1),
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `strict decoding error: unknown field "spec.unschedulabel"`},
		{Name: "A strict create with a field given twice is refused", Path: harness.HostsPath + "?fieldValidation=Strict", Body: strings.Replace(harness.GoodHost, `}}`, `},"spec":{"unschedulable":true,"unschedulable":false}}`, 1),
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `strict decoding error: duplicate field "spec.unschedulable"`},
		{Name: "A strict create in YAML with a field given twice is refused", Path: harness.HostsPath + "?fieldValidation=Strict", ContentType: harness.YAMLBody,
			Body: "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Host\nmetadata:\n  name: wrong\nspec:\n  unschedulable: true\n  unschedulable: false\n",
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `key "unschedulable" already set in map`},
	}
}

func wrongReads() []harness.WrongRequest {
	const badRequest, invalid = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	get := func(row harness.WrongRequest) harness.WrongRequest {
		row.Method = http.MethodGet
		return row
	}
	return []harness.WrongRequest{
		get(harness.WrongRequest{Name: "An invalid label selector is refused", Path: harness.InstancesPath + "?labelSelector=a+in+(", Code: http.StatusBadRequest, Reason: badRequest, Message: "unable to parse requirement"}),
		get(harness.WrongRequest{Name: "An invalid field selector is refused", Path: harness.InstancesPath + "?fieldSelector=spec.hostName", Code: http.StatusBadRequest, Reason: badRequest, Message: "invalid selector"}),
		get(harness.WrongRequest{Name: "A field selector by a field that instances cannot be selected by is refused with those that they can", Path: harness.InstancesPath + "?fieldSelector=spec.image%3Da",
			Code: http.StatusBadRequest, Reason: badRequest, Message: "spec.hostName spec.serviceAccountName spec.restartPolicy status.phase"}),
		get(harness.WrongRequest{Name: "A field selector by a field that hosts cannot be selected by is refused", Path: harness.HostsPath + "?fieldSelector=spec.unschedulable%3Dtrue", Code: http.StatusBadRequest, Reason: badRequest, Message: `"spec.unschedulable" is not a known field selector: only "metadata.name", "metadata.namespace"`}),
		get(harness.WrongRequest{Name: "A watch with a field selector by an unknown field is refused", Path: harness.InstancesPath + "?watch=1&fieldSelector=spec.image%3Da", Code: http.StatusBadRequest, Reason: badRequest, Message: "field label not supported"}),
		get(harness.WrongRequest{Name: "A watch with an invalid label selector is refused", Path: harness.InstancesPath + "?watch=1&labelSelector=!!", Code: http.StatusBadRequest, Reason: badRequest, Message: "unable to parse requirement"}),
		get(harness.WrongRequest{Name: "An invalid continue token is refused", Path: harness.InstancesPath + "?limit=1&continue=bogus", Code: http.StatusBadRequest, Reason: badRequest, Message: "continue key is not valid"}),
		get(harness.WrongRequest{Name: "A continue token together with a resourceVersion is refused", Path: harness.InstancesPath + "?limit=1&resourceVersion=5&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJ4In0", Code: http.StatusBadRequest, Reason: badRequest, Message: "specifying resource version is not allowed when using continue"}),
		get(harness.WrongRequest{Name: "A limit that is no number is refused", Path: harness.InstancesPath + "?limit=ten", Code: http.StatusBadRequest, Reason: badRequest, Message: `parsing "ten": invalid syntax`}),
		get(harness.WrongRequest{Name: "A list at an invalid resourceVersion is refused", Path: harness.InstancesPath + "?resourceVersion=abc", Code: http.StatusBadRequest, Reason: badRequest, Message: "invalid resource version"}),
		get(harness.WrongRequest{Name: "A get at an invalid resourceVersion is refused", Path: harness.InstancesPath + "/seed?resourceVersion=abc", Code: http.StatusBadRequest, Reason: badRequest, Message: `resourceVersion: Invalid value: "abc"`}),
		get(harness.WrongRequest{Name: "A watch from an invalid resourceVersion is refused", Path: harness.InstancesPath + "?watch=1&resourceVersion=abc", Code: http.StatusBadRequest, Reason: badRequest, Message: `resourceVersion: Invalid value: "abc"`}),
		get(harness.WrongRequest{Name: "A list at a resourceVersion that has not come yet is refused", Path: harness.InstancesPath + "?resourceVersion=999999999", Code: http.StatusGatewayTimeout, Reason: metav1.StatusReasonTimeout, Fields: []string{""}, Message: "Too large resource version: 999999999"}),
		get(harness.WrongRequest{Name: "A resourceVersionMatch without a resourceVersion is refused", Path: harness.InstancesPath + "?resourceVersionMatch=Exact", Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"resourceVersionMatch"}, Message: "unless resourceVersion is provided"}),
		get(harness.WrongRequest{Name: "An unknown resourceVersionMatch is refused", Path: harness.InstancesPath + "?resourceVersion=5&resourceVersionMatch=Roughly", Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"resourceVersionMatch"}, Message: "NotOlderThan"}),
		get(harness.WrongRequest{Name: "Initial events without a watch are refused", Path: harness.InstancesPath + "?sendInitialEvents=true", Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"sendInitialEvents"}, Message: "forbidden for list"}),
		get(harness.WrongRequest{Name: "Initial events without a resourceVersionMatch are refused", Path: harness.InstancesPath + "?watch=1&sendInitialEvents=true", Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"resourceVersionMatch"}, Message: "NotOlderThan"}),
		get(harness.WrongRequest{Name: "A time-out of a watch that is no number is refused", Path: harness.InstancesPath + "?watch=1&timeoutSeconds=soon", Code: http.StatusBadRequest, Reason: badRequest, Message: `parsing "soon": invalid syntax`}),
		get(harness.WrongRequest{Name: "A name with a percent sign is refused", Path: harness.InstancesPath + "/a%25b", Code: http.StatusBadRequest, Reason: badRequest, Message: "may not contain '%'"}),
	}
}

func wrongPatches() []harness.WrongRequest {
	patch := func(row harness.WrongRequest) harness.WrongRequest {
		row.Method = http.MethodPatch
		if row.Path == "" {
			row.Path = harness.InstancesPath + "/seed"
		}
		return row
	}
	const badRequest, invalid = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	return []harness.WrongRequest{
		patch(harness.WrongRequest{Name: "A JSON patch that replaces what is not there is refused", ContentType: harness.JSONPatch, Body: `[{"op":"replace","path":"/spec/nothing/here","value":1}]`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Message: "the server rejected our request due to an error in our request"}),
		patch(harness.WrongRequest{Name: "A JSON patch with a failing test is refused", ContentType: harness.JSONPatch, Body: `[{"op":"test","path":"/spec/restartPolicy","value":"Never"}]`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Message: "the server rejected our request due to an error in our request"}),
		patch(harness.WrongRequest{Name: "A JSON patch with a path that does not begin with a slash is refused", ContentType: harness.JSONPatch, Body: `[{"op":"add","path":"invalid","value":1}]`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Message: "the server rejected our request due to an error in our request"}),
		patch(harness.WrongRequest{Name: "A JSON patch that is no JSON is refused", ContentType: harness.JSONPatch, Body: `nothing`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "invalid JSON patch"}),
		patch(harness.WrongRequest{Name: "A strategic merge patch that is no JSON is refused", ContentType: harness.StrategicPatch, Body: `nothing`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "invalid JSON patch"}),
		patch(harness.WrongRequest{Name: "A JSON patch that is no list is refused", ContentType: harness.JSONPatch, Body: `{"spec":{}}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "cannot unmarshal object"}),
		patch(harness.WrongRequest{Name: "A JSON patch with an unknown operation is refused", ContentType: harness.JSONPatch, Body: `[{"op":"bend","path":"/spec"}]`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Message: "the server rejected our request due to an error in our request"}),
		patch(harness.WrongRequest{Name: "A JSON patch of more than 10,000 operations is refused", ContentType: harness.JSONPatch, Body: "[" + strings.Repeat(`{"op":"test","path":"/kind","value":"Instance"},`, 10000) + `{"op":"test","path":"/kind","value":"Instance"}]`,
			Code: http.StatusRequestEntityTooLarge, Reason: metav1.StatusReasonRequestEntityTooLarge, Message: "1000"}),
		patch(harness.WrongRequest{Name: "A merge patch that is no object is refused", ContentType: harness.MergePatch, Body: `["a"]`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "cannot unmarshal array"}),
		patch(harness.WrongRequest{Name: "A merge patch that ends too early is refused", ContentType: harness.MergePatch, Body: `{"spec":`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "invalid JSON patch"}),
		patch(harness.WrongRequest{Name: "A merge patch with a value of the wrong type is refused", ContentType: harness.MergePatch, Body: `{"spec":{"containers":"all"}}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"patch"}, Message: "cannot unmarshal string into Go struct field InstanceSpec.spec.containers"}),
		patch(harness.WrongRequest{Name: "A strategic merge patch that is no object is refused", ContentType: harness.StrategicPatch, Body: `["a"]`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "cannot unmarshal array"}),
		patch(harness.WrongRequest{Name: "A patch of an unknown type is refused", ContentType: harness.JSONBody, Body: `{}`,
			Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType, Message: "415: Unsupported Media Type"}),
		patch(harness.WrongRequest{Name: "A patch of what does not exist is not found", Path: harness.InstancesPath + "/nobody", Body: `{}`,
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `instances.fleet.gatehouse.dev "nobody" not found`}),
		patch(harness.WrongRequest{Name: "A patch of the name is refused", Body: `{"metadata":{"name":"other"}}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: `the name of the object (other) does not match the name on the URL (seed)`}),
		patch(harness.WrongRequest{Name: "A patch of the namespace is refused", Body: `{"metadata":{"namespace":"other"}}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "the namespace of the provided object does not match the namespace sent on the request"}),
		patch(harness.WrongRequest{Name: "A patch of the uid is refused", Body: `{"metadata":{"uid":"other"}}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"metadata.uid"}, Message: "field is immutable"}),
		patch(harness.WrongRequest{Name: "A patch from a stale resourceVersion is a conflict", Body: `{"metadata":{"resourceVersion":"1","labels":{"a":"b"}}}`,
			Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: "the object has been modified; please apply your changes to the latest version and try again"}),
		patch(harness.WrongRequest{Name: "A patch of the kind is refused", Body: `{"kind":"Host"}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"patch"}, Message: "converting (v1alpha1.Host) to (fleet.Instance)"}),
		patch(harness.WrongRequest{Name: "A patch with an unknown dryRun is refused", Path: harness.InstancesPath + "/seed?dryRun=foo", Body: `{}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"dryRun"}, Message: `supported values: "All"`}),
		patch(harness.WrongRequest{Name: "A forced patch that is no apply is refused", Path: harness.InstancesPath + "/seed?force=true", Body: `{}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"force"}, Message: "may not be specified for non-apply patch"}),
		patch(harness.WrongRequest{Name: "A strict merge patch with an unknown field is refused", Path: harness.InstancesPath + "/seed?fieldValidation=Strict", Body: `{"spec":{"restartPolice":"Never"}}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"patch"}, Message: `strict decoding error: unknown field "spec.restartPolice"`}),
		patch(harness.WrongRequest{Name: "A strict merge patch with a field given twice is refused", Path: harness.InstancesPath + "/seed?fieldValidation=Strict", Body: `{"metadata":{"labels":{"a":"b"},"labels":{"a":"c"}}}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"patch"}, Message: `strict decoding error: duplicate field "metadata.labels"`}),
	}
}

func wrongApplies() []harness.WrongRequest {
	apply := func(row harness.WrongRequest) harness.WrongRequest {
		row.Method, row.ContentType = http.MethodPatch, harness.ApplyPatch
		if row.Path == "" {
			row.Path = harness.InstancesPath + "/applied?fieldManager=two"
		}
		return row
	}
	const head = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"}`
	const badRequest, invalid = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	return []harness.WrongRequest{
		apply(harness.WrongRequest{Name: "An apply that is no object is refused", Body: "nothing",
			Code: http.StatusBadRequest, Reason: badRequest, Message: "cannot unmarshal string"}),
		apply(harness.WrongRequest{Name: "An apply without a field manager is refused", Path: harness.InstancesPath + "/applied", Body: head + `}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"fieldManager"}, Message: "is required for apply patch"}),
		apply(harness.WrongRequest{Name: "An apply of what another manager owns is a conflict with the field and the manager", Body: head + `,"spec":{"containers":[{"name":"web","image":"web:2"}]}}`,
			Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Fields: []string{`.spec.containers[name="web"].image`}, Message: `conflict with "one"`}),
		apply(harness.WrongRequest{Name: "An apply that is no YAML is refused", Body: "a: b: c",
			Code: http.StatusBadRequest, Reason: badRequest, Message: "mapping values are not allowed in this context"}),
		apply(harness.WrongRequest{Name: "An apply without apiVersion and kind is refused", Body: `{"metadata":{"name":"applied"}}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "invalid object type"}),
		apply(harness.WrongRequest{Name: "An apply of another kind is refused", Body: strings.Replace(head, "Instance", "Host", 1) + `}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "Host"}),
		apply(harness.WrongRequest{Name: "An apply with managedFields is refused", Body: head[:len(head)-1] + `,"managedFields":[{"manager":"two"}]}}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "metadata.managedFields must be nil"}),
		apply(harness.WrongRequest{Name: "An apply with the uid of an object that is gone is a conflict", Path: harness.InstancesPath + "/gone?fieldManager=two", Body: strings.Replace(head, `"applied"`, `"gone","uid":"e9ce1eb1-4b5a-4a3a-8f4a-1a2b3c4d5e6f"`, 1) + `,"spec":{"containers":[{"name":"web","image":"web:1"}]}}`,
			Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: "uid mismatch"}),
	}
}

func wrongDeletes() []harness.WrongRequest {
	del := func(row harness.WrongRequest) harness.WrongRequest {
		row.Method = http.MethodDelete
		if row.Path == "" {
			row.Path = harness.InstancesPath + "/seed"
		}
		return row
	}
	const badRequest, invalid, conflict = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid, metav1.StatusReasonConflict
	return []harness.WrongRequest{
		del(harness.WrongRequest{Name: "A delete of what does not exist is not found", Path: harness.InstancesPath + "/nobody",
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `instances.fleet.gatehouse.dev "nobody" not found`}),
		del(harness.WrongRequest{Name: "Delete options that are no JSON are refused", Body: `{"gracePeriodSeconds"`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "unexpected end of JSON input"}),
		del(harness.WrongRequest{Name: "Delete options of the wrong type are refused", Body: `{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":"soon"}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: "gracePeriodSeconds"}),
		del(harness.WrongRequest{Name: "Delete options of another kind are refused", Body: seedInstance,
			Code: http.StatusBadRequest, Reason: badRequest, Message: `no kind "Instance" is registered`}),
		del(harness.WrongRequest{Name: "A delete with an unknown dryRun is refused", Body: `{"dryRun":["foo"]}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"dryRun"}, Message: `supported values: "All"`}),
		del(harness.WrongRequest{Name: "A delete with an unknown dryRun in the URL is refused", Path: harness.InstancesPath + "/seed?dryRun=foo",
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"dryRun"}, Message: `supported values: "All"`}),
		del(harness.WrongRequest{Name: "A delete with a grace period that is no number is refused", Path: harness.InstancesPath + "/seed?gracePeriodSeconds=soon",
			Code: http.StatusBadRequest, Reason: badRequest, Message: `parsing "soon": invalid syntax`}),
		del(harness.WrongRequest{Name: "A delete with an unknown propagation policy is refused", Body: `{"propagationPolicy":"Sideways"}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"propagationPolicy"}, Message: "Background"}),
		del(harness.WrongRequest{Name: "A delete with both a propagation policy and orphanDependents is refused", Body: `{"propagationPolicy":"Background","orphanDependents":false}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"propagationPolicy"}, Message: "orphanDependents and deletionPropagation cannot be both set"}),
		del(harness.WrongRequest{Name: "A delete of another uid is a conflict", Body: `{"preconditions":{"uid":"other"}}`,
			Code: http.StatusConflict, Reason: conflict, Message: "the UID in the precondition (other) does not match the UID in record (" + seedUID + ")"}),
		del(harness.WrongRequest{Name: "A delete of another resourceVersion is a conflict", Body: `{"preconditions":{"resourceVersion":"1"}}`,
			Code: http.StatusConflict, Reason: conflict, Message: "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (" + seedVersion + ")"}),
		del(harness.WrongRequest{Name: "A delete of a host by another uid is a conflict", Path: harness.HostsPath + "/edge-1", Body: `{"preconditions":{"uid":"other"}}`,
			Code: http.StatusConflict, Reason: conflict, Message: "the UID in the precondition (other) does not match the UID in record"}),
		del(harness.WrongRequest{Name: "A delete of a collection with an invalid selector is refused", Path: harness.InstancesPath + "?labelSelector=!!",
			Code: http.StatusBadRequest, Reason: badRequest, Message: "unable to parse requirement"}),
		del(harness.WrongRequest{Name: "A delete of a collection with an unknown field selector is refused", Path: harness.InstancesPath + "?fieldSelector=spec.image%3Da",
			Code: http.StatusBadRequest, Reason: badRequest, Message: "field label not supported"}),
		del(harness.WrongRequest{Name: "A delete of a collection with an unknown dryRun is refused", Path: harness.InstancesPath, Body: `{"dryRun":["foo"]}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"dryRun"}, Message: `supported values: "All"`}),
	}
}

func wrongUpdates() []harness.WrongRequest {
	const head = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance",`
	put := func(row harness.WrongRequest) harness.WrongRequest {
		row.Method = http.MethodPut
		if row.Path == "" {
			row.Path = harness.InstancesPath + "/seed"
		}
		return row
	}
	metadata := func(metadata string) string {
		return strings.Replace(seedInstance, `"name":"seed"`, metadata, 1)
	}
	const badRequest, invalid, conflict = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid, metav1.StatusReasonConflict
	return []harness.WrongRequest{
		put(harness.WrongRequest{Name: "An update without a resourceVersion is refused", Body: seedInstance,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"metadata.resourceVersion"}, Message: "must be specified for an update"}),
		put(harness.WrongRequest{Name: "A status update without a resourceVersion is refused", Path: harness.InstancesPath + "/seed/status", Body: seedInstance,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"metadata.resourceVersion"}, Message: "must be specified for an update"}),
		put(harness.WrongRequest{Name: "An update of a host without a resourceVersion is refused", Path: harness.HostsPath + "/edge-1", Body: strings.Replace(harness.GoodHost, "wrong", "edge-1", 1),
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"metadata.resourceVersion"}, Message: "must be specified for an update"}),
		put(harness.WrongRequest{Name: "An update of a host lease without a resourceVersion is refused", Path: harness.LeasesPath + "/edge-1", Body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"edge-1"}}`,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"metadata.resourceVersion"}, Message: "must be specified for an update"}),
		put(harness.WrongRequest{Name: "An update from a stale resourceVersion is a conflict", Body: metadata(`"name":"seed","resourceVersion":"1"`),
			Code: http.StatusConflict, Reason: conflict, Message: "the object has been modified; please apply your changes to the latest version and try again"}),
		put(harness.WrongRequest{Name: "A status update from a stale resourceVersion is a conflict", Path: harness.InstancesPath + "/seed/status", Body: metadata(`"name":"seed","resourceVersion":"1"`),
			Code: http.StatusConflict, Reason: conflict, Message: "the object has been modified"}),
		put(harness.WrongRequest{Name: "An update with an invalid resourceVersion is refused", Body: metadata(`"name":"seed","resourceVersion":"abc"`),
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"metadata.resourceVersion"}, Message: "abc"}),
		put(harness.WrongRequest{Name: "An update with another uid is a conflict", Body: metadata(`"name":"seed","uid":"other","resourceVersion":"` + seedVersion + `"`),
			Code: http.StatusConflict, Reason: conflict, Message: "UID in precondition: other, UID in object meta: "}),
		put(harness.WrongRequest{Name: "An update with another name than the URL's is refused", Body: metadata(`"name":"other","resourceVersion":"` + seedVersion + `"`),
			Code: http.StatusBadRequest, Reason: badRequest, Message: "the name of the object (other) does not match the name on the URL (seed)"}),
		put(harness.WrongRequest{Name: "An update in another namespace than the URL's is refused", Body: metadata(`"name":"seed","namespace":"other","resourceVersion":"` + seedVersion + `"`),
			Code: http.StatusBadRequest, Reason: badRequest, Message: "the namespace of the provided object does not match the namespace sent on the request"}),
		put(harness.WrongRequest{Name: "An update with a body of another kind is refused", Body: strings.Replace(harness.GoodHost, "wrong", "seed", 1),
			Code: http.StatusBadRequest, Reason: badRequest, Message: `Host in version "v1alpha1" cannot be handled as a Instance`}),
		put(harness.WrongRequest{Name: "An update with an unknown dryRun is refused", Path: harness.InstancesPath + "/seed?dryRun=foo", Body: seedInstance,
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"dryRun"}, Message: `supported values: "All"`}),
		put(harness.WrongRequest{Name: "A strict update with an unknown field is refused", Path: harness.InstancesPath + "/seed?fieldValidation=Strict", Body: head + `"metadata":{"name":"seed"},"specs":{}}`,
			Code: http.StatusBadRequest, Reason: badRequest, Message: `strict decoding error: unknown field "specs"`}),
		put(harness.WrongRequest{Name: "An update that changes what may not is refused even with everything else right", Body: strings.Replace(metadata(`"name":"seed","resourceVersion":"`+seedVersion+`"`), `"restartPolicy":"Always"`, `"restartPolicy":"Never"`, 1),
			Code: http.StatusUnprocessableEntity, Reason: invalid, Fields: []string{"spec.restartPolicy"}, Message: "field is immutable"}),
	}
}

// libraryFaults are requests to which k8s.io/apiserver, and so a kube-apiserver for pods and nodes, responds
// with a 500 without a reason, although the caller is at fault. The message describes the
// fault. They are listed here so that a better response of the library is noticed.
func libraryFaults() []harness.WrongRequest {
	fault := func(name, path, contentType, spec, message string) harness.WrongRequest {
		body := `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"},"spec":` + spec + `}`
		return harness.WrongRequest{Name: name, Method: http.MethodPatch, Path: path, ContentType: contentType, Body: body, Code: http.StatusInternalServerError, Message: message}
	}
	const applied = harness.InstancesPath + "/applied"
	return []harness.WrongRequest{
		fault("An apply with an unknown field names it", applied+"?fieldManager=two&fieldValidation=Strict", harness.ApplyPatch, `{"restartPolice":"Never"}`, ".spec.restartPolice: field not declared in schema"),
		fault("An apply with an item of a list given twice names it", applied+"?fieldManager=two", harness.ApplyPatch, `{"containers":[{"name":"a","image":"a:1"},{"name":"a","image":"b:1"}]}`, `.spec.containers: duplicate entries for key [name="a"]`),
		fault("A strategic merge patch with an unknown directive names it", applied, harness.StrategicPatch, `{"containers":[{"$patch":"bend","name":"web"}]}`, "unknown patch type: bend"),
		fault("A strategic merge patch of a list without its merge key names the key", applied, harness.StrategicPatch, `{"containers":[{"image":"web:2"}]}`, "does not contain declared merge key: name"),
	}
}
