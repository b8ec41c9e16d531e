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
	"path/filepath"
	"testing"

	gatehousetesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

func TestKubectlTour(t *testing.T) {
	program := kubectl.Find(t)
	server := gatehousetesting.Start(t)
	harness.CreateNamespace(t, server, "tour")
	harness.CreateAccount(t, server, "tour", "builder")
	kubectl.Run(t, kubectl.Env{Kubectl: program, Kubeconfig: server.Kubeconfig, Namespace: "tour"})
}

func TestAppsRollOut(t *testing.T) {
	program := kubectl.Find(t)
	server := gatehousetesting.Start(t, func(o *options.Options) {
		o.Controllers, o.SimulateHosts = manager.Selection{manager.AllControllers}, 3
	})
	harness.CreateNamespace(t, server, "tour")
	kubectl.RunApps(t, kubectl.Rollouts{Env: kubectl.Env{Kubectl: program, Kubeconfig: server.Kubeconfig, Namespace: "tour"}, Hosts: 3})
}

// The test uses the server that make builds, because the one inside this test has no version.
func TestKubectlSeesNoVersionSkewOfTheBuiltServer(t *testing.T) {
	program := kubectl.Find(t)
	server := binary.Start(t, binary.DataDir(t))
	kubectl.CheckVersion(t, kubectl.Env{Kubectl: program, Kubeconfig: filepath.Join(server.DataDir, "kubeconfig"), Namespace: "tour"})
}
