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
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

func TestKubectlTourOfKubernetesOwnKinds(t *testing.T) {
	program := kubectl.Find(t)
	server := servertesting.Start(t)
	harness.CreateNamespace(t, server, "tour")
	kubectl.RunBuiltins(t, kubectl.Env{Kubectl: program, Kubeconfig: server.Kubeconfig, Namespace: "tour"})
}

func TestKubectlWithABootstrapToken(t *testing.T) {
	program := kubectl.Find(t)
	server := servertesting.Start(t, func(o *options.Options) { o.Callers.BootstrapTokens = true })
	harness.CreateNamespace(t, server, "tour")
	kubectl.RunBootstrapTokens(t, kubectl.Env{Kubectl: program, Kubeconfig: server.Kubeconfig, Namespace: "tour"})
}
