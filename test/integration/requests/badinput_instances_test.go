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
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// seedInstance is stored before the table runs. Every field has a value, so that
// every immutability rule applies to it, and the values equal the defaults, so that an update with it
// changes nothing.
const seedInstance = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"seed"},"spec":{
	"containers":[{"name":"web","image":"web:1","imagePullPolicy":"IfNotPresent","command":["serve"],"args":["-v"],"workingDir":"/srv","env":[{"name":"A","value":"1"}],
		"ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}}],
	"hostSelector":{"zone":"a"},"tolerations":[{"key":"slow","operator":"Exists","effect":"NoSchedule"}],"restartPolicy":"Always","serviceAccountName":"web",
	"terminationGracePeriodSeconds":30,"activeDeadlineSeconds":600}}`

// invalidObject returns a row for an invalid object: 422 with the fields.
func invalidObject(name, path, body, message string, fields ...string) harness.WrongRequest {
	return harness.WrongRequest{Name: name, Path: path, Body: body, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: fields, Message: message}
}

// anInstance returns the body of an instance with more metadata and a spec.
func anInstance(metadata, spec string) string {
	return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{` + metadata + `},"spec":{` + spec + `}}`
}

// instanceWith returns the body of an instance with one valid container and additional spec fields.
func instanceWith(spec string) string {
	return anInstance(`"name":"wrong"`, `"containers":[{"name":"web","image":"web:1"}],`+spec)
}

// containerWith returns the body of an instance with one container that has more than name and image.
func containerWith(container string) string {
	return anInstance(`"name":"wrong"`, `"containers":[{"name":"web","image":"web:1",`+container+`}]`)
}

// many returns a list of n items, made by a format that takes the number.
func many(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i+1)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func wrongMetadata() []harness.WrongRequest {
	create := func(name, metadata, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.InstancesPath, anInstance(metadata, `"containers":[{"name":"web","image":"web:1"}]`), message, fields...)
	}
	return []harness.WrongRequest{
		create("An object without a name is refused", `"labels":{}`, "name or generateName is required", "metadata.name"),
		create("A name in capitals is refused", `"name":"Wrong"`, "RFC 1123 subdomain", "metadata.name"),
		create("A name of more than 253 characters is refused", `"name":"`+strings.Repeat("n", 254)+`"`, "must be no more than 253", "metadata.name"),
		create("A generateName of more than 253 characters is refused", `"generateName":"`+strings.Repeat("n", 254)+`"`, "must be no more than 253", "metadata.generateName"),
		create("A generateName with characters that no name has is refused", `"generateName":"wrong_"`, "RFC 1123 subdomain", "metadata.generateName", "metadata.name"),
		create("A resourceVersion in a create is refused with the cure", `"name":"wrong","resourceVersion":"5"`, "must not be set on an object that is to be created: remove it", "metadata.resourceVersion"),
		invalidObject("A resourceVersion in a dry run of a create is refused, too", harness.HostsPath+"?dryRun=All", strings.Replace(harness.GoodHost, `"wrong"`, `"wrong","resourceVersion":"5"`, 1), "remove it", "metadata.resourceVersion"),
		create("A label with a bad key is refused", `"name":"wrong","labels":{"a b":"c"}`, "name part must consist of", "metadata.labels"),
		create("A label with a bad value is refused", `"name":"wrong","labels":{"a":"b c"}`, "a valid label must be", "metadata.labels"),
		create("A label of more than 63 characters is refused", `"name":"wrong","labels":{"a":"`+strings.Repeat("v", 64)+`"}`, "must be no more than 63", "metadata.labels"),
		create("An annotation with a bad key is refused", `"name":"wrong","annotations":{"a b":"c"}`, "name part must consist of", "metadata.annotations"),
		create("Annotations of more than 256 KiB are refused", `"name":"wrong","annotations":{"a":"`+strings.Repeat("v", 256<<10)+`"}`, "may not be more than 262144", "metadata.annotations"),
		create("A finalizer with a bad name is refused", `"name":"wrong","finalizers":["my own"]`, "name part must consist of", "metadata.finalizers"),
		create("An owner without name, kind and uid is refused", `"name":"wrong","ownerReferences":[{"apiVersion":"v1"}]`, "must not be empty", "metadata.ownerReferences[0].kind", "metadata.ownerReferences[0].name", "metadata.ownerReferences[0].uid"),
		create("Two owners that both say they control the object are refused", `"name":"wrong","ownerReferences":[{"apiVersion":"a/v1","kind":"A","name":"a","uid":"1","controller":true},{"apiVersion":"a/v1","kind":"A","name":"b","uid":"2","controller":true}]`,
			"Only one reference can have Controller set to true", "metadata.ownerReferences"),
		{
			Name: "A namespace that does not exist is named", Path: harness.FleetPath + "/namespaces/Wrong/instances", Body: anInstance(`"name":"wrong"`, `"containers":[{"name":"web","image":"web:1"}]`),
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `namespaces "Wrong" not found`,
		},
		invalidObject("A host with a name in capitals is refused", harness.HostsPath, strings.Replace(harness.GoodHost, "wrong", "Wrong", 1), "RFC 1123 subdomain", "metadata.name"),
		invalidObject("A host lease with a name in capitals is refused", harness.LeasesPath, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"Wrong"}}`, "RFC 1123 subdomain", "metadata.name"),
	}
}

func wrongInstances() []harness.WrongRequest {
	create := func(name, spec, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.InstancesPath, instanceWith(spec), message, fields...)
	}
	raw := func(name, spec, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.InstancesPath, anInstance(`"name":"wrong"`, spec), message, fields...)
	}
	return []harness.WrongRequest{
		raw("An instance without containers is refused", ``, "Required value", "spec.containers"),
		raw("An instance with an empty list of containers is refused", `"containers":[]`, "Required value", "spec.containers"),
		raw("An instance of 17 containers is refused", `"containers":`+many(17, `{"name":"c%d","image":"web:1"}`), "must have at most 16 items", "spec.containers"),
		raw("Two containers of one name are refused", `"containers":[{"name":"web","image":"web:1"},{"name":"web","image":"web:2"}]`, "Duplicate value", "spec.containers[1]"),
		raw("Two containers that take one port of the host are refused", `"containers":[{"name":"a","image":"web:1","ports":[{"containerPort":80,"hostPort":8080}]},{"name":"b","image":"web:1","ports":[{"containerPort":80,"hostPort":8080}]}]`, "Duplicate value: 8080", "spec.containers[1].ports[0].hostPort"),
		create("A host that is set on create is refused with the way to set it", `"hostName":"edge-1"`, "create a Binding at its binding subresource instead", "spec.hostName"),
		create("A host of no host's name that is set on create is refused on both counts", `"hostName":"Edge_1"`, "create a Binding", "spec.hostName", "spec.hostName"),
		create("A host selector with a bad key is refused", `"hostSelector":{"a b":"c"}`, "name part must consist of", "spec.hostSelector"),
		create("A host selector with a bad value is refused", `"hostSelector":{"a":"b c"}`, "a valid label must be", "spec.hostSelector"),
		create("An unknown restart policy is refused", `"restartPolicy":"Sometimes"`, `supported values: "Always", "Never", "OnFailure"`, "spec.restartPolicy"),
		create("A service account of no object's name is refused", `"serviceAccountName":"Web_1"`, "RFC 1123 subdomain", "spec.serviceAccountName"),
		create("A negative termination grace period is refused", `"terminationGracePeriodSeconds":-1`, "greater than or equal to 0", "spec.terminationGracePeriodSeconds"),
		create("A deadline of no seconds is refused", `"activeDeadlineSeconds":0`, "greater than or equal to 1", "spec.activeDeadlineSeconds"),
		create("A deadline of more than 2147483647 seconds is refused", `"activeDeadlineSeconds":2147483648`, "less than or equal to 2147483647", "spec.activeDeadlineSeconds"),
		create("More than 128 tolerations are refused", `"tolerations":`+many(129, `{"key":"k%d"}`), "must have at most 128 items", "spec.tolerations"),
		create("A toleration with a bad key is refused", `"tolerations":[{"key":"a b"}]`, "name part must consist of", "spec.tolerations[0].key"),
		create("A toleration with an unknown operator is refused", `"tolerations":[{"key":"a","operator":"Like"}]`, `supported values: "Equal", "Exists"`, "spec.tolerations[0].operator"),
		create("A toleration of every key with a value is refused", `"tolerations":[{"value":"b"}]`, "must be Exists when key is empty", "spec.tolerations[0].operator"),
		create("A toleration of every value with a value is refused", `"tolerations":[{"key":"a","operator":"Exists","value":"b"}]`, "must be empty when operator is Exists", "spec.tolerations[0].value"),
		create("A toleration with a bad value is refused", `"tolerations":[{"key":"a","value":"b c"}]`, "a valid label must be", "spec.tolerations[0].value"),
		create("A toleration with an unknown effect is refused", `"tolerations":[{"key":"a","effect":"PreferNoSchedule"}]`, `supported values: "NoExecute", "NoSchedule"`, "spec.tolerations[0].effect"),
		create("A toleration for a time of what does not evict is refused", `"tolerations":[{"key":"a","effect":"NoSchedule","tolerationSeconds":5}]`, "must be NoExecute when tolerationSeconds is set", "spec.tolerations[0].effect"),
		raw("An instance with several mistakes is refused with all of them", `"restartPolicy":"Sometimes","activeDeadlineSeconds":0,"containers":[{"name":"Web","image":""}]`, "Unsupported value", "spec.activeDeadlineSeconds", "spec.containers[0].image", "spec.containers[0].name", "spec.restartPolicy"),
	}
}

func wrongContainers() []harness.WrongRequest {
	create := func(name, container, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.InstancesPath, containerWith(container), message, fields...)
	}
	raw := func(name, container, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.InstancesPath, anInstance(`"name":"wrong"`, `"containers":[`+container+`]`), message, fields...)
	}
	const container = "spec.containers[0]"
	return []harness.WrongRequest{
		raw("A container without a name is refused", `{"image":"web:1"}`, "Required value", container+".name"),
		raw("A container with a name in capitals is refused", `{"name":"Web","image":"web:1"}`, "RFC 1123 label", container+".name"),
		raw("A container with a name of more than 63 characters is refused", `{"name":"`+strings.Repeat("n", 64)+`","image":"web:1"}`, "must be no more than 63", container+".name"),
		raw("A container without an image is refused", `{"name":"web"}`, "Required value", container+".image"),
		raw("An image of more than 1024 characters is refused", `{"name":"web","image":"`+strings.Repeat("i", 1025)+`"}`, "may not be more than 1024", container+".image"),
		raw("An image with white space around it is refused", `{"name":"web","image":" web:1"}`, "must not begin or end with white space", container+".image"),
		create("An unknown pull policy is refused", `"imagePullPolicy":"Perhaps"`, `supported values: "Always", "IfNotPresent", "Never"`, container+".imagePullPolicy"),

		create("A variable without a name is refused", `"env":[{"value":"1"}]`, "Required value", container+".env[0].name"),
		create("A variable with an equals sign in its name is refused", `"env":[{"name":"A=B"}]`, "other than '='", container+".env[0].name"),
		create("A variable with a name of more than 1024 characters is refused", `"env":[{"name":"`+strings.Repeat("A", 1025)+`"}]`, "may not be more than 1024", container+".env[0].name"),
		create("Two variables of one name are refused", `"env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]`, "Duplicate value", container+".env[1]"),
		create("More than 512 variables are refused", `"env":`+many(513, `{"name":"A%d"}`), "must have at most 512 items", container+".env"),

		create("A port without a number is refused", `"ports":[{"name":"http"}]`, "Required value", container+".ports[0].containerPort"),
		create("A port above 65535 is refused", `"ports":[{"containerPort":65536}]`, "less than or equal to 65535", container+".ports[0].containerPort"),
		create("A negative port is refused", `"ports":[{"containerPort":-1}]`, "greater than or equal to 1", container+".ports[0].containerPort"),
		create("A port of the host above 65535 is refused", `"ports":[{"containerPort":80,"hostPort":65536}]`, "less than or equal to 65535", container+".ports[0].hostPort"),
		create("An unknown protocol is refused", `"ports":[{"containerPort":80,"protocol":"ICMP"}]`, `supported values: "SCTP", "TCP", "UDP"`, container+".ports[0].protocol"),
		create("A port with a bad name is refused", `"ports":[{"containerPort":80,"name":"a_port"}]`, "must contain only alpha-numeric characters", container+".ports[0].name"),
		create("Two ports of one name are refused", `"ports":[{"containerPort":80,"name":"http"},{"containerPort":81,"name":"http"}]`, `Duplicate value: "http"`, container+".ports[1].name"),
		create("Two ports of one number and protocol are refused", `"ports":[{"containerPort":80},{"containerPort":80,"protocol":"TCP"}]`, "Duplicate value", container+".ports[1]"),
		create("More than 128 ports are refused", `"ports":`+many(129, `{"containerPort":%d}`), "must have at most 128 items", container+".ports"),

		create("A negative request is refused", `"resources":{"requests":{"cpu":"-1"}}`, "greater than or equal to 0", container+".resources.requests[cpu]"),
		create("A negative limit of a resource is refused", `"resources":{"limits":{"memory":"-1"},"requests":{"memory":"-1"}}`, "greater than or equal to 0", container+".resources.limits[memory]", container+".resources.requests[memory]"),
		create("A request above its limit is refused", `"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"2"}}`, "must be less than or equal to the limit of 1", container+".resources.requests[cpu]"),
		create("A resource that Gatehouse does not know, with no domain, is refused with those that it knows", `"resources":{"requests":{"disk":"1Gi"}}`, `supported values: "cpu", "memory"`, container+".resources.requests[disk]"),
		create("A slot for instances is no resource of a container", `"resources":{"requests":{"instances":"1"}}`, `supported values: "cpu", "memory"`, container+".resources.requests[instances]"),
		create("An extended resource with no limit is refused", `"resources":{"requests":{"example.com/gpu":"1"}}`, "needs a limit that equals its request", container+".resources.requests[example.com/gpu]"),
		create("An extended resource with a limit above its request is refused", `"resources":{"limits":{"example.com/gpu":"2"},"requests":{"example.com/gpu":"1"}}`, "needs a limit that equals its request", container+".resources.requests[example.com/gpu]"),
		create("A part of an extended resource is refused", `"resources":{"limits":{"example.com/gpu":"500m"},"requests":{"example.com/gpu":"500m"}}`, "must be a whole number", container+".resources.limits[example.com/gpu]", container+".resources.requests[example.com/gpu]"),
		create("An extended resource with a bad name is refused", `"resources":{"limits":{"example.com/a b":"1"},"requests":{"example.com/a b":"1"}}`, "name part must consist of", container+".resources.limits[example.com/a b]", container+".resources.requests[example.com/a b]"),
		{Name: "An amount that is no quantity is refused", Path: harness.InstancesPath, Body: containerWith(`"resources":{"requests":{"cpu":"much"}}`),
			Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "quantities must match the regular expression"},
	}
}

// immutableFields returns rows that change one field each of the stored instance.
func immutableFields() []harness.WrongRequest {
	change := func(name, patch, message string, fields ...string) harness.WrongRequest {
		row := invalidObject(name, harness.InstancesPath+"/seed", patch, message, fields...)
		row.Method, row.ContentType = http.MethodPatch, harness.MergePatch
		return row
	}
	strategic := func(name, container, message string, fields ...string) harness.WrongRequest {
		row := invalidObject(name, harness.InstancesPath+"/seed", `{"spec":{"containers":[{"name":"web",`+container+`}]}}`, message, fields...)
		row.Method, row.ContentType = http.MethodPatch, harness.StrategicPatch
		return row
	}
	const onlyImage = "only the image of a container may change"
	return []harness.WrongRequest{
		change("The restart policy cannot change", `{"spec":{"restartPolicy":"Never"}}`, "field is immutable", "spec.restartPolicy"),
		change("The service account cannot change", `{"spec":{"serviceAccountName":"other"}}`, "field is immutable", "spec.serviceAccountName"),
		change("The termination grace period cannot change", `{"spec":{"terminationGracePeriodSeconds":5}}`, "field is immutable", "spec.terminationGracePeriodSeconds"),
		change("The host selector cannot change", `{"spec":{"hostSelector":{"zone":"b"}}}`, "field is immutable", "spec.hostSelector"),
		change("The host cannot be set by an update", `{"spec":{"hostName":"edge-1"}}`, "only by creating a Binding", "spec.hostName"),
		change("The deadline cannot become longer", `{"spec":{"activeDeadlineSeconds":601}}`, "may only become shorter", "spec.activeDeadlineSeconds"),
		change("The deadline cannot be removed", `{"spec":{"activeDeadlineSeconds":null}}`, "cannot be removed once it is set", "spec.activeDeadlineSeconds"),
		change("A toleration cannot be removed", `{"spec":{"tolerations":null}}`, "existing tolerations can neither change nor be removed", "spec.tolerations"),
		change("A toleration cannot change", `{"spec":{"tolerations":[{"key":"slow","operator":"Exists","effect":"NoExecute"}]}}`, "existing tolerations can neither change nor be removed", "spec.tolerations"),
		change("An added toleration must be right", `{"spec":{"tolerations":[{"key":"slow","operator":"Exists","effect":"NoSchedule"},{"key":"a b"}]}}`, "name part must consist of", "spec.tolerations[1].key"),
		strategic("A container's image cannot be emptied", `"image":""`, "Required value", "spec.containers[0].image"),
		strategic("A container's command cannot change", `"command":["other"]`, onlyImage, "spec.containers[0]"),
		strategic("A container's arguments cannot change", `"args":["-q"]`, onlyImage, "spec.containers[0]"),
		strategic("A container's working directory cannot change", `"workingDir":"/tmp"`, onlyImage, "spec.containers[0]"),
		strategic("A container's environment cannot change", `"env":[{"name":"A","value":"2"}]`, onlyImage, "spec.containers[0]"),
		strategic("A container's ports cannot change", `"ports":[{"name":"http","containerPort":81,"protocol":"TCP"},{"$patch":"delete","containerPort":80}]`, onlyImage, "spec.containers[0]"),
		strategic("A container's resources cannot change", `"resources":{"limits":{"cpu":"2"},"requests":{"cpu":"2"}}`, onlyImage, "spec.containers[0]"),
		strategic("A container's pull policy cannot change", `"imagePullPolicy":"Never"`, onlyImage, "spec.containers[0]"),
		strategic("A container cannot be added", `"image":"web:1"},{"name":"more","image":"more:1"`, "containers cannot be added or removed", "spec.containers"),
		change("A container cannot be renamed", `{"spec":{"containers":[{"name":"other","image":"web:1","imagePullPolicy":"IfNotPresent","command":["serve"],"args":["-v"],"workingDir":"/srv","env":[{"name":"A","value":"1"}],"ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}}]}}`, onlyImage, "spec.containers[0]"),
		change("The containers cannot be removed", `{"spec":{"containers":[]}}`, "Required value", "spec.containers", "spec.containers"),
		change("The host of a bound instance cannot change", `{"spec":{"hostName":"edge-2"}}`, "never changes after that", "spec.hostName").At(harness.InstancesPath + "/bound"),
		change("A bound instance cannot be unbound", `{"spec":{"hostName":null}}`, "never changes after that", "spec.hostName").At(harness.InstancesPath + "/bound"),
		change("A deletion time cannot be set by an update", `{"metadata":{"deletionTimestamp":"2020-01-01T00:00:00Z"}}`, "field is immutable", "metadata.deletionTimestamp"),
	}
}
