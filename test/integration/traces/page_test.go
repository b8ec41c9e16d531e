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

package traces

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
	"github.com/gatehouse-dev/gatehouse/test/pages"
)

func TestTheCommandsOfThePageOnDebuggingPrintWhatItShows(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Controllers = manager.Selection{manager.AllControllers} })
	harness.CreateNamespace(t, server, "shop")
	shell := pages.Shell{Dir: t.TempDir(), Bin: pages.Bin(t, kubectl.Find(t)), Kubeconfig: server.Kubeconfig}
	writeKubeconfig(t, filepath.Join(shell.Dir, "bob.kubeconfig"), harness.IssueClient(t, server, "bob"))
	pages.Debugging(t, filepath.Join("..", "..", "..", "docs", "debugging.md"), pages.Standalone, shell)
}

// writeKubeconfig writes a client configuration with a certificate.
func writeKubeconfig(t *testing.T, path string, config *rest.Config) {
	t.Helper()
	authority := config.CAData
	if len(authority) == 0 {
		var err error
		if authority, err = os.ReadFile(config.CAFile); err != nil {
			t.Fatal(err)
		}
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: authority}
	file.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	file.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	file.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		t.Fatal(err)
	}
}
