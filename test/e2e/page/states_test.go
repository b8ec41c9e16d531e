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

package page

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestARefusalLeadsToItsCure(t *testing.T) {
	server := start(t)
	b := newTab(t, 1100, 760)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.click("td a", "create configmaps shop")
	for _, text := range []string{"bob create configmaps shop", "no authorizer allows it", "RoleBinding shop/bob → ClusterRole view", "Does not fit: verb", "kubectl gatehouse why "} {
		b.shows(".panel", text)
	}
	b.shows(".panel .decided", "Authorization")
	b.picture("ui-trace", "light")
	cure := get[string](b, "document.querySelector('.cure code').innerText")
	b.click(".cure button", "Copy")
	b.wait("['Copied', 'Selected'].includes(document.querySelector('.cure button').innerText)")
	if copied := get[string](b, "document.querySelector('.cure button').innerText === 'Copied' ? navigator.clipboard.readText().catch(() => "+
		fmt.Sprintf("%q", cure)+") : getSelection().toString()"); copied != cure {
		t.Errorf("the button copies %q, want %q", copied, cure)
	}
	kubectl(t, server, strings.Fields(strings.TrimPrefix(cure, "kubectl "))...)
	if code := send(t, server, "bob", http.MethodPost, configMaps, fmt.Sprintf(configMap, "settings", "no")); code != http.StatusCreated {
		t.Errorf("after %q, the request has the code %d", cure, code)
	}
	b.click(".panel button", "Close")
	b.wait("!document.querySelector('.panel')")

	// A gate is a filter, and a refusal in its tray leads to its trace, too.
	b.click(".gate button", "Validation")
	b.wait("[...document.querySelectorAll('tbody tr')].every(row => row.innerText.includes('422'))")
	b.click(".gate[data-stop=Validation] .tray a", "422")
	b.shows(".panel", "Correct the fields in the cause.")
	b.shows(".panel .decided", "spec.restartPolicy: FieldValueNotSupported")
	b.clean()
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := kit.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestThePageSurvivesTheServer(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	server := binary.Start(t, binary.DataDir(t), "--listen", address, "--simulate-hosts", "3")
	kubectl(t, server, "apply", "-f", "testdata/scene.yaml")
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.visit("hosts", "Hosts")
	b.shows("td", "sim-1")

	server.Kill()
	<-server.Exited()
	b.shows("#banner", "The API server does not respond.")
	b.shows("#live", "Server gone")
	b.shows("td", "sim-1")

	again := binary.Start(t, server.DataDir, "--listen", address, "--simulate-hosts", "3")
	b.shows("#live", "Live")
	b.wait("document.querySelector('#banner').hidden")
	b.visit("gates", "Gates")
	if code := send(t, again, "bob", http.MethodPost, configMaps, fmt.Sprintf(configMap, "later", "no")); code != http.StatusForbidden {
		t.Errorf("got %d, want 403", code)
	}
	b.shows("td", "create configmaps shop")
	b.clean()
}

func TestThePageSurvivesItsProxy(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 800)
	port := fmt.Sprint(freePort(t))
	proxy, address := serve(t, kubeconfig(server), "--address", "127.0.0.1", "--port", port)
	b.run("open the link", chromedp.Navigate(address))
	b.shows("td", "bob")
	proxy.end()
	b.shows("#banner", "There is no connection")
	b.shows("#banner", "Next attempt in")
	b.shows("td", "bob")

	// Another proxy has other sessions.
	serve(t, kubeconfig(server), "--address", "127.0.0.1", "--port", port)
	b.shows("h1", "This link was used, or has expired")
	b.shows("code", "kubectl gatehouse ui")
	b.clean()
}

func TestALinkStartsOneSession(t *testing.T) {
	server := start(t)
	address := link(t, kubeconfig(server))
	first := newTab(t, 1280, 800)
	first.run("open the link", chromedp.Navigate(address))
	first.shows("#live", "Live")
	second := newTab(t, 1280, 800)
	second.run("open the link", chromedp.Navigate(address))
	second.shows("h1", "This link was used, or has expired")
	second.clean()
}

func TestAViewNamesTheRightThatIsMissing(t *testing.T) {
	server := start(t)
	config, err := clientcmd.LoadFromFile(kubeconfig(server))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "dave"
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, path)))
	b.shows("#where", "as dave")
	b.visit("hosts", "Hosts")
	b.wait("/this view needs the verb (list|watch) on hosts.fleet.gatehouse.dev/.test(document.querySelector('.empty')?.innerText)")
	b.wait("/^kubectl auth can-i (list|watch) hosts.fleet.gatehouse.dev$/.test(document.querySelector('.empty code')?.innerText)")
	b.clean()
}

func TestAViewMayBeOpenedBeforeTheSessionBegins(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 800)
	// The view is wanted while the secret is being exchanged.
	do(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `const send = window.fetch;
		window.fetch = async (path, options) => {
			if (path === '/ui/session') {
				location.hash = 'storage';
				await new Promise(resolve => setTimeout(resolve, 500));
			}
			return send(path, options);
		};`})
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("h1", "Storage")
	b.shows(".card", "Leader")
	b.clean()
}
