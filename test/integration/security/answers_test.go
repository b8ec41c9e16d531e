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
	"testing"

	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

func TestNoAttackGetsAWrongAnswer(t *testing.T) {
	server := servertesting.Start(t)
	harness.CreateNamespace(t, server, "answers")
	env := security.Env{
		As: func(user string, groups ...string) *rest.Config {
			return harness.IssueClient(t, server, user, groups...)
		},
		Admin: server.Config,
	}
	t.Run("patches", func(t *testing.T) { security.Answers(t, env, "answers") })
	t.Run("anonymous", func(t *testing.T) { security.AnonymousAnswers(t, env) })
}
