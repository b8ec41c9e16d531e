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

package kubectl

import (
	"context"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// RunBootstrapTokens runs the commands of docs/bootstrap-tokens.md on a standalone server with
// --enable-bootstrap-token-auth.
func RunBootstrapTokens(t *testing.T, env Env) {
	t.Helper()
	s := newScene(t, env, t.TempDir())
	const secret = "create secret generic bootstrap-token-07401b -n kube-system --type=bootstrap.kubernetes.io/token --from-literal=token-id=07401b " +
		"--from-literal=token-secret=f395accd246ae52d --from-literal=usage-bootstrap-authentication=true --from-literal=auth-extra-groups=system:bootstrappers:installers"
	s.kubectl("create clusterrole bootstrap-hosts --verb=list --resource=hosts").succeeds()
	s.kubectl("create clusterrolebinding bootstrap-hosts --clusterrole=bootstrap-hosts --group=system:bootstrappers:installers").succeeds()
	s.kubectl(secret).prints("secret/bootstrap-token-07401b created")
	installer := s.bearing("07401b.f395accd246ae52d")
	kit.EventuallyState(s, "the token is accepted", func(context.Context) (bool, string) {
		last := installer.kubectl("get hosts")
		return last.code == 0, last.String()
	})
	installer.kubectl("auth whoami -o", `jsonpath={.status.userInfo.username} {.status.userInfo.groups}{"\n"}`).prints(
		`system:bootstrap:07401b ["system:bootstrappers","system:bootstrappers:installers","system:authenticated"]`)
	installer.kubectl("get secrets -n kube-system").fails(`Error from server (Forbidden): secrets is forbidden: User "system:bootstrap:07401b" cannot list resource "secrets" in API group "" in the namespace "kube-system"`)
	s.kubectl("get secrets -n kube-system --field-selector type=bootstrap.kubernetes.io/token -o name").prints("secret/bootstrap-token-07401b")
	s.kubectl("delete secret bootstrap-token-07401b -n kube-system").prints(`secret "bootstrap-token-07401b" deleted from kube-system namespace`)
	installer.kubectl("get hosts").fails("error: You must be logged in to the server (Unauthorized)")

	s.kubectl("create secret generic bootstrap-token-000000 -n $NS --type=bootstrap.kubernetes.io/token --from-literal=token-id=000000 --from-literal=token-secret=short").warns(
		"Warning: metadata.namespace: is not kube-system: this bootstrap token authenticates no request\n"+
			"Warning: data[token-secret]: is not 16 characters of a-z and 0-9: this bootstrap token authenticates no request\n"+
			"Warning: data[usage-bootstrap-authentication]: is not true: this bootstrap token authenticates no request",
		"secret/bootstrap-token-000000 created")
	// An expired token is deleted.
	s.kubectl("create secret generic bootstrap-token-000001 -n kube-system --type=bootstrap.kubernetes.io/token --from-literal=token-id=000001 " +
		"--from-literal=token-secret=f395accd246ae52d --from-literal=usage-bootstrap-authentication=true --from-literal=expiration=2020-01-01T00:00:00Z").succeeds()
	s.kubectl("wait --for=delete secret/bootstrap-token-000001 -n kube-system --timeout=2m").succeeds()
	s.kubectl("get secret bootstrap-token-000000 -n $NS -o name").prints("secret/bootstrap-token-000000")
}
