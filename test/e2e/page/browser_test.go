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
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// patience bounds every wait for the page.
const patience = time.Minute

// listener counts violations of the content security policy, which a document may not catch in itself.
const listener = `window.violations = [];
document.addEventListener('securitypolicyviolation', e => window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber));`

// tab is a tab of a browser.
type tab struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	complaints []string
}

// newTab starts a browser with one tab. It ends with the test.
func newTab(t *testing.T, width, height int, more ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.WindowSize(width, height))
	options = append(options, more...)
	if os.Geteuid() == 0 {
		// The sandbox of Chromium does not work as root, which test containers run as.
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	b := &tab{Context: ctx, t: t}
	// The first call starts the browser, for as long as its context lasts.
	messages := chromedp.Console(ctx)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			b.hear(message)
		}
	}()
	do(b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: listener})
	b.run("set the size", chromedp.EmulateViewport(int64(width), int64(height)))
	return b
}

// chromium finds the browser.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Chromium is not installed (%v): apt-get install chromium", err)
	}
	return path
}

// hear keeps the errors that the page logs. The browser itself logs each response of a server that is gone, and each
// refusal.
func (b *tab) hear(message chromedp.ConsoleMessage) {
	if message.Source == "network" || !message.IsException() && !strings.Contains("error warning assert", string(message.Type)) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, message.String())
}

// run runs an action of the browser, or ends the test.
func (b *tab) run(what string, action chromedp.Action[chromedp.Void]) { value(b, what, action) }

// value runs an action and returns its value.
func value[T any](b *tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, end := context.WithTimeout(b, binary.Patience)
	defer end()
	got, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return got
}

// do sends a command of the protocol.
func do[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	return value(b, command.Method, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
}

// get evaluates a script in the page; it may return a promise.
func get[T any](b *tab, script string) T {
	b.t.Helper()
	return value(b, script, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// wait waits until a script is true.
func (b *tab) wait(script string) {
	b.t.Helper()
	end := time.Now().Add(patience)
	for !get[bool](b, "Boolean("+script+")") {
		if time.Now().After(end) {
			b.t.Fatalf("after %v, this is false: %s\nthe page shows:\n%s\nand complained: %q", patience, script, get[string](b, "document.body.innerText"), b.complaints)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// shows waits until an element contains a text.
func (b *tab) shows(selector, text string) {
	b.t.Helper()
	b.wait(fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => e.innerText.replaceAll('\\u00a0', ' ').includes(%q))", selector, text))
}

// click clicks the first element with the text, or else the first that contains it.
func (b *tab) click(selector, text string) {
	b.t.Helper()
	b.shows(selector, text)
	get[chromedp.Void](b, fmt.Sprintf("(all => (all.find(e => e.innerText.trim() === %q) ?? all.find(e => e.innerText.includes(%q))).click())([...document.querySelectorAll(%q)])", text, text, selector))
}

// visit goes to a view.
func (b *tab) visit(view, title string) {
	b.t.Helper()
	get[string](b, fmt.Sprintf("location.hash = %q", view))
	b.shows("h1", title)
}

// clean fails the test if the page violated its policy, or logged an error.
func (b *tab) clean() {
	b.t.Helper()
	if violations := get[[]string](b, "window.violations"); len(violations) > 0 {
		b.t.Errorf("violations of the content security policy: %q", violations)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		b.t.Errorf("the browser logged errors: %q", b.complaints)
	}
}

// proxy is a process of `kubectl gatehouse ui`.
type proxy struct{ *exec.Cmd }

func (p proxy) end() {
	_ = p.Process.Kill()
	_ = p.Wait() // the error is that of the signal
}

// link starts `kubectl gatehouse ui` and returns its link. The process ends with the test.
func link(t *testing.T, kubeconfig string) string {
	t.Helper()
	_, address := serve(t, kubeconfig)
	return address
}

// serve does what link does, with more flags.
func serve(t *testing.T, kubeconfig string, args ...string) (proxy, string) {
	t.Helper()
	plugin := filepath.Join(filepath.Dir(binary.Path(t)), "kubectl-gatehouse")
	p := proxy{exec.Command(plugin, append([]string{"ui", "--kubeconfig", kubeconfig}, args...)...)}
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address := strings.TrimSpace(lines.Text()); strings.HasPrefix(address, "http://") {
			return p, address
		}
	}
	t.Fatalf("`kubectl gatehouse ui` printed no link: %v", lines.Err())
	return p, ""
}
