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

package requesttrace

import (
	"strings"

	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

func table() rest.TableConvertor {
	type column = base.Column[*diagnostics.RequestTrace]
	return base.Table(
		base.NameColumn[*diagnostics.RequestTrace](),
		column{Name: "User", Description: "The user of the request.", Value: func(t *diagnostics.RequestTrace) any { return orNone(t.User.Username) }},
		column{Name: "Verb", Description: "The verb of the API, or the HTTP method.", Value: func(t *diagnostics.RequestTrace) any { return t.Request.Verb }},
		column{Name: "Resource", Description: "The resource with its group, or the path.", Value: func(t *diagnostics.RequestTrace) any { return resourceOf(&t.Request) }},
		column{Name: "Object", Description: "The namespace and the name of the object.", Value: func(t *diagnostics.RequestTrace) any { return orNone(objectOf(&t.Request)) }},
		column{Name: "Code", Type: "integer", Description: "The HTTP status code of the response.", Value: func(t *diagnostics.RequestTrace) any { return int64(t.Code) }},
		column{Name: "Decided-By", Description: "The gate that refused the request, or at which it failed.", Value: func(t *diagnostics.RequestTrace) any { return decidedBy(t) }},
		column{Name: "Latency", Description: "The time from the receipt of the request to the end of its response.", Value: func(t *diagnostics.RequestTrace) any { return t.Latency.Duration.String() }},
		base.AgeColumn[*diagnostics.RequestTrace](),
		column{Name: "Reason", Wide: true, Description: "The reason of the response.", Value: func(t *diagnostics.RequestTrace) any { return orNone(t.Reason) }},
		column{Name: "Client", Wide: true, Description: "The program that the client named.", Value: func(t *diagnostics.RequestTrace) any { return t.Request.UserAgent }},
	)
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func resourceOf(r *diagnostics.TracedRequest) string {
	if r.Resource == "" {
		return r.Path
	}
	resource := r.Resource
	if r.APIGroup != "" {
		resource += "." + r.APIGroup
	}
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	return resource
}

func objectOf(r *diagnostics.TracedRequest) string {
	return strings.Trim(r.Namespace+"/"+r.Name, "/")
}

func decidedBy(t *diagnostics.RequestTrace) string {
	if t.DecidedBy == nil {
		return "<none>"
	}
	if t.DecidedBy.By == "" {
		return string(t.DecidedBy.Stop)
	}
	return string(t.DecidedBy.Stop) + "/" + t.DecidedBy.By
}
