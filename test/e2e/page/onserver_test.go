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
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// onServer runs `kubectl gatehouse ui --on-server`, and returns what it printed and its link.
func onServer(t *testing.T, server *binary.Server, args ...string) (output, address string, err error) {
	t.Helper()
	plugin := filepath.Join(filepath.Dir(binary.Path(t)), "kubectl-gatehouse")
	out, err := exec.CommandContext(t.Context(), plugin, append([]string{"ui", "--on-server", "--kubeconfig", kubeconfig(server)}, args...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if found := strings.TrimSpace(line); strings.HasPrefix(found, "https://") {
			address = found
		}
	}
	return string(out), address, err
}

// linkTo returns a link to the page of the server.
func linkTo(t *testing.T, server *binary.Server) string {
	t.Helper()
	output, address, err := onServer(t, server)
	if err != nil || address == "" {
		t.Fatalf("there is no link: %v: %s", err, output)
	}
	return address
}

// trusts makes the browser accept the certificate of an address, and no other that it does not know.
func trusts(t *testing.T, address string) chromedp.ExecAllocatorOption {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", target.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	sum := sha256.Sum256(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(sum[:]))
}

const ended = "This link was used, or has expired"

func TestThePageOfTheServer(t *testing.T) {
	listen, page := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	flags := []string{"--listen", listen, "--ui-listen", page, "--simulate-hosts", "3"}
	server := binary.Start(t, binary.DataDir(t), flags...)
	address := linkTo(t, server)
	trust := trusts(t, address)
	first := newTab(t, 1280, 800, trust)
	first.run("open the link", chromedp.Navigate(address))
	first.shows("#live", "Live")
	first.shows("#where", "as gatehouse-admin")
	first.visit("hosts", "Hosts")
	first.shows("td", "sim-1")

	// No script can read the cookie, and no other site sends it.
	if text := get[string](first, "document.cookie"); text != "" {
		t.Errorf("a script reads the cookie %q", text)
	}
	cookies := do(first, network.GetCookies, network.GetCookiesParams{}).Cookies
	if len(cookies) != 1 || !strings.HasPrefix(cookies[0].Name, "__Host-gatehouse") || !cookies[0].HTTPOnly || !cookies[0].Secure || !cookies[0].Session || cookies[0].SameSite != "Strict" {
		t.Errorf("the cookies are %+v", cookies)
	}
	first.run("load the page again", chromedp.Reload())
	first.shows("#live", "Live")
	first.shows("h1", "Hosts")

	second := newTab(t, 1280, 800, trust)
	second.run("open the link again", chromedp.Navigate(address))
	second.shows("h1", ended)
	second.shows("code", "kubectl gatehouse ui --on-server")
	// A new link differs in its fragment only.
	second.run("open a new link", chromedp.Navigate(linkTo(t, server)))
	second.shows("#live", "Live")
	second.clean()

	server.Kill()
	<-server.Exited()
	first.shows("#banner", "There is no connection")
	first.shows("td", "sim-1")
	again := binary.Start(t, server.DataDir, flags...)
	first.shows("h1", ended)
	first.shows("code", "kubectl gatehouse ui --on-server")
	first.run("open a link to the new server", chromedp.Navigate(linkTo(t, again)))
	first.shows("#live", "Live")
	first.shows("h1", "Gates")
	first.clean()
}

func TestAnImpersonatedUserGetsNoLinkToThePageOfTheServer(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t), "--ui-listen", "127.0.0.1:0")
	output, address, err := onServer(t, server, "--as", "bob")
	if err == nil || address != "" || !strings.Contains(output, "a session reads as a user that is not impersonated, with its own credentials: leave out --as") {
		t.Errorf("%v: %s", err, output)
	}
	t.Logf("%s", output)
}
