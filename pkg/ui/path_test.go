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

package ui

import (
	"net/http"
	"testing"
)

func TestOnlyReadsOfTheAPIArePassedOn(t *testing.T) {
	for _, c := range []struct {
		name, path, query string
		stream            bool
		refused           bool
	}{
		{name: "a collection", path: "/apis/fleet.gatehouse.dev/v1alpha1/hosts", query: "limit=500&labelSelector=a%3Db"},
		{name: "an object with a colon in its name", path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:host"},
		{name: "a status", path: "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/shop/apps/web/status"},
		{name: "a namespace that is called secrets", path: "/api/v1/namespaces/secrets/configmaps"},
		{name: "discovery", path: "/apis"},
		{name: "the version", path: "/version"},
		{name: "a stream of a collection", path: "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/shop/apps", query: "fieldSelector=metadata.name%3Dweb", stream: true},

		{name: "secrets", path: "/api/v1/secrets", refused: true},
		{name: "secrets of a namespace", path: "/api/v1/namespaces/shop/secrets", refused: true},
		{name: "one secret", path: "/api/v1/namespaces/shop/secrets/one", refused: true},
		{name: "secrets in capitals", path: "/api/v1/SECRETS", refused: true},
		{name: "secrets with an escape", path: "/api/v1/%73ecrets", refused: true},
		{name: "a stream of secrets", path: "/api/v1/secrets", stream: true, refused: true},
		{name: "secrets of the old form of a watch", path: "/api/v1/watch/secrets", refused: true},
		{name: "exec", path: "/api/v1/namespaces/shop/pods/web/exec", refused: true},
		{name: "attach", path: "/api/v1/namespaces/shop/pods/web/attach", refused: true},
		{name: "portforward", path: "/api/v1/namespaces/shop/pods/web/portforward", refused: true},
		{name: "log", path: "/api/v1/namespaces/shop/pods/web/log", refused: true},
		{name: "a proxy of a service", path: "/api/v1/namespaces/shop/services/web/proxy/a/b", refused: true},
		{name: "a proxy of a service without a path", path: "/api/v1/namespaces/shop/services/web/proxy", refused: true},
		{name: "a proxy of a host", path: "/apis/fleet.gatehouse.dev/v1alpha1/hosts/a/proxy", refused: true},
		{name: "the old form of a proxy", path: "/api/v1/proxy/namespaces/shop/services/web", refused: true},
		{name: "a watch", path: "/api/v1/configmaps", query: "watch=true", refused: true},
		{name: "a watch with a number", path: "/api/v1/configmaps", query: "watch=1", refused: true},
		{name: "a parameter twice", path: "/api/v1/configmaps", query: "limit=1&limit=2", refused: true},
		{name: "a parameter of exec", path: "/api/v1/configmaps", query: "command=sh", refused: true},
		{name: "a query that cannot be parsed", path: "/api/v1/configmaps", query: "limit=%zz", refused: true},
		{name: "dots", path: "/api/../ui/session", refused: true},
		{name: "dots behind a segment", path: "/api/v1/namespaces/..", refused: true},
		{name: "escaped dots", path: "/api/%2e%2e/metrics", refused: true},
		{name: "an escaped slash", path: "/api/v1%2Fsecrets", refused: true},
		{name: "two slashes", path: "//api/v1/configmaps", refused: true},
		{name: "two slashes within", path: "/api/v1//configmaps", refused: true},
		{name: "a slash at the end", path: "/api/v1/secrets/", refused: true},
		{name: "a semicolon", path: "/api/v1/secrets;a", refused: true},
		{name: "a backslash", path: `/api/v1/..\secrets`, refused: true},
		{name: "metrics", path: "/metrics", refused: true},
		{name: "profiles", path: "/debug/pprof/heap", refused: true},
		{name: "logs of the server", path: "/logs", refused: true},
		{name: "what only begins like the API", path: "/apisx", refused: true},
		{name: "nothing", path: "", refused: true},
		{name: "a stream of an object", path: "/apis/fleet.gatehouse.dev/v1alpha1/hosts/a", stream: true, refused: true},
		{name: "a stream of discovery", path: "/apis", stream: true, refused: true},
		{name: "a stream with a version", path: "/api/v1/configmaps", query: "resourceVersion=1", stream: true, refused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseTarget(c.path, c.query, c.stream)
			if (err != nil) != c.refused {
				t.Errorf("got %+v, %v; refused: %v", got, err, c.refused)
			}
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	long := make([]byte, 3*longestMessage)
	for i := range long {
		long[i] = 'a'
	}
	if got := statusOf(http.StatusForbidden, []byte(`{"message":"`+string(long)+`"}`)); len(got.Message) > longestMessage+3 || got.Reason != "Forbidden" {
		t.Errorf("got reason %q and %d bytes", got.Reason, len(got.Message))
	}
}
