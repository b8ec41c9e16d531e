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

package security

import (
	"fmt"
	"net/http"
	"strings"
)

const selfReviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

// Large bodies, each of which once cost the server seconds or gigabytes.

// aliases returns a YAML review that references one long string many times.
func aliases(head string, length, count int) string {
	return head + "a: &a " + strings.Repeat("x", length) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", count), ",") + "]\n"
}

// laughs returns a YAML document in which each line references the one before ten times.
func laughs(head string, depth int) string {
	var b strings.Builder
	b.WriteString(head + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range depth {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	return b.String()
}

func repeated(count int, element string) string {
	return strings.TrimSuffix(strings.Repeat(element+",", count), ",")
}

// numbered joins count elements in which %d is a unique number, in an order in which sorted
// insertion is slow.
func numbered(count int, format string) string {
	var b strings.Builder
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i*7919%1000003)
	}
	return b.String()
}

func instanceWith(metadata, spec, container string) string {
	return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"generateName":"a-"` + metadata + `},"spec":{` + spec + `"containers":[{"name":"a","image":"a:1"` + container + `}]}}`
}

// protobufOf returns the envelope of a protobuf body of the kind with the raw object.
func protobufOf(apiVersion, kind string, raw []byte) string {
	field := func(number byte, value []byte) []byte {
		return append(appendVarint([]byte{number<<3 | 2}, len(value)), value...)
	}
	typeMeta := append(field(1, []byte(apiVersion)), field(2, []byte(kind))...)
	return "k8s\x00" + string(append(field(1, typeMeta), field(2, raw)...))
}

func appendVarint(to []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		to = append(to, byte(n)|0x80)
	}
	return append(to, byte(n))
}

// yamlBodies returns bodies for every caller that may create access reviews of itself.
func yamlBodies(as, path, head string) []attack {
	row := func(name, body, says string) attack {
		return attack{name: name, as: as, method: http.MethodPost, path: path, contentType: "application/yaml", body: body, code: http.StatusBadRequest, says: says}
	}
	return []attack{
		row("A YAML body of 1 MB names one long string 20,000 times", aliases(head, 900<<10, 20000), "the YAML body"),
		row("A YAML body of 112 kB names one long string 20,000 times", aliases(head, 50<<10, 20000), "the YAML body"),
		row("A YAML body names one long string 15,000 times", aliases(head, 50<<10, 15000), "aliases"),
		row("A YAML body names one long string 100 times", aliases(head, 50<<10, 100), "aliases"),
		row("A YAML body names lists of lists of lists", laughs(head, 12), "aliases"),
		row("A YAML body names itself", head+"a: &a [*a]\n", "aliases"),
		row("A YAML body merges a map many times over", head+"a: &a {"+numbered(1000, "k%d: v")+"}\nb:\n"+strings.Repeat("- <<: *a\n", 5000), "aliases"),
		row("A YAML body is a million values", head+"a: ["+repeated(1000000, "a")+"]\n", "values"),
		row("A YAML body in JSON is a million values", `{"a":[`+repeated(1000000, "1")+`]}`, "values"),
		row("A YAML body is nested deeply", head+"a: "+strings.Repeat("[", 5000)+strings.Repeat("]", 5000), "nested"),
		row("A YAML body is nested too deeply to be parsed", head+"a: "+strings.Repeat("[", 500000), "values"),
		row("A YAML body in JSON is nested deeply", strings.Repeat(`{"a":`, 9000)+"1"+strings.Repeat("}", 9000), "nested"),
	}
}

// reviews returns access reviews of the caller.
func reviews() []attack {
	review := func(selector string) string {
		return `{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"list","resource":"pods",` + selector + `}}}`
	}
	row := func(name, selector string, code int, says string) attack {
		return attack{name: name, as: "a stranger", method: http.MethodPost, path: selfReviews, body: review(selector), code: code, says: says}
	}
	const invalid = http.StatusUnprocessableEntity
	return []attack{
		row("A review has 3,900 invalid label requirements", `"labelSelector":{"requirements":[`+numbered(3900, `{"key":"a b%d`+strings.Repeat("x", 50)+`","operator":"In","values":["x"]}`)+`]}`, invalid, "spec.resourceAttributes.labelSelector.requirements: Too many"),
		row("A review has 3,900 label requirements of unknown operators", `"labelSelector":{"requirements":[`+numbered(3900, `{"key":"a%d","operator":"Near","values":["x"]}`)+`]}`, invalid, "spec.resourceAttributes.labelSelector.requirements: Too many"),
		row("A review has 3,900 invalid field requirements", `"fieldSelector":{"requirements":[`+numbered(3900, `{"key":"","operator":"In","values":["x%d"]}`)+`]}`, invalid, "spec.resourceAttributes.fieldSelector.requirements: Too many"),
		row("A review has a requirement of 19,000 values", `"labelSelector":{"requirements":[{"key":"a","operator":"In","values":[`+numbered(19000, `"a b%d"`)+`]}]}`, invalid, "spec.resourceAttributes.labelSelector.requirements[0].values: Too many"),
		row("A review has a raw label selector of 1 MB", `"labelSelector":{"rawSelector":"`+repeated(1<<18, "a=b")+`"}`, invalid, "spec.resourceAttributes.labelSelector.rawSelector: Too long"),
		row("A review has a raw field selector of 1 MB", `"fieldSelector":{"rawSelector":"`+repeated(1<<18, "a=b")+`"}`, invalid, "spec.resourceAttributes.fieldSelector.rawSelector: Too long"),
	}
}
