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

// statusWith returns a row for an invalid status, written by a merge patch.
func statusWith(name, path, status, message string, fields ...string) harness.WrongRequest {
	row := invalidObject(name, path, `{"status":{`+status+`}}`, message, fields...)
	row.Method, row.ContentType = http.MethodPatch, harness.MergePatch
	return row
}

func wrongInstanceStatuses() []harness.WrongRequest {
	patch := func(name, status, message string, fields ...string) harness.WrongRequest {
		return statusWith(name, harness.InstancesPath+"/seed/status", status, message, fields...)
	}
	return []harness.WrongRequest{
		patch("An unknown phase is refused", `"phase":"Lost"`, `supported values: "Failed", "Pending", "Running", "Succeeded", "Unknown"`, "status.phase"),
		patch("A negative observedGeneration is refused", `"observedGeneration":-1`, "greater than or equal to 0", "status.observedGeneration"),
		patch("A condition without its required fields is refused", `"conditions":[{"type":"Ready"}]`, "Required value", "status.conditions[0].lastTransitionTime", "status.conditions[0].reason", "status.conditions[0].status"),
		patch("A condition with an unknown status is refused", `"conditions":[{"type":"Ready","status":"Maybe","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"}]`, `supported values: "False", "True", "Unknown"`, "status.conditions[0].status"),
		patch("A condition with a reason that is a sentence is refused", `"conditions":[{"type":"Ready","status":"True","reason":"all is well","lastTransitionTime":"2026-01-01T00:00:00Z"}]`, "must start with alphabetic character", "status.conditions[0].reason"),
		patch("Two conditions of one type are refused", `"conditions":[{"type":"Ready","status":"True","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"Ready","status":"False","reason":"B","lastTransitionTime":"2026-01-01T00:00:00Z"}]`, "Duplicate value", "status.conditions[1]"),
		patch("More than 32 conditions are refused", `"conditions":`+many(33, `{"type":"C%d","status":"True","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"}`), "must have at most 32 items", "status.conditions"),
		patch("A reason of more than 256 characters is refused", `"reason":"`+strings.Repeat("r", 257)+`"`, "may not be more than 256", "status.reason"),
		patch("A message of more than 32768 characters is refused", `"message":"`+strings.Repeat("m", 32769)+`"`, "may not be more than 32768", "status.message"),
		patch("An address of the host that is no IP address is refused", `"hostIP":"edge-1"`, "must be a valid IP address", "status.hostIP"),
		patch("An address of the instance that is no IP address is refused", `"instanceIP":"10.0.0.256"`, "must be a valid IP address", "status.instanceIP"),
		patch("A container's status without a name is refused", `"containerStatuses":[{"ready":true}]`, "Required value", "status.containerStatuses[0].name"),
		patch("A container's status with a bad name is refused", `"containerStatuses":[{"name":"Web"}]`, "RFC 1123 label", "status.containerStatuses[0].name"),
		patch("Two statuses of one container are refused", `"containerStatuses":[{"name":"web"},{"name":"web"}]`, "Duplicate value", "status.containerStatuses[1]"),
		patch("A negative number of restarts is refused", `"containerStatuses":[{"name":"web","restartCount":-1}]`, "greater than or equal to 0", "status.containerStatuses[0].restartCount"),
		patch("A container that runs and has ended is refused", `"containerStatuses":[{"name":"web","state":{"running":{},"terminated":{"exitCode":0}}}]`, "at most one of waiting, running and terminated", "status.containerStatuses[0].state"),
		patch("A container that waited and ran the last time is refused", `"containerStatuses":[{"name":"web","lastState":{"running":{},"waiting":{}}}]`, "at most one of waiting, running and terminated", "status.containerStatuses[0].lastState"),
		patch("More than 16 statuses of containers are refused", `"containerStatuses":`+many(17, `{"name":"c%d"}`), "must have at most 16 items", "status.containerStatuses"),
	}
}

func wrongHosts() []harness.WrongRequest {
	create := func(name, spec, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.HostsPath, strings.Replace(harness.GoodHost, `}}`, `},"spec":{`+spec+`}}`, 1), message, fields...)
	}
	return []harness.WrongRequest{
		create("A taint without a key is refused", `"taints":[{"effect":"NoSchedule"}]`, "Required value", "spec.taints[0].key"),
		create("A taint with a bad key is refused", `"taints":[{"key":"a b","effect":"NoSchedule"}]`, "name part must consist of", "spec.taints[0].key"),
		create("A taint with a bad value is refused", `"taints":[{"key":"a","value":"b c","effect":"NoSchedule"}]`, "a valid label must be", "spec.taints[0].value"),
		create("A taint without an effect is refused", `"taints":[{"key":"a"}]`, "Required value", "spec.taints[0].effect"),
		create("A taint with an unknown effect is refused", `"taints":[{"key":"a","effect":"PreferNoSchedule"}]`, `supported values: "NoExecute", "NoSchedule"`, "spec.taints[0].effect"),
		create("Two taints of one key and effect are refused", `"taints":[{"key":"a","value":"1","effect":"NoSchedule"},{"key":"a","value":"2","effect":"NoSchedule"}]`, "Duplicate value", "spec.taints[1]"),
		create("More than 64 taints are refused", `"taints":`+many(65, `{"key":"k%d","effect":"NoSchedule"}`), "must have at most 64 items", "spec.taints"),
		{Name: "A bad taint is refused on update, too", Method: http.MethodPatch, Path: harness.HostsPath + "/edge-1", Body: `{"spec":{"taints":[{"key":"a"}]}}`,
			Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"spec.taints[0].effect"}, Message: "Required value"},
	}
}

func wrongHostStatuses() []harness.WrongRequest {
	patch := func(name, status, message string, fields ...string) harness.WrongRequest {
		return statusWith(name, harness.HostsPath+"/edge-1/status", status, message, fields...)
	}
	return []harness.WrongRequest{
		patch("A negative capacity is refused", `"capacity":{"cpu":"-1"},"allocatable":{"memory":"1Gi"}`, "greater than or equal to 0", "status.capacity[cpu]"),
		patch("A capacity of an unknown resource with no domain is refused with those that are known", `"capacity":{"disk":"1Gi"},"allocatable":{"memory":"1Gi"}`, `supported values: "cpu", "memory", "instances"`, "status.capacity[disk]"),
		patch("Half a slot for instances is refused", `"capacity":{"instances":"500m"},"allocatable":{"memory":"1Gi"}`, "must be a whole number", "status.capacity[instances]"),
		patch("Half an extended resource is refused", `"allocatable":{"example.com/gpu":"1500m"}`, "must be a whole number", "status.allocatable[example.com/gpu]"),
		patch("A negative allocatable amount is refused", `"allocatable":{"memory":"-1Gi"}`, "greater than or equal to 0", "status.allocatable[memory]"),
		patch("A host's condition without its required fields is refused", `"conditions":[{"type":"Ready"}]`, "Required value", "status.conditions[0].lastTransitionTime", "status.conditions[0].reason", "status.conditions[0].status"),
		patch("Two conditions of one type of a host are refused", `"conditions":[{"type":"Ready","status":"True","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"},{"type":"Ready","status":"False","reason":"B","lastTransitionTime":"2026-01-01T00:00:00Z"}]`, "Duplicate value", "status.conditions[1]"),
		patch("An address of an unknown type is refused", `"addresses":[{"type":"Street","address":"1 Main St"}]`, `supported values: "ExternalIP", "Hostname", "InternalIP"`, "status.addresses[0].type"),
		patch("An address without a type is refused", `"addresses":[{"address":"10.0.0.1"}]`, "Required value", "status.addresses[0].type"),
		patch("An address without an address is refused", `"addresses":[{"type":"Hostname"}]`, "Required value", "status.addresses[0].address"),
		patch("An IP address without an address is refused", `"addresses":[{"type":"InternalIP"}]`, "Required value", "status.addresses[0].address"),
		patch("An IP address that is none is refused", `"addresses":[{"type":"InternalIP","address":"edge-1"}]`, "must be a valid IP address", "status.addresses[0].address"),
		patch("A host name that is none is refused", `"addresses":[{"type":"Hostname","address":"edge_1"}]`, "RFC 1123 subdomain", "status.addresses[0].address"),
		patch("More than 32 addresses are refused", `"addresses":`+many(33, `{"type":"Hostname","address":"a%d"}`), "must have at most 32 items", "status.addresses"),
		patch("A word about a host's system of more than 256 characters is refused", `"info":{"operatingSystem":"`+strings.Repeat("o", 257)+`"}`, "may not be more than 256", "status.info.operatingSystem"),
		patch("A negative observedGeneration of a host is refused", `"observedGeneration":-1`, "greater than or equal to 0", "status.observedGeneration"),
	}
}

func wrongHostLeases() []harness.WrongRequest {
	create := func(name, spec, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.LeasesPath, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"wrong"},"spec":{`+spec+`}}`, message, fields...)
	}
	patch := create("A lease of no seconds is refused on update, too", ``, "greater than or equal to 1", "spec.leaseDurationSeconds")
	patch.Method, patch.Path, patch.Body = http.MethodPatch, harness.LeasesPath+"/edge-1", `{"spec":{"leaseDurationSeconds":0}}`
	return []harness.WrongRequest{
		create("A lease of no seconds is refused", `"leaseDurationSeconds":0`, "greater than or equal to 1", "spec.leaseDurationSeconds"),
		create("A lease holder of more than 253 characters is refused", `"holderIdentity":"`+strings.Repeat("h", 254)+`"`, "may not be more than 253", "spec.holderIdentity"),
		{Name: "An invalid time of renewal is refused", Path: harness.LeasesPath, Body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"wrong"},"spec":{"renewTime":"now"}}`,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `parsing time "now"`},
		patch,
	}
}

func wrongBindings() []harness.WrongRequest {
	bind := func(name, more, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.InstancesPath+"/seed/binding", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding",`+more+`}`, message, fields...)
	}
	refused := func(row harness.WrongRequest, code int, reason metav1.StatusReason) harness.WrongRequest {
		row.Code, row.Reason = code, reason
		return row
	}
	return []harness.WrongRequest{
		bind("A binding without a target is refused", `"metadata":{"name":"seed"}`, "name the host that shall run the instance", "target.name"),
		bind("A binding to another kind is refused", `"target":{"kind":"Node","name":"edge-1"}`, `supported values: "Host"`, "target.kind"),
		bind("A binding to a host of no host's name is refused", `"target":{"kind":"Host","name":"Edge_1"}`, "RFC 1123 subdomain", "target.name"),
		bind("A binding to a host that does not exist is refused", `"target":{"name":"nobody"}`, `Not found: "nobody"`, "target.name"),
		bind("A binding with a bad annotation is refused", `"metadata":{"annotations":{"a b":"c"}},"target":{"name":"edge-1"}`, "name part must consist of", "metadata.annotations"),
		bind("A binding with an unknown dryRun is refused", `"target":{"name":"edge-1"}`, `supported values: "All"`, "dryRun").At(harness.InstancesPath + "/seed/binding?dryRun=foo"),
		refused(bind("A binding with the name of another instance is refused", `"metadata":{"name":"other"},"target":{"name":"edge-1"}`, `names the instance "seed"`), http.StatusBadRequest, metav1.StatusReasonBadRequest),
		refused(bind("A binding in another namespace is refused", `"metadata":{"namespace":"other"},"target":{"name":"edge-1"}`, "the namespace of the provided object does not match"), http.StatusBadRequest, metav1.StatusReasonBadRequest),
		refused(bind("A binding of an instance that does not exist is not found", `"target":{"name":"edge-1"}`, `instances.fleet.gatehouse.dev "nobody" not found`), http.StatusNotFound, metav1.StatusReasonNotFound).At(harness.InstancesPath + "/nobody/binding"),
		refused(bind("A binding of another uid is a conflict", `"metadata":{"uid":"other"},"target":{"name":"edge-1"}`, "UID in precondition: other"), http.StatusConflict, metav1.StatusReasonConflict),
		refused(bind("A binding of another resourceVersion is a conflict", `"metadata":{"resourceVersion":"1"},"target":{"name":"edge-1"}`, "ResourceVersion in precondition: 1"), http.StatusConflict, metav1.StatusReasonConflict),
		refused(bind("A binding of an instance that is bound is a conflict", `"target":{"name":"edge-1"}`, `is already bound to host "edge-1"`), http.StatusConflict, metav1.StatusReasonConflict).At(harness.InstancesPath + "/bound/binding"),
		{Name: "An instance in place of a binding is refused", Path: harness.InstancesPath + "/seed/binding", Body: seedInstance,
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "Binding"},
	}
}
