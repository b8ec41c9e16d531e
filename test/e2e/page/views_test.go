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
	"bytes"
	"context"
	"flag"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// pictures is where the pictures of the documentation are written.
var pictures = flag.String("pictures", "", "the directory for pictures of the views; none if empty")

const mostPicture = 150_000 // bytes

// start starts a server with a fleet in which some requests were refused.
func start(t *testing.T) *binary.Server {
	t.Helper()
	server := binary.Start(t, binary.DataDir(t), "--controllers=*", "--simulate-hosts", "40")
	kubectl(t, server, "apply", "-f", "testdata/scene.yaml")
	refusals(t, server)
	return server
}

func kubeconfig(server *binary.Server) string { return filepath.Join(server.DataDir, "kubeconfig") }

func kubectl(t *testing.T, server *binary.Server, args ...string) {
	t.Helper()
	program := os.Getenv("GATEHOUSE_KUBECTL")
	if program == "" {
		program = filepath.Join(filepath.Dir(binary.Path(t)), "kubectl")
	}
	if out, err := exec.CommandContext(t.Context(), program, append([]string{"--kubeconfig", kubeconfig(server)}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

const (
	configMaps = "/api/v1/namespaces/shop/configmaps"
	instances  = "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/shop/instances"
	configMap  = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"sidecar":%q}}}`
	instance   = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"one"},"spec":{"restartPolicy":%q,"containers":[{"name":"main","image":%q}]}}`
)

// refusals sends a request that each gate refuses.
func refusals(t *testing.T, server *binary.Server) {
	t.Helper()
	for _, r := range []struct {
		user, method, path, body string
		code, times              int
	}{
		{"bob", http.MethodPost, configMaps, fmt.Sprintf(configMap, "settings", "no"), http.StatusForbidden, 5},
		{"bob", http.MethodDelete, "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/shop/apps/web", "", http.StatusForbidden, 2},
		{"carol", http.MethodGet, "/api/v1/nodes", "", http.StatusForbidden, 3},
		{"", http.MethodPost, instances, fmt.Sprintf(instance, "Sometimes", "web:1"), http.StatusUnprocessableEntity, 2},
		{"", http.MethodPost, instances, fmt.Sprintf(instance, "Always", "web:latest"), http.StatusUnprocessableEntity, 3},
		{"", http.MethodPost, "/api/v1/namespaces/shop/secrets", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key"}}`, http.StatusForbidden, 1},
		{"", http.MethodPost, configMaps, fmt.Sprintf(configMap, "cache", "yes"), http.StatusInternalServerError, 2},
	} {
		for range r.times {
			if got := send(t, server, r.user, r.method, r.path, r.body); got != r.code {
				t.Errorf("%s %s as %q: got %d, want %d", r.method, r.path, r.user, got, r.code)
			}
		}
	}
}

// send sends a request and returns its code. The user is the administrator if it is empty.
func send(t *testing.T, server *binary.Server, user, method, path, body string) int {
	t.Helper()
	code, _ := sent(t, server, user, method, path, body)
	return code
}

// sent does what send does, and also returns the Audit-ID of the request, which is the name of its trace.
func sent(t *testing.T, server *binary.Server, user, method, path, body string) (code int, id string) {
	t.Helper()
	code, id, err := try(t.Context(), server, user, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return code, id
}

// try is sent for other goroutines than that of the test.
func try(ctx context.Context, server *binary.Server, user, method, path, body string) (code int, id string, err error) {
	config := rest.CopyConfig(server.Config)
	config.Impersonate.UserName = user
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	return response.StatusCode, response.Header.Get("Audit-Id"), response.Body.Close()
}

// picture writes a picture of the page, in light or dark.
func (b *tab) picture(name, scheme string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	b.scheme(scheme)
	shot, err := png.Decode(bytes.NewReader(value(b, "take a picture", chromedp.CaptureScreenshot())))
	if err != nil {
		b.t.Fatal(err)
	}
	var data bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&data, shot); err != nil || data.Len() > mostPicture {
		b.t.Errorf("the picture %s has %d bytes, of %d: %v", name, data.Len(), mostPicture, err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), data.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// scheme selects light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	do(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
	b.wait("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))")
}

func TestEveryViewShowsItsData(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("#live", "Live")
	if fragment := get[string](b, "location.href"); strings.Contains(fragment, "secret") {
		t.Errorf("the address still has the secret: %s", fragment)
	}
	for _, view := range []struct {
		name, title string
		shows       [][2]string
	}{
		{"gates", "Gates", [][2]string{{"tbody td", "bob"}, {".gate[data-stop=Authorization] .refused", "10 refused"}, {".gate[data-stop=ValidatingAdmission] .tray", "422"}, {".title .note", "requests a second"}}},
		{"refusals", "Refusals", [][2]string{{"tbody td", "Authorization"}, {"tbody td", "no-latest/everywhere"}, {"tbody td.wide code", "kubectl create rolebinding"}, {"tbody td.wide code", "kubectl describe resourcequotas -n shop"}}},
		{"hosts", "Hosts", [][2]string{{".title .note", "40 hosts, 0 not ready"}, {"tbody td", "Ready"}}},
		{"watches", "Watches", [][2]string{{"tbody td", "Flowing"}, {"tbody td", "requesttraces.diagnostics.gatehouse.dev"}, {".title .note", "0 blocked"}}},
		{"storage", "Storage", [][2]string{{".quorum", "0 more may fail"}, {".quorum", "1 voter, all healthy"}, {".card", "Leader"}, {".card .facts", "fsync p99"}}},
		{"apps", "Apps", [][2]string{{"tbody td", "shop/web"}, {"tbody td", "Stalled"}, {".title .note", "1 Stalled"}, {".title .note", "2 Ready"}}},
	} {
		t.Run(view.name, func(t *testing.T) {
			b.t = t
			b.visit(view.name, view.title)
			for _, expected := range view.shows {
				b.shows(expected[0], expected[1])
			}
			if odd := get[[]string](b, "document.body.innerText.match(/NaN|undefined|null|\\[object/g) ?? []"); len(odd) > 0 {
				t.Errorf("the page shows %q:\n%s", odd, get[string](b, "document.body.innerText"))
			}
			if view.name != "gates" && view.name != "hosts" { // those of load_test.go show more
				b.picture("ui-"+view.name, "light")
			}
		})
	}
	b.t = t
	b.clean()
}
