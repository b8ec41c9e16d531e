//go:build e2e

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

package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// Rights are removed from the server one by one. Each time it must name the missing right, continue
// with the rest, and never hang. The test removes rights that other tests need, so it does not run in
// parallel with them, and restores the rights.
func TestWhatTheServerMayNotDoIsNamedAndReadsGoOn(t *testing.T) {
	ns := namespace(t, "permissions")
	apply(t, instance(ns, "there", ""))
	operator, err := env.cluster.ClientCA.Issue("permissions-operator", "operator", []string{"system:masters"})
	if err != nil {
		t.Fatal(err)
	}
	verbose := func(t *testing.T) string {
		t.Helper()
		_, body := direct(t, &operator, nil, "/readyz?verbose")
		return body
	}
	restore := func(t *testing.T) {
		t.Helper()
		apply(t, env.manifests)
		kit.EventuallyState(t, "nothing is missing any more", func(context.Context) (bool, string) {
			body := verbose(t)
			return !strings.Contains(body, "[!]") && strings.Contains(body, "readyz check passed"), body
		})
	}

	for _, tc := range []struct {
		name   string
		remove []string
		says   string
		// createFails is the expected error of a create; empty if creates succeed.
		createFails string
	}{
		{
			name:   "without the right to read the trust ConfigMap callers are served as before",
			remove: []string{"delete", "rolebinding", "gatehouse:extension-apiserver-authentication-reader", "-n", "kube-system"},
			says:   "cannot get, list, watch configmaps extension-apiserver-authentication in namespace kube-system: not permitted",
		},
		{
			name:        "without the right to read the objects of admission only writes are refused, with the reason",
			remove:      []string{"delete", "clusterrolebinding", "gatehouse:server"},
			says:        "cannot get, list, watch namespaces: not permitted; without it objects in namespaces cannot be created; to cure it, apply artifacts/deploy/rbac.yaml",
			createFails: "admission plugin NamespaceLifecycle cannot decide: cannot get, list, watch namespaces: not permitted",
		},
		{
			name:   "without the right to create reviews administrators are served",
			remove: []string{"delete", "clusterrolebinding", "gatehouse:auth-delegator"},
			says:   "cannot create subjectaccessreviews.authorization.k8s.io: not permitted; without it every request is refused except those of system:masters",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer restore(t)
			kubectl(t, tc.remove...)
			kit.EventuallyState(t, "/readyz?verbose names what is missing", func(context.Context) (bool, string) {
				body := verbose(t)
				return strings.Contains(body, tc.says), body
			})
			if _, body := direct(t, nil, nil, "/readyz?verbose"); strings.Contains(body, "cannot ") || !strings.Contains(body, "reason withheld") {
				t.Errorf("a caller without credentials reads %s", body)
			}
			kubectl(t, "get", "instance", "there", "-n", ns, "--request-timeout=20s")
			_, err := env.cluster.Kubectl(instance(ns, "new", ""), "create", "-f", "-", "--dry-run=server", "--request-timeout=20s")
			if got := errText(err); (got == "") != (tc.createFails == "") || !strings.Contains(got, tc.createFails) {
				t.Errorf("create: want %q, got %q", tc.createFails, got)
			}
		})
	}

	t.Run("without reviews a user is refused and not let through", func(t *testing.T) {
		defer restore(t)
		kubectl(t, "delete", "clusterrolebinding", "gatehouse:auth-delegator")
		pair, err := env.cluster.ClientCA.Issue("unreviewed", "unreviewed", nil)
		if err != nil {
			t.Fatal(err)
		}
		kit.EventuallyState(t, "the right is gone", func(context.Context) (bool, string) {
			body := verbose(t)
			return strings.Contains(body, "[!]access-reviews"), body
		})
		if code, body := direct(t, &pair, nil, instancesPath); code == http.StatusOK {
			t.Errorf("allowed: %s", body)
		}
	})
}
