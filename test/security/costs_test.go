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

package security_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/security"
	"github.com/gatehouse-dev/gatehouse/test/webhooks"
)

// The attacks of the suite against a process of the server, each measured: a cost above MaxPeak or
// MaxCPU per unit fails the test. The tests of test/integration/security play the same rows for their
// responses; the large bodies are measured there. The processor time of a process does not include
// the time that it waits on a busy machine.

func TestRequestsCostTheServerLittle(t *testing.T) {
	t.Parallel()
	env, _ := security.Start(t)
	defer env.Costs.Log(t)
	for _, table := range []struct {
		name string
		play func(*testing.T)
	}{
		{"people", func(t *testing.T) { security.People(t, env.Env) }},
		{"hosts", func(t *testing.T) { security.Hosts(t, env.Env, env.Namespace) }},
		{"peers", func(t *testing.T) { security.Peers(t, env.Env) }},
		{"ended instances", func(t *testing.T) { security.EndedInstances(t, env.Env, env.Namespace) }},
		{"answers", func(t *testing.T) { security.Answers(t, env.Env, env.Namespace) }},
		{"callers without credentials", func(t *testing.T) { security.AnonymousAnswers(t, env.Env) }},
		{"controllers", func(t *testing.T) { security.Runaway(t, env.Env, env.Namespace) }},
		{"small attacks", func(t *testing.T) { security.Small(t, env.Env) }},
		{"events", func(t *testing.T) { security.Events(t, env.Env, env.Namespace) }},
	} {
		t.Run(table.name, table.play)
	}
}

func TestTokensOfProvidersCostTheServerLittle(t *testing.T) {
	t.Parallel()
	issuers := security.NewIssuers(t)
	env, _ := security.Start(t, "--authentication-config="+issuers.ConfigFile, "--authentication-token-webhook-config-file="+issuers.KubeconfigFile)
	defer env.Costs.Log(t)
	security.Providers(t, env.Env, issuers)
}

func TestWebhooksAndPoliciesCostTheServerLittle(t *testing.T) {
	t.Parallel()
	env, server := security.Start(t)
	defer env.Costs.Log(t)
	webhooks.Hostile(t, webhooks.Env{
		Admin: server.Config, Servers: []*rest.Config{server.Config}, Namespace: "gates", Standalone: true, CatchAll: []string{"*"}, Measured: env.Measured,
	})
}

func TestConnectionsAndWatchesCostTheServerLittle(t *testing.T) {
	t.Parallel()
	env, _ := security.Start(t)
	defer env.Costs.Log(t)
	security.GrantWatch(t, env.Env)
	security.Connections(t, env.Env, 1000, "/api/v1/configmaps?watch=true", "/api/v1/namespaces/default/configmaps")
}

func TestRequestsDuringAStartCostTheServerLittle(t *testing.T) {
	t.Parallel()
	var costs security.Costs
	defer costs.Log(t)
	security.Starts(t, &costs)
}
