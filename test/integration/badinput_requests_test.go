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
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// goodHost is the valid host that rows about request bodies modify.
const goodHost = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"wrong"}}`

func malformedRequests() []wrongRequest {
	return []wrongRequest{
		{name: "A body of more than 3 MiB is refused", path: hostsPath,
			body: `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 3<<20) + `"}}}`,
			code: http.StatusRequestEntityTooLarge, reason: metav1.StatusReasonRequestEntityTooLarge, message: "limit is 3145728"},
		{name: "JSON that ends too early is refused", path: hostsPath, body: goodHost[:len(goodHost)-2],
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "unexpected end of JSON input"},
		{name: "JSON with a value of the wrong type is refused with the field's name", path: hostsPath,
			body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"wrong"},"spec":{"unschedulable":"yes"}}`,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "cannot unmarshal string into Go struct field HostSpec.spec.unschedulable of type bool"},
		{name: "An empty body is refused", path: hostsPath, contentType: jsonBody,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "unexpected end of JSON input"},
		{name: "JSON that is no object is refused", path: hostsPath, body: `["edge-1"]`,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "cannot unmarshal array"},
		{name: "Invalid YAML is refused", path: hostsPath, contentType: yamlBody, body: "apiVersion: fleet.gatehouse.dev/v1alpha1\n\tkind: Host\n",
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "yaml: line 2: found a tab character that violates indentation"},
		{name: "Protobuf without its prefix is refused", path: hostsPath, contentType: protobufBody, body: "not protobuf",
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "does not appear to be a protobuf message"},
		{name: "Protobuf with rubbish behind its prefix is refused", path: hostsPath, contentType: protobufBody, body: "k8s\x00\xff\xff\xff\xff",
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "unexpected EOF"},
		{name: "A media type that the server does not read is refused with those that it does", path: hostsPath, contentType: "text/plain", body: goodHost,
			code: http.StatusUnsupportedMediaType, reason: metav1.StatusReasonUnsupportedMediaType, message: "application/vnd.kubernetes.protobuf"},
		{name: "An invalid media type is refused", path: hostsPath, contentType: "json", body: goodHost,
			code: http.StatusUnsupportedMediaType, reason: metav1.StatusReasonUnsupportedMediaType, message: "application/json"},
		{name: "An answer in a media type that the server does not write is refused with those that it does", method: http.MethodGet, path: hostsPath, accept: "text/html",
			code: http.StatusNotAcceptable, reason: metav1.StatusReasonNotAcceptable, message: "application/vnd.kubernetes.protobuf"},
		{name: "A table in an unknown version is refused", method: http.MethodGet, path: hostsPath, accept: "application/json;as=Table;v=v9;g=meta.k8s.io",
			code: http.StatusNotAcceptable, reason: metav1.StatusReasonNotAcceptable, message: "application/json"},
		{name: "A create that accepts only an unknown media type is refused before it is stored", path: hostsPath, accept: "text/html", body: goodHost,
			code: http.StatusNotAcceptable, reason: metav1.StatusReasonNotAcceptable, message: "application/json"},

		{name: "An unknown group is not found", method: http.MethodGet, path: "/apis/fleet.example.com/v1/hosts", code: http.StatusNotFound, message: `"/apis/fleet.gatehouse.dev/v1alpha1"`},
		{name: "An unknown version is not found", method: http.MethodGet, path: "/apis/fleet.gatehouse.dev/v9/hosts", code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: "the server could not find the requested resource"},
		{name: "An unknown resource is not found", method: http.MethodGet, path: fleetPath + "/pods", code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: "the server could not find the requested resource"},
		{name: "An unknown subresource is not found", method: http.MethodGet, path: instancesPath + "/seed/log", code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: "the server could not find the requested resource"},
		{name: "A status endpoint that a kind does not have is not found", method: http.MethodPatch, path: leasesPath + "/edge-1/status", body: "{}", code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: "the server could not find the requested resource"},
		{name: "A namespaced path of a cluster-scoped kind is not found", method: http.MethodGet, path: fleetPath + "/namespaces/default/hosts", code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: "the server could not find the requested resource"},
		{name: "An object that does not exist is not found", method: http.MethodGet, path: hostsPath + "/nobody",
			code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: `hosts.fleet.gatehouse.dev "nobody" not found`},
		{name: "An update of what does not exist is not found, and creates nothing", method: http.MethodPut, path: hostsPath + "/wrong", body: goodHost,
			code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: `hosts.fleet.gatehouse.dev "wrong" not found`},
		{name: "A status of what does not exist is not found, and creates nothing", method: http.MethodPatch, path: hostsPath + "/wrong/status", body: `{"status":{}}`,
			code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: `hosts.fleet.gatehouse.dev "wrong" not found`},

		{name: "A create at an object's own path is not allowed", path: hostsPath + "/wrong", body: goodHost, code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed, message: "the server does not allow this method on the requested resource"},
		{name: "An update of a collection is not allowed", method: http.MethodPut, path: hostsPath, body: goodHost, code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed, message: "the server does not allow this method on the requested resource"},
		{name: "A create in all namespaces at once is not allowed", path: fleetPath + "/instances", body: seedInstance, code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed, message: "the server does not allow this method on the requested resource"},
		{name: "A delete of a status is not allowed", method: http.MethodDelete, path: hostsPath + "/edge-1/status", code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed, message: "the server does not allow this method on the requested resource"},
		{name: "A create of a status is not allowed", path: instancesPath + "/seed/status", body: seedInstance, code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed, message: "the server does not allow this method on the requested resource"},
		{name: "A get of a binding is not allowed", method: http.MethodGet, path: instancesPath + "/seed/binding", code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed, message: "the server does not allow this method on the requested resource"},

		{name: "A body of another served kind is refused", path: instancesPath, body: goodHost,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: `Host in version "v1alpha1" cannot be handled as a Instance`},
		{name: "A body of a kind that is not served is refused", path: instancesPath, body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"wrong"}}`,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: `no kind "Pod" is registered for version "v1"`},
		{name: "A body in an unknown version is refused", path: hostsPath, body: `{"apiVersion":"fleet.gatehouse.dev/v9","kind":"Host","metadata":{"name":"wrong"}}`,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "fleet.gatehouse.dev/v9"},
		{name: "A create in another namespace than the URL's is refused", path: instancesPath, body: strings.Replace(seedInstance, `"name":"seed"`, `"name":"wrong","namespace":"other"`, 1),
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: "the namespace of the provided object does not match the namespace sent on the request"},
		{name: "A create of a name that is taken is a conflict", path: hostsPath, body: strings.Replace(goodHost, "wrong", "edge-1", 1),
			code: http.StatusConflict, reason: metav1.StatusReasonAlreadyExists, message: `hosts.fleet.gatehouse.dev "edge-1" already exists`},

		{name: "A create with an unknown dryRun is refused", path: hostsPath + "?dryRun=foo", body: goodHost,
			code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid, fields: []string{"dryRun"}, message: `supported values: "All"`},
		{name: "A create with an unknown fieldValidation is refused", path: hostsPath + "?fieldValidation=Loud", body: goodHost,
			code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid, fields: []string{"fieldValidation"}, message: "Strict"},
		{name: "A create with a fieldManager of more than 128 characters is refused", path: hostsPath + "?fieldManager=" + strings.Repeat("m", 129), body: goodHost,
			code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid, fields: []string{"fieldManager"}, message: "128"},
		{name: "A strict create with an unknown field is refused", path: hostsPath + "?fieldValidation=Strict", body: strings.Replace(goodHost, `}}`, `},"spec":{"unschedulabel":true}}`, 1),
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: `strict decoding error: unknown field "spec.unschedulabel"`},
		{name: "A strict create with a field given twice is refused", path: hostsPath + "?fieldValidation=Strict", body: strings.Replace(goodHost, `}}`, `},"spec":{"unschedulable":true,"unschedulable":false}}`, 1),
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: `strict decoding error: duplicate field "spec.unschedulable"`},
		{name: "A strict create in YAML with a field given twice is refused", path: hostsPath + "?fieldValidation=Strict", contentType: yamlBody,
			body: "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Host\nmetadata:\n  name: wrong\nspec:\n  unschedulable: true\n  unschedulable: false\n",
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: `key "unschedulable" already set in map`},
	}
}

func wrongReads() []wrongRequest {
	const badRequest, invalid = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	get := func(row wrongRequest) wrongRequest {
		row.method = http.MethodGet
		return row
	}
	return []wrongRequest{
		get(wrongRequest{name: "An invalid label selector is refused", path: instancesPath + "?labelSelector=a+in+(", code: http.StatusBadRequest, reason: badRequest, message: "unable to parse requirement"}),
		get(wrongRequest{name: "An invalid field selector is refused", path: instancesPath + "?fieldSelector=spec.hostName", code: http.StatusBadRequest, reason: badRequest, message: "invalid selector"}),
		get(wrongRequest{name: "A field selector by a field that instances cannot be selected by is refused with those that they can", path: instancesPath + "?fieldSelector=spec.image%3Da",
			code: http.StatusBadRequest, reason: badRequest, message: "spec.hostName spec.serviceAccountName spec.restartPolicy status.phase"}),
		get(wrongRequest{name: "A field selector by a field that hosts cannot be selected by is refused", path: hostsPath + "?fieldSelector=spec.unschedulable%3Dtrue", code: http.StatusBadRequest, reason: badRequest, message: `"spec.unschedulable" is not a known field selector: only "metadata.name", "metadata.namespace"`}),
		get(wrongRequest{name: "A watch with a field selector by an unknown field is refused", path: instancesPath + "?watch=1&fieldSelector=spec.image%3Da", code: http.StatusBadRequest, reason: badRequest, message: "field label not supported"}),
		get(wrongRequest{name: "A watch with an invalid label selector is refused", path: instancesPath + "?watch=1&labelSelector=!!", code: http.StatusBadRequest, reason: badRequest, message: "unable to parse requirement"}),
		get(wrongRequest{name: "An invalid continue token is refused", path: instancesPath + "?limit=1&continue=bogus", code: http.StatusBadRequest, reason: badRequest, message: "continue key is not valid"}),
		get(wrongRequest{name: "A continue token together with a resourceVersion is refused", path: instancesPath + "?limit=1&resourceVersion=5&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJ4In0", code: http.StatusBadRequest, reason: badRequest, message: "specifying resource version is not allowed when using continue"}),
		get(wrongRequest{name: "A limit that is no number is refused", path: instancesPath + "?limit=ten", code: http.StatusBadRequest, reason: badRequest, message: `parsing "ten": invalid syntax`}),
		get(wrongRequest{name: "A list at an invalid resourceVersion is refused", path: instancesPath + "?resourceVersion=abc", code: http.StatusBadRequest, reason: badRequest, message: "invalid resource version"}),
		get(wrongRequest{name: "A get at an invalid resourceVersion is refused", path: instancesPath + "/seed?resourceVersion=abc", code: http.StatusBadRequest, reason: badRequest, message: `resourceVersion: Invalid value: "abc"`}),
		get(wrongRequest{name: "A watch from an invalid resourceVersion is refused", path: instancesPath + "?watch=1&resourceVersion=abc", code: http.StatusBadRequest, reason: badRequest, message: `resourceVersion: Invalid value: "abc"`}),
		get(wrongRequest{name: "A list at a resourceVersion that has not come yet is refused", path: instancesPath + "?resourceVersion=999999999", code: http.StatusGatewayTimeout, reason: metav1.StatusReasonTimeout, fields: []string{""}, message: "Too large resource version: 999999999"}),
		get(wrongRequest{name: "A resourceVersionMatch without a resourceVersion is refused", path: instancesPath + "?resourceVersionMatch=Exact", code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"resourceVersionMatch"}, message: "unless resourceVersion is provided"}),
		get(wrongRequest{name: "An unknown resourceVersionMatch is refused", path: instancesPath + "?resourceVersion=5&resourceVersionMatch=Roughly", code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"resourceVersionMatch"}, message: "NotOlderThan"}),
		get(wrongRequest{name: "Initial events without a watch are refused", path: instancesPath + "?sendInitialEvents=true", code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"sendInitialEvents"}, message: "forbidden for list"}),
		get(wrongRequest{name: "Initial events without a resourceVersionMatch are refused", path: instancesPath + "?watch=1&sendInitialEvents=true", code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"resourceVersionMatch"}, message: "NotOlderThan"}),
		get(wrongRequest{name: "A time-out of a watch that is no number is refused", path: instancesPath + "?watch=1&timeoutSeconds=soon", code: http.StatusBadRequest, reason: badRequest, message: `parsing "soon": invalid syntax`}),
		get(wrongRequest{name: "A name with a percent sign is refused", path: instancesPath + "/a%25b", code: http.StatusBadRequest, reason: badRequest, message: "may not contain '%'"}),
	}
}

func wrongPatches() []wrongRequest {
	patch := func(row wrongRequest) wrongRequest {
		row.method = http.MethodPatch
		if row.path == "" {
			row.path = instancesPath + "/seed"
		}
		return row
	}
	const badRequest, invalid = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	return []wrongRequest{
		patch(wrongRequest{name: "A JSON patch that replaces what is not there is refused", contentType: jsonPatch, body: `[{"op":"replace","path":"/spec/nothing/here","value":1}]`,
			code: http.StatusUnprocessableEntity, reason: invalid, message: "the server rejected our request due to an error in our request"}),
		patch(wrongRequest{name: "A JSON patch with a failing test is refused", contentType: jsonPatch, body: `[{"op":"test","path":"/spec/restartPolicy","value":"Never"}]`,
			code: http.StatusUnprocessableEntity, reason: invalid, message: "the server rejected our request due to an error in our request"}),
		patch(wrongRequest{name: "A JSON patch that is no list is refused", contentType: jsonPatch, body: `{"spec":{}}`,
			code: http.StatusBadRequest, reason: badRequest, message: "cannot unmarshal object"}),
		patch(wrongRequest{name: "A JSON patch with an unknown operation is refused", contentType: jsonPatch, body: `[{"op":"bend","path":"/spec"}]`,
			code: http.StatusUnprocessableEntity, reason: invalid, message: "the server rejected our request due to an error in our request"}),
		patch(wrongRequest{name: "A JSON patch with a path that does not begin with a slash is refused", contentType: jsonPatch, body: `[{"op":"add","path":"invalid","value":1}]`,
			code: http.StatusUnprocessableEntity, reason: invalid, message: "the server rejected our request due to an error in our request"}),
		patch(wrongRequest{name: "A JSON patch that is no JSON is refused", contentType: jsonPatch, body: `nothing`,
			code: http.StatusBadRequest, reason: badRequest, message: "invalid JSON patch"}),
		patch(wrongRequest{name: "A JSON patch of more than 10,000 operations is refused", contentType: jsonPatch, body: "[" + strings.Repeat(`{"op":"test","path":"/kind","value":"Instance"},`, 10000) + `{"op":"test","path":"/kind","value":"Instance"}]`,
			code: http.StatusRequestEntityTooLarge, reason: metav1.StatusReasonRequestEntityTooLarge, message: "1000"}),
		patch(wrongRequest{name: "A merge patch that is no object is refused", contentType: mergePatch, body: `["a"]`,
			code: http.StatusBadRequest, reason: badRequest, message: "cannot unmarshal array"}),
		patch(wrongRequest{name: "A merge patch that ends too early is refused", contentType: mergePatch, body: `{"spec":`,
			code: http.StatusBadRequest, reason: badRequest, message: "invalid JSON patch"}),
		patch(wrongRequest{name: "A merge patch with a value of the wrong type is refused", contentType: mergePatch, body: `{"spec":{"containers":"all"}}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"patch"}, message: "cannot unmarshal string into Go struct field InstanceSpec.spec.containers"}),
		patch(wrongRequest{name: "A strategic merge patch that is no object is refused", contentType: strategicPatch, body: `["a"]`,
			code: http.StatusBadRequest, reason: badRequest, message: "cannot unmarshal array"}),
		patch(wrongRequest{name: "A strategic merge patch that is no JSON is refused", contentType: strategicPatch, body: `nothing`,
			code: http.StatusBadRequest, reason: badRequest, message: "invalid JSON patch"}),
		patch(wrongRequest{name: "A patch of an unknown type is refused", contentType: jsonBody, body: `{}`,
			code: http.StatusUnsupportedMediaType, reason: metav1.StatusReasonUnsupportedMediaType, message: "415: Unsupported Media Type"}),
		patch(wrongRequest{name: "A patch of what does not exist is not found", path: instancesPath + "/nobody", body: `{}`,
			code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: `instances.fleet.gatehouse.dev "nobody" not found`}),
		patch(wrongRequest{name: "A patch of the name is refused", body: `{"metadata":{"name":"other"}}`,
			code: http.StatusBadRequest, reason: badRequest, message: `the name of the object (other) does not match the name on the URL (seed)`}),
		patch(wrongRequest{name: "A patch of the namespace is refused", body: `{"metadata":{"namespace":"other"}}`,
			code: http.StatusBadRequest, reason: badRequest, message: "the namespace of the provided object does not match the namespace sent on the request"}),
		patch(wrongRequest{name: "A patch of the uid is refused", body: `{"metadata":{"uid":"other"}}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"metadata.uid"}, message: "field is immutable"}),
		patch(wrongRequest{name: "A patch from a stale resourceVersion is a conflict", body: `{"metadata":{"resourceVersion":"1","labels":{"a":"b"}}}`,
			code: http.StatusConflict, reason: metav1.StatusReasonConflict, message: "the object has been modified; please apply your changes to the latest version and try again"}),
		patch(wrongRequest{name: "A patch of the kind is refused", body: `{"kind":"Host"}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"patch"}, message: "converting (v1alpha1.Host) to (fleet.Instance)"}),
		patch(wrongRequest{name: "A patch with an unknown dryRun is refused", path: instancesPath + "/seed?dryRun=foo", body: `{}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"dryRun"}, message: `supported values: "All"`}),
		patch(wrongRequest{name: "A forced patch that is no apply is refused", path: instancesPath + "/seed?force=true", body: `{}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"force"}, message: "may not be specified for non-apply patch"}),
		patch(wrongRequest{name: "A strict merge patch with an unknown field is refused", path: instancesPath + "/seed?fieldValidation=Strict", body: `{"spec":{"restartPolice":"Never"}}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"patch"}, message: `strict decoding error: unknown field "spec.restartPolice"`}),
		patch(wrongRequest{name: "A strict merge patch with a field given twice is refused", path: instancesPath + "/seed?fieldValidation=Strict", body: `{"metadata":{"labels":{"a":"b"},"labels":{"a":"c"}}}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"patch"}, message: `strict decoding error: duplicate field "metadata.labels"`}),
	}
}

func wrongApplies() []wrongRequest {
	apply := func(row wrongRequest) wrongRequest {
		row.method, row.contentType = http.MethodPatch, applyPatch
		if row.path == "" {
			row.path = instancesPath + "/applied?fieldManager=two"
		}
		return row
	}
	const head = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"}`
	const badRequest, invalid = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid
	return []wrongRequest{
		apply(wrongRequest{name: "An apply without a field manager is refused", path: instancesPath + "/applied", body: head + `}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"fieldManager"}, message: "is required for apply patch"}),
		apply(wrongRequest{name: "An apply of what another manager owns is a conflict with the field and the manager", body: head + `,"spec":{"containers":[{"name":"web","image":"web:2"}]}}`,
			code: http.StatusConflict, reason: metav1.StatusReasonConflict, fields: []string{`.spec.containers[name="web"].image`}, message: `conflict with "one"`}),
		apply(wrongRequest{name: "An apply that is no YAML is refused", body: "a: b: c",
			code: http.StatusBadRequest, reason: badRequest, message: "mapping values are not allowed in this context"}),
		apply(wrongRequest{name: "An apply that is no object is refused", body: "nothing",
			code: http.StatusBadRequest, reason: badRequest, message: "cannot unmarshal string"}),
		apply(wrongRequest{name: "An apply without apiVersion and kind is refused", body: `{"metadata":{"name":"applied"}}`,
			code: http.StatusBadRequest, reason: badRequest, message: "invalid object type"}),
		apply(wrongRequest{name: "An apply of another kind is refused", body: strings.Replace(head, "Instance", "Host", 1) + `}`,
			code: http.StatusBadRequest, reason: badRequest, message: "Host"}),
		apply(wrongRequest{name: "An apply with managedFields is refused", body: head[:len(head)-1] + `,"managedFields":[{"manager":"two"}]}}`,
			code: http.StatusBadRequest, reason: badRequest, message: "metadata.managedFields must be nil"}),
		apply(wrongRequest{name: "An apply with the uid of an object that is gone is a conflict", path: instancesPath + "/gone?fieldManager=two", body: strings.Replace(head, `"applied"`, `"gone","uid":"e9ce1eb1-4b5a-4a3a-8f4a-1a2b3c4d5e6f"`, 1) + `,"spec":{"containers":[{"name":"web","image":"web:1"}]}}`,
			code: http.StatusConflict, reason: metav1.StatusReasonConflict, message: "uid mismatch"}),
	}
}

func wrongDeletes() []wrongRequest {
	del := func(row wrongRequest) wrongRequest {
		row.method = http.MethodDelete
		if row.path == "" {
			row.path = instancesPath + "/seed"
		}
		return row
	}
	const badRequest, invalid, conflict = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid, metav1.StatusReasonConflict
	return []wrongRequest{
		del(wrongRequest{name: "A delete of what does not exist is not found", path: instancesPath + "/nobody",
			code: http.StatusNotFound, reason: metav1.StatusReasonNotFound, message: `instances.fleet.gatehouse.dev "nobody" not found`}),
		del(wrongRequest{name: "Delete options that are no JSON are refused", body: `{"gracePeriodSeconds"`,
			code: http.StatusBadRequest, reason: badRequest, message: "unexpected end of JSON input"}),
		del(wrongRequest{name: "Delete options of the wrong type are refused", body: `{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":"soon"}`,
			code: http.StatusBadRequest, reason: badRequest, message: "gracePeriodSeconds"}),
		del(wrongRequest{name: "Delete options of another kind are refused", body: seedInstance,
			code: http.StatusBadRequest, reason: badRequest, message: `no kind "Instance" is registered`}),
		del(wrongRequest{name: "A delete with an unknown dryRun is refused", body: `{"dryRun":["foo"]}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"dryRun"}, message: `supported values: "All"`}),
		del(wrongRequest{name: "A delete with an unknown dryRun in the URL is refused", path: instancesPath + "/seed?dryRun=foo",
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"dryRun"}, message: `supported values: "All"`}),
		del(wrongRequest{name: "A delete with a grace period that is no number is refused", path: instancesPath + "/seed?gracePeriodSeconds=soon",
			code: http.StatusBadRequest, reason: badRequest, message: `parsing "soon": invalid syntax`}),
		del(wrongRequest{name: "A delete with an unknown propagation policy is refused", body: `{"propagationPolicy":"Sideways"}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"propagationPolicy"}, message: "Background"}),
		del(wrongRequest{name: "A delete with both a propagation policy and orphanDependents is refused", body: `{"propagationPolicy":"Background","orphanDependents":false}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"propagationPolicy"}, message: "orphanDependents and deletionPropagation cannot be both set"}),
		del(wrongRequest{name: "A delete of another uid is a conflict", body: `{"preconditions":{"uid":"other"}}`,
			code: http.StatusConflict, reason: conflict, message: "the UID in the precondition (other) does not match the UID in record (" + seedUID + ")"}),
		del(wrongRequest{name: "A delete of another resourceVersion is a conflict", body: `{"preconditions":{"resourceVersion":"1"}}`,
			code: http.StatusConflict, reason: conflict, message: "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (" + seedVersion + ")"}),
		del(wrongRequest{name: "A delete of a host by another uid is a conflict", path: hostsPath + "/edge-1", body: `{"preconditions":{"uid":"other"}}`,
			code: http.StatusConflict, reason: conflict, message: "the UID in the precondition (other) does not match the UID in record"}),
		del(wrongRequest{name: "A delete of a collection with an invalid selector is refused", path: instancesPath + "?labelSelector=!!",
			code: http.StatusBadRequest, reason: badRequest, message: "unable to parse requirement"}),
		del(wrongRequest{name: "A delete of a collection with an unknown field selector is refused", path: instancesPath + "?fieldSelector=spec.image%3Da",
			code: http.StatusBadRequest, reason: badRequest, message: "field label not supported"}),
		del(wrongRequest{name: "A delete of a collection with an unknown dryRun is refused", path: instancesPath, body: `{"dryRun":["foo"]}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"dryRun"}, message: `supported values: "All"`}),
	}
}

func wrongUpdates() []wrongRequest {
	const head = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance",`
	put := func(row wrongRequest) wrongRequest {
		row.method = http.MethodPut
		if row.path == "" {
			row.path = instancesPath + "/seed"
		}
		return row
	}
	metadata := func(metadata string) string {
		return strings.Replace(seedInstance, `"name":"seed"`, metadata, 1)
	}
	const badRequest, invalid, conflict = metav1.StatusReasonBadRequest, metav1.StatusReasonInvalid, metav1.StatusReasonConflict
	return []wrongRequest{
		put(wrongRequest{name: "An update without a resourceVersion is refused", body: seedInstance,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"metadata.resourceVersion"}, message: "must be specified for an update"}),
		put(wrongRequest{name: "A status update without a resourceVersion is refused", path: instancesPath + "/seed/status", body: seedInstance,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"metadata.resourceVersion"}, message: "must be specified for an update"}),
		put(wrongRequest{name: "An update of a host without a resourceVersion is refused", path: hostsPath + "/edge-1", body: strings.Replace(goodHost, "wrong", "edge-1", 1),
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"metadata.resourceVersion"}, message: "must be specified for an update"}),
		put(wrongRequest{name: "An update of a host lease without a resourceVersion is refused", path: leasesPath + "/edge-1", body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"edge-1"}}`,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"metadata.resourceVersion"}, message: "must be specified for an update"}),
		put(wrongRequest{name: "An update from a stale resourceVersion is a conflict", body: metadata(`"name":"seed","resourceVersion":"1"`),
			code: http.StatusConflict, reason: conflict, message: "the object has been modified; please apply your changes to the latest version and try again"}),
		put(wrongRequest{name: "A status update from a stale resourceVersion is a conflict", path: instancesPath + "/seed/status", body: metadata(`"name":"seed","resourceVersion":"1"`),
			code: http.StatusConflict, reason: conflict, message: "the object has been modified"}),
		put(wrongRequest{name: "An update with an invalid resourceVersion is refused", body: metadata(`"name":"seed","resourceVersion":"abc"`),
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"metadata.resourceVersion"}, message: "abc"}),
		put(wrongRequest{name: "An update with another uid is a conflict", body: metadata(`"name":"seed","uid":"other","resourceVersion":"` + seedVersion + `"`),
			code: http.StatusConflict, reason: conflict, message: "UID in precondition: other, UID in object meta: "}),
		put(wrongRequest{name: "An update with another name than the URL's is refused", body: metadata(`"name":"other","resourceVersion":"` + seedVersion + `"`),
			code: http.StatusBadRequest, reason: badRequest, message: "the name of the object (other) does not match the name on the URL (seed)"}),
		put(wrongRequest{name: "An update in another namespace than the URL's is refused", body: metadata(`"name":"seed","namespace":"other","resourceVersion":"` + seedVersion + `"`),
			code: http.StatusBadRequest, reason: badRequest, message: "the namespace of the provided object does not match the namespace sent on the request"}),
		put(wrongRequest{name: "An update with a body of another kind is refused", body: strings.Replace(goodHost, "wrong", "seed", 1),
			code: http.StatusBadRequest, reason: badRequest, message: `Host in version "v1alpha1" cannot be handled as a Instance`}),
		put(wrongRequest{name: "An update with an unknown dryRun is refused", path: instancesPath + "/seed?dryRun=foo", body: seedInstance,
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"dryRun"}, message: `supported values: "All"`}),
		put(wrongRequest{name: "A strict update with an unknown field is refused", path: instancesPath + "/seed?fieldValidation=Strict", body: head + `"metadata":{"name":"seed"},"specs":{}}`,
			code: http.StatusBadRequest, reason: badRequest, message: `strict decoding error: unknown field "specs"`}),
		put(wrongRequest{name: "An update that changes what may not is refused even with everything else right", body: strings.Replace(metadata(`"name":"seed","resourceVersion":"`+seedVersion+`"`), `"restartPolicy":"Always"`, `"restartPolicy":"Never"`, 1),
			code: http.StatusUnprocessableEntity, reason: invalid, fields: []string{"spec.restartPolicy"}, message: "field is immutable"}),
	}
}

// libraryFaults are requests to which k8s.io/apiserver, and so a kube-apiserver for pods and nodes, responds
// with a 500 without a reason, although the caller is at fault. The message describes the
// fault. They are listed here so that a better response of the library is noticed.
func libraryFaults() []wrongRequest {
	fault := func(name, path, contentType, spec, message string) wrongRequest {
		body := `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"},"spec":` + spec + `}`
		return wrongRequest{name: name, method: http.MethodPatch, path: path, contentType: contentType, body: body, code: http.StatusInternalServerError, message: message}
	}
	const applied = instancesPath + "/applied"
	return []wrongRequest{
		fault("An apply with an unknown field names it", applied+"?fieldManager=two&fieldValidation=Strict", applyPatch, `{"restartPolice":"Never"}`, ".spec.restartPolice: field not declared in schema"),
		fault("An apply with an item of a list given twice names it", applied+"?fieldManager=two", applyPatch, `{"containers":[{"name":"a","image":"a:1"},{"name":"a","image":"b:1"}]}`, `.spec.containers: duplicate entries for key [name="a"]`),
		fault("A strategic merge patch with an unknown directive names it", applied, strategicPatch, `{"containers":[{"$patch":"bend","name":"web"}]}`, "unknown patch type: bend"),
		fault("A strategic merge patch of a list without its merge key names the key", applied, strategicPatch, `{"containers":[{"image":"web:2"}]}`, "does not contain declared merge key: name"),
	}
}
