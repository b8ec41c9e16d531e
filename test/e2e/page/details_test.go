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
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// register registers a mutating webhook for config maps with the label NAME=yes.
func register(t *testing.T, server *binary.Server, hook *httptest.Server, name string) {
	t.Helper()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
	manifest := fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- {name: %[1]s.example.com, admissionReviewVersions: [v1], sideEffects: None, timeoutSeconds: 30, objectSelector: {matchLabels: {%[1]s: "yes"}},
   clientConfig: {url: %[2]q, caBundle: %[3]s}, rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
`, name, hook.URL, base64.StdEncoding.EncodeToString(authority))
	path := filepath.Join(t.TempDir(), "hook.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, server, "apply", "-f", path)
}

// slowHook registers a webhook for config maps with the label slow=yes, which does not respond before the test ends.
func slowHook(t *testing.T, server *binary.Server) {
	t.Helper()
	over := make(chan struct{})
	hook := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() {
		close(over)
		hook.Close()
	})
	register(t, server, hook, "slow")
}

const slowMap = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"slow-","labels":{"slow":"yes"}}}`

// rejected sends slow requests of carol until flow control rejects one of dave, and returns the ID of that one.
func rejected(t *testing.T, server *binary.Server) (id string) {
	t.Helper()
	kit.Eventually(t, "flow control rejects a request", func(context.Context) bool {
		go func() { _, _, _ = try(t.Context(), server, "carol", http.MethodPost, configMaps, slowMap) }()
		var code int
		code, id = sent(t, server, "dave", http.MethodGet, configMaps, "")
		return code == http.StatusTooManyRequests
	})
	return id
}

// reported sends a request for each kind of report of a gate, and returns the IDs of their traces.
func reported(t *testing.T, server *binary.Server, b *tab) (ids map[string]string) {
	t.Helper()
	ids = map[string]string{}
	number := 0
	kit.Eventually(t, "the policy is in force", func(context.Context) bool {
		number++
		var code int
		if code, ids["a create"] = sent(t, server, "", http.MethodPost, configMaps, fmt.Sprintf(configMap, fmt.Sprint("map-", number), "no")); code != http.StatusCreated {
			t.Fatalf("the create has the code %d", code)
		}
		b.visit("gates/"+ids["a create"], "Gates")
		b.shows(".panel td", "Storage")
		return get[bool](b, "document.querySelector('.panel').innerText.includes('no-plain-maps/on-trial')")
	})
	// Two writes in one second have the same time in managedFields.
	kit.Eventually(t, "the patch is the last write", func(context.Context) bool {
		number++
		if code := send(t, server, "carol", http.MethodPatch, configMaps+"/map-1?fieldManager=carols-editor", fmt.Sprintf(`{"data":{"by":"%d"}}`, number)); code != http.StatusOK {
			t.Fatalf("the patch has the code %d", code)
		}
		var code int
		if code, ids["a conflict"] = sent(t, server, "", http.MethodPut, configMaps+"/map-1", `{"metadata":{"name":"map-1","resourceVersion":"1"}}`); code != http.StatusConflict {
			t.Fatalf("the update of an old version has the code %d", code)
		}
		b.visit("gates/"+ids["a conflict"], "Gates")
		b.shows(".panel h2", "409 Conflict")
		return get[bool](b, "document.querySelector('.panel').innerText.includes('carols-editor wrote as carol at 20')")
	})
	var code int
	if code, ids["a quota"] = sent(t, server, "", http.MethodPost, "/api/v1/namespaces/shop/secrets", `{"metadata":{"name":"key"}}`); code != http.StatusForbidden {
		t.Fatalf("the create of a secret has the code %d", code)
	}
	// The library ends the stream of a request whose time ends while its answer is being written.
	kit.EventuallyState(t, "the slow create ends with its time", func(ctx context.Context) (bool, string) {
		var err error
		code, ids["a timeout"], err = try(ctx, server, "", http.MethodPost, configMaps+"?timeout=2s", slowMap)
		return code == http.StatusGatewayTimeout, fmt.Sprint(code, err)
	})
	ids["flow control"] = rejected(t, server)
	return ids
}

func TestATraceShowsWhatItsGatesReported(t *testing.T) {
	server := start(t)
	kubectl(t, server, "apply", "-f", "testdata/details.yaml")
	slowHook(t, server)
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("#live", "Live")
	ids := reported(t, server, b)
	for name, texts := range map[string][]string{
		"a create": {"Would refuse", "in shadow: decides nothing", "etcd took ", "Not called", "slow/slow.example.com", "sidecars/sidecars.example.com", "objectSelector",
			"Quotas", "enough", "count/configmaps"},
		"a conflict":   {"update configmaps shop/map-1", "Another write came first."},
		"a quota":      {"403 Forbidden", "few", "count/secrets"},
		"a timeout":    {"Timed out 504", "Its time ended at the gate Mutating admission"},
		"flow control": {"429 Too", "priority level narrow", "in use (carol ", "requests waiting"},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.visit("gates/"+ids[name], "Gates")
			for _, text := range texts {
				b.shows(".panel", text)
			}
			if odd := get[[]string](b, "document.querySelector('.panel').innerText.match(/NaN|undefined|null|\\[object/g) ?? []"); len(odd) > 0 {
				t.Errorf("the panel shows %q:\n%s", odd, get[string](b, "document.querySelector('.panel').innerText"))
			}
		})
	}
	b.t = t
	b.visit("gates/"+ids["a quota"], "Gates")
	b.wait("[...document.querySelectorAll('.panel tr.decided')].some(row => row.innerText.split(/\\s+/).join(' ').includes('few count/secrets 1 0 0'))")
	b.clean()
}
