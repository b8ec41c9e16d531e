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
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press presses a key.
func (b *tab) press(key string) {
	b.t.Helper()
	b.run("press a key", chromedp.KeyEvent(key))
}

// tabTo presses Tab until the focused element matches the selector and has the text.
func (b *tab) tabTo(selector, text string) {
	b.t.Helper()
	for range 300 {
		b.press(kb.Tab)
		if get[bool](b, fmt.Sprintf("document.activeElement.matches(%q) && document.activeElement.innerText.includes(%q)", selector, text)) {
			return
		}
	}
	b.t.Fatalf("300 tabs do not reach %s with %q", selector, text)
}

func TestThePageWorksWithTheKeyboardAlone(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("td", "bob")

	b.tabTo("nav a", "Refusals")
	b.press(kb.Enter)
	b.shows("h1", "Refusals")
	b.shows("td", "create configmaps shop")
	b.tabTo("td a", "create configmaps shop")
	refusal := get[string](b, "document.activeElement.hash")
	b.press(kb.Enter)
	b.shows(".panel h2", "403 Forbidden")
	b.wait("document.activeElement.closest('.panel')")
	b.tabTo(".panel .copy button, .panel .command button", "Copy")
	b.press(kb.Enter)
	b.wait("['Copied', 'Selected'].includes(document.activeElement.innerText)")
	b.press(kb.Escape)
	b.wait("!document.querySelector('.panel')")
	b.wait(fmt.Sprintf("document.activeElement.hash === %q", refusal))

	b.tabTo("nav a", "Hosts")
	b.press(kb.Enter)
	b.shows("h1", "Hosts")
	b.shows("td", "sim-1")
	b.tabTo(".tiles", "")
	b.press(kb.ArrowRight)
	b.press(kb.ArrowRight)
	b.shows(".tiles + .note", "sim-11: Ready")
	b.press(kb.Enter)
	b.shows(".panel h2", "sim-11")
	b.press(kb.Escape)
	b.wait("!document.querySelector('.panel')")
	b.tabTo("main input", "")
	for _, key := range "sim-39" {
		b.press(string(key))
	}
	b.shows(".title .note", "1 of 40 hosts")
	b.clean()
}

func TestReducedMotionStopsTheDots(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 800)
	do(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}})
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows(".gate[data-stop=Authorization]", "refused")
	if !get[bool](b, "getComputedStyle(document.querySelector('canvas')).display === 'none'") {
		t.Error("the canvas is shown")
	}
}
