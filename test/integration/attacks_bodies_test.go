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

package integration

import (
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/test/attacks"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

const costlyNamespace = "attack-costly"

// startCostly starts a process of the server, with all controllers, in which the attack suite's
// editor may edit one namespace.
func startCostly(t *testing.T, args ...string) (attacks.Costly, *binary.Server) {
	t.Helper()
	server := binary.Start(t, binary.DataDir(t), append(args, "--controllers=*")...)
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	env := attacks.Costly{
		Env: attacks.Env{
			As: func(user string, groups ...string) *rest.Config {
				cert, key, err := certificates.IssueClient(ca, user, groups, time.Hour, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				config := rest.AnonymousClientConfig(server.Config)
				config.CertData, config.KeyData = cert, key
				return config
			},
			Admin: server.Config,
		},
		PID: server.PID(), Builtins: true, Namespace: costlyNamespace, Log: server.Stderr,
	}
	attacks.GrantEdit(t, env)
	return env, server
}

func TestNoRequestCostsTheServerMuch(t *testing.T) {
	env, _ := startCostly(t)
	attacks.Bodies(t, env)
}

func TestAServerNearItsMemoryLimitRefusesWhatNeedsMuch(t *testing.T) {
	env, _ := startCostly(t, "--memory-limit=192Mi")
	attacks.Memory(t, env, 500)
}
