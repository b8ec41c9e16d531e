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
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// mark is in every secret.
const mark = "Plant7Z"

// marks are what mark looks like in texts: as it is, and in base64 at each position of three.
func marks() []string {
	all := []string{mark}
	for shift, begin := range []int{0, 2, 3} {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + mark + "xx"))
		all = append(all, encoded[begin:begin+len(mark)*4/3-2])
	}
	return all
}

// blabbing is a webhook whose patches and refusals have secrets.
func blabbing(w http.ResponseWriter, r *http.Request) {
	var review struct{ Request struct{ UID, Name string } }
	_ = json.NewDecoder(r.Body).Decode(&review)
	patch := base64.StdEncoding.EncodeToString([]byte(`[{"op":"add","path":"/metadata/annotations","value":{"a":"` + mark + `patch"}}]`))
	answer := map[string]any{"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": patch, "warnings": []string{mark + "warning"}}
	if strings.HasPrefix(review.Request.Name, "refused") {
		answer = map[string]any{"uid": review.Request.UID, "allowed": false, "status": map[string]any{"message": mark + "message"}}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})
}

// plantSecrets sends requests with secrets, and returns the IDs of their traces.
func plantSecrets(t *testing.T, server *binary.Server) (ids []string) {
	t.Helper()
	hook := httptest.NewTLSServer(http.HandlerFunc(blabbing))
	t.Cleanup(hook.Close)
	register(t, server, hook, "blab")
	const blabbed = `{"metadata":{"name":%q,"labels":{"blab":"yes"}},"data":{"password":"` + mark + `data"}}`
	const contained = `{"metadata":{"name":"with-secrets","annotations":{"a":"` + mark + `annotation"}},"spec":{%s"containers":[{"name":"main","image":"web:1","args":["` + mark + `arg"],"env":[{"name":"PASSWORD","value":"` + mark + `env"}]}]}}`
	app := fmt.Sprintf(`{"metadata":{"name":"with-secrets"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"s"}},"template":%s}}`, strings.Replace(fmt.Sprintf(contained, ""), `"name":"with-secrets"`, `"labels":{"app":"s"}`, 1))
	number := 0
	kit.Eventually(t, "the webhook is in force", func(context.Context) bool {
		number++
		code, id := sent(t, server, "", http.MethodPost, configMaps, fmt.Sprintf(blabbed, fmt.Sprint("refused-", number)))
		ids = []string{id}
		return code == http.StatusBadRequest
	})
	secret := `{"metadata":{"name":"key"},"stringData":{"key":"` + mark + `secret"}}`
	for _, r := range []struct {
		method, path, body string
		code               int
	}{
		{http.MethodPost, "/api/v1/namespaces/shop/secrets", secret, http.StatusForbidden},
		{http.MethodPost, "/api/v1/namespaces/default/secrets", secret, http.StatusCreated},
		{http.MethodPost, configMaps, fmt.Sprintf(blabbed, "patched"), http.StatusCreated},
		{http.MethodPost, instances, fmt.Sprintf(contained, `"restartPolicy":"`+mark+`policy",`), http.StatusUnprocessableEntity},
		{http.MethodPost, instances, fmt.Sprintf(contained, ""), http.StatusCreated},
		{http.MethodPost, strings.Replace(instances, "instances", "apps", 1), app, http.StatusCreated},
		{http.MethodPost, configMaps, `{"data":` + mark + `body`, http.StatusBadRequest},
		{http.MethodGet, configMaps + "/absent?access_token=" + mark + "query", "", http.StatusNotFound},
	} {
		code, id := sent(t, server, "", r.method, r.path, r.body)
		if code != r.code {
			t.Errorf("%s %s has the code %d, want %d", r.method, r.path, code, r.code)
		}
		ids = append(ids, id)
	}
	for _, header := range []string{"Bearer " + mark + "token", "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+mark+"password"))} {
		ids = append(ids, unauthenticated(t, server, header))
	}
	return ids
}

// unauthenticated sends a request with invalid credentials, and returns the ID of its trace.
func unauthenticated(t *testing.T, server *binary.Server, header string) string {
	t.Helper()
	client, err := rest.HTTPClientFor(rest.AnonymousClientConfig(server.Config))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+configMaps, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", header)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("invalid credentials have the code %d", response.StatusCode)
	}
	return response.Header.Get("Audit-Id")
}

func TestNoViewHasASecret(t *testing.T) {
	server := start(t)
	ids := plantSecrets(t, server)
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("#live", "Live")
	views := []string{"refusals", "watches", "storage", "hosts", "hosts/sim-1", "apps", "apps/shop/with-secrets"}
	for _, id := range ids {
		views = append(views, "gates/"+id)
	}
	secrets, err := json.Marshal(marks())
	if err != nil {
		t.Fatal(err)
	}
	for _, view := range views {
		t.Run(view, func(t *testing.T) {
			b.t = t
			b.visit(view, "")
			b.wait("document.querySelector('main h1, .panel h2') && !document.querySelector('main').innerText.includes('Waiting')")
			if at := strings.LastIndex(view, "/"); at > 0 {
				b.shows(".panel code", view[at+1:min(len(view), at+9)])
			}
			if view == "gates/"+ids[0] || view == "watches" {
				get[chromedp.Void](b, "[...document.querySelectorAll('.choice button')].at(-1).click()") // all, or ended ones
			}
			if found := get[[]string](b, "(text => "+string(secrets)+".filter(s => text.includes(s)).map(s => text.slice(text.indexOf(s) - 200, text.indexOf(s) + 40)))(document.documentElement.outerHTML)"); len(found) > 0 {
				t.Errorf("the page has secrets: %q", found)
			}
		})
	}
	b.t = t
	b.clean()
}
