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

package admission

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/webhooks"
)

func TestWebhooksAndPoliciesAreAskedOfAStandaloneServer(t *testing.T) {
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := servertesting.Start(t, func(o *options.Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, log
	})
	webhooks.Run(t, webhooks.Env{
		Admin: server.Config, Servers: []*rest.Config{server.Config}, Namespace: "gates", Standalone: true, CatchAll: []string{"*"}, AuditLogs: []string{log},
	})
}
