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
)

// requestReviews returns reviews of requests that would give a caller rights, or let it guess what it may not read.
func requestReviews() []attack {
	const path = "/apis/diagnostics.gatehouse.dev/v1alpha1/requestreviews"
	review := func(user, spec string) string {
		if user != "" {
			spec = fmt.Sprintf(`"user":{"username":%q,"groups":["system:masters"]},`, user) + spec
		}
		return `{"apiVersion":"diagnostics.gatehouse.dev/v1alpha1","kind":"RequestReview","spec":{` + spec + `}}`
	}
	resource := func(rest string) string { return `"resource":{"version":"v1",` + rest + `}` }
	secret := resource(`"resource":"secrets","namespace":"` + theirs + `","name":"one"`)
	guess := `"verb":"patch","patchType":"JSON","patch":"[{\"op\":\"test\",\"path\":\"/data/a\",\"value\":\"Yg==\"}]",` + secret
	rows := []attack{
		{name: "A stranger reviews a request of an administrator", body: review("attack-root", `"verb":"get",`+secret), code: http.StatusForbidden, says: "reviewall"},
		{name: "A stranger reviews its own request with more groups", body: review("attack-stranger", `"verb":"get",`+secret), code: http.StatusForbidden, says: "reviewall"},
		{name: "A stranger guesses a secret as an administrator", body: review("attack-root", guess), code: http.StatusForbidden, says: "reviewall"},
		{name: "A stranger reviews a review", body: review("", `"verb":"create","object":{},"resource":{"group":"diagnostics.gatehouse.dev","version":"v1alpha1","resource":"requestreviews"}`), code: http.StatusUnprocessableEntity, says: "a review of a review"},
		{name: "A review names a path", body: review("", `"verb":"get",`+resource(`"resource":"secrets","namespace":"`+theirs+`","name":"../../`+ours+`"`)), code: http.StatusUnprocessableEntity, says: "spec.resource.name"},
		{name: "A review names a resource as a subresource of its namespace", body: review("", `"verb":"create","object":{},`+resource(`"resource":"namespaces","name":"`+theirs+`","subresource":"secrets"`)), code: http.StatusBadRequest, says: "not a resource of the API"},
		{name: "A review hides a watch in its path", body: review("", `"verb":"get",`+resource(`"resource":"watch","name":"secrets"`)), code: http.StatusBadRequest, says: "not a resource of the API"},
	}
	for i := range rows {
		rows[i].as, rows[i].method, rows[i].path = "a stranger", http.MethodPost, path
	}
	return append(rows, attack{name: "A review without credentials", method: http.MethodPost, path: path, body: review("", `"verb":"get",`+secret), code: http.StatusUnauthorized})
}
