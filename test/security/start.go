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
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// costlyNamespace is the namespace of the servers that Start starts.
const costlyNamespace = "attack-costly"

// Start starts a process of a standalone server in which the editor of the suite may edit one
// namespace, and measures the costs of attacks on it.
func Start(t *testing.T, args ...string) (Costly, *binary.Server) {
	t.Helper()
	server := binary.Start(t, binary.DataDir(t), args...)
	env := Costly{
		Env:      Env{As: certified(t, server), Admin: server.Config, PID: server.PID(), Costs: &Costs{}},
		Builtins: true, Namespace: costlyNamespace, Log: server.Stderr,
	}
	GrantEdit(t, env)
	return env, server
}

// certified returns a function that creates clients with certificates of the server's authority.
func certified(t *testing.T, server *binary.Server) func(user string, groups ...string) *rest.Config {
	t.Helper()
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return func(user string, groups ...string) *rest.Config {
		cert, key, err := certificates.IssueClient(ca, user, groups, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		config := rest.AnonymousClientConfig(server.Config)
		config.CertData, config.KeyData = cert, key
		return config
	}
}

// GrantWatch grants the group attack-watchers of Connections the role view, on a standalone server.
func GrantWatch(t *testing.T, env Env) {
	t.Helper()
	newClient(t, env.Admin).must(t, http.MethodPost, rbac+"/clusterrolebindings", "", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"attack-watchers"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"attack-watchers"}]}`)
}
