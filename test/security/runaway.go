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
	"testing"
)

// Runaway plays requests that would make a controller work without end, or block its
// work: they are refused with the field and the cure. The namespace must exist without apps.
func Runaway(t *testing.T, env Env, namespace string) {
	t.Helper()
	apps := fleet + "/namespaces/" + namespace + "/apps"
	play(t, env, administrator(), runawayRows(apps), []string{apps, hosts})
}

func runawayRows(apps string) []attack {
	app := func(selector, labels string) string {
		return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"endless"},"spec":{"selector":` + selector +
			`,"template":{"metadata":{"labels":` + labels + `},"spec":{"containers":[{"name":"a","image":"a:1"}]}}}}`
	}
	const hash = `"fleet.gatehouse.dev/template-hash"`
	var taints []string
	for n := range 65 {
		taints = append(taints, fmt.Sprintf(`{"key":"example.com/t%d","effect":"NoSchedule"}`, n))
	}
	return []attack{
		{name: "an app chooses by the label of its controller", as: "the administrator", method: http.MethodPost, path: apps,
			body: app(`{"matchLabels":{"app":"a",`+hash+`:"x"}}`, `{"app":"a",`+hash+`:"x"}`), code: http.StatusUnprocessableEntity, says: "choose by other labels"},
		{name: "an app chooses by an expression over the label of its controller", as: "the administrator", method: http.MethodPost, path: apps,
			body: app(`{"matchLabels":{"app":"a"},"matchExpressions":[{"key":`+hash+`,"operator":"DoesNotExist"}]}`, `{"app":"a"}`), code: http.StatusUnprocessableEntity, says: "spec.selector.matchExpressions[0].key"},
		{name: "a host's own taints use up the limit, so that those that evict do not fit", as: "the administrator", method: http.MethodPost, path: hosts,
			body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"spiked"},"spec":{"taints":[` + strings.Join(taints, ",") + `]}}`, code: http.StatusUnprocessableEntity, says: "spec.taints: Too many: 65: must have at most 64 items"},
	}
}
