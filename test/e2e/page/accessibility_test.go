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
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// finding is a violation that axe-core found.
type finding struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// axe returns the script of axe-core, which npm installs.
func axe(t *testing.T) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatalf("npm is not installed (%v): apt-get install npm", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci, which needs the registry of npm: %v\n%s", err, out)
	}
	script, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

func TestTheViewsHaveNoSeriousAccessibilityFindings(t *testing.T) {
	script := axe(t)
	server := start(t)
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("td", "bob")
	get[chromedp.Void](b, script+"; undefined")
	refusal := get[string](b, "document.querySelector('td a').hash.slice(1)")
	for _, view := range []struct{ hash, shows string }{
		{"gates", "bob"}, {refusal, "Authentication"}, {"refusals", "Authorization"}, {"watches", ""}, {"storage", ""}, {"hosts", "sim-1"}, {"hosts/sim-1", "Conditions"},
		{"apps", "shop/web"}, {"apps/shop/web", "Images"},
	} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(view.hash+" in "+scheme, func(t *testing.T) {
				b.scheme(scheme)
				get[string](b, "location.hash = '"+view.hash+"'")
				b.shows("main", view.shows)
				var findings []finding
				if err := json.Unmarshal([]byte(get[string](b, "axe.run({resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))")), &findings); err != nil {
					t.Fatal(err)
				}
				for _, f := range findings {
					if f.Impact == "serious" || f.Impact == "critical" {
						t.Errorf("%s: %s: %s: %+v", f.Impact, f.ID, f.Help, f.Nodes)
					}
				}
			})
		}
	}
}

func TestThePageFitsANarrowScreen(t *testing.T) {
	server := start(t)
	b := newTab(t, 360, 740)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("td", "bob")
	refusal := get[string](b, "document.querySelector('td a').hash.slice(1)")
	for _, view := range []string{"gates", refusal, "refusals", "watches", "storage", "hosts", "hosts/sim-1", "apps", "apps/shop/search"} {
		b.visit(view, "")
		b.wait("document.querySelector('main h1') && !document.querySelector('main').innerText.includes('Waiting')")
		if width := get[int](b, "document.documentElement.scrollWidth"); width > 360 {
			t.Errorf("%s is %d pixels wide", view, width)
		}
	}
}
