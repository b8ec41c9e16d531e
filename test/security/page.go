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

package security

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
)

// PageEnv is a page with a visitor, whose user has no rights but those of every user.
type PageEnv struct {
	Env
	// Visitor has a session.
	Visitor *visitor.Visitor
	// Secret makes a new link and returns its secret.
	Secret func() string
	// User is the user of the session.
	User string
}

// pageAttack is a row; the names of headers are those of attack.
type pageAttack struct {
	attack
	// refusedBy is who refuses: "page" without a Status of the API, or "server" with one.
	refusedBy string
}

// Page plays attacks on a page and on its session.
func Page(t *testing.T, env PageEnv) {
	t.Helper()
	admin := newClient(t, env.Admin)
	awaitRootCA(t, admin)
	watched := []string{hosts, core + "/namespaces", core + "/secrets", core + "/configmaps"}
	before := admin.everything(t, watched)
	for _, row := range slices.Concat(rebindings(env), crossSite(env), links(env), writes(), tricks(), foreign()) {
		t.Run(row.name, func(t *testing.T) {
			if row.method == "" {
				row.method = http.MethodGet
			}
			response, body := env.Visitor.Send(t, row.method, row.path, row.body, row.headers)
			if response.StatusCode != row.code || !strings.Contains(body, row.says) {
				t.Errorf("answered with code %d, not %d, and %.300q, which should contain %q", response.StatusCode, row.code, body, row.says)
			}
			if byServer := strings.Contains(body, `"kind":"Status"`); row.refusedBy != "" && byServer != (row.refusedBy == "server") {
				t.Errorf("it is not refused by the %s: %.300s", row.refusedBy, body)
			}
			if response.Header.Get("Access-Control-Allow-Origin") != "" || response.Header.Get("Set-Cookie") != "" {
				t.Errorf("the headers are %v", response.Header)
			}
		})
	}
	t.Run("identity headers of the browser change no user", func(t *testing.T) { pageIdentity(t, env) })
	unchanged(t, before, admin.everything(t, watched))
}

const pageHosts = "/ui/api" + hosts

func byPage(name string, a attack) pageAttack {
	a.name = name
	return pageAttack{a, "page"}
}

// rebindings are requests by names that an attacker's DNS server gives the address.
func rebindings(env PageEnv) []pageAttack {
	own, _ := url.Parse(env.Visitor.Base)
	var rows []pageAttack
	for name, host := range map[string]string{
		"DNS rebinding": "evil.example.com", "DNS rebinding with the port": "evil.example.com:" + own.Port(), "the address with another port": own.Hostname() + ":1",
		"a name that begins like the address": own.Hostname() + ".evil.example.com:" + own.Port(),
	} {
		for _, path := range []string{"/ui/", "/ui/whoami", pageHosts, "/ui/stream?watch=" + hosts} {
			rows = append(rows, byPage(name+": "+path, attack{path: path, headers: map[string][]string{"Host": {host}}, code: http.StatusMisdirectedRequest}))
		}
	}
	return rows
}

// crossSite are requests that a browser sends for other sites.
func crossSite(env PageEnv) []pageAttack {
	redeem := func() string { return visitor.Redeem(env.Secret()) }
	return []pageAttack{
		byPage("another site starts a session (CSRF)", attack{method: http.MethodPost, path: "/ui/session", body: redeem(), headers: map[string][]string{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example.com"}}, code: 403}),
		byPage("a form starts a session", attack{method: http.MethodPost, path: "/ui/session", body: redeem(), headers: map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}}, code: 415}),
		byPage("a script on another port reads", attack{path: pageHosts, headers: map[string][]string{"Sec-Fetch-Site": {"same-site"}}, code: 403}),
		byPage("another site reads", attack{path: "/ui/whoami", headers: map[string][]string{"Sec-Fetch-Site": {"cross-site"}}, code: 403}),
		byPage("another origin reads, without fetch metadata", attack{path: pageHosts, headers: map[string][]string{"Origin": {"http://127.0.0.1:1"}}, code: 403}),
		byPage("another site asks what it may send", attack{method: http.MethodOptions, path: pageHosts, headers: map[string][]string{"Origin": {"https://evil.example.com"}}, code: 403}),
		byPage("another site shows the page in a frame", attack{path: "/ui/", headers: map[string][]string{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"iframe"}, "Sec-Fetch-Mode": {"navigate"}}, code: 403}),
	}
}

// links are secrets and cookies that are not those of the session.
func links(env PageEnv) []pageAttack {
	const expired = "run kubectl gatehouse ui"
	name, value, _ := strings.Cut(env.Visitor.Cookie.String(), "=")
	value, _, _ = strings.Cut(value, ";")
	return []pageAttack{
		byPage("the secret of another page", attack{method: http.MethodPost, path: "/ui/session", body: visitor.Redeem(strings.Repeat("A", 52)), code: 401, says: expired}),
		byPage("no secret", attack{method: http.MethodPost, path: "/ui/session", body: "{}", code: 401, says: expired}),
		byPage("the cookie as a secret", attack{method: http.MethodPost, path: "/ui/session", body: visitor.Redeem(value), code: 401, says: expired}),
		byPage("no cookie", attack{path: pageHosts, headers: map[string][]string{"Cookie": {""}}, code: 401, says: expired}),
		byPage("a cookie of another name, as a page on another port has it", attack{path: pageHosts, headers: map[string][]string{"Cookie": {"gatehouse-1=" + value}}, code: 401}),
		byPage("a guessed cookie", attack{path: pageHosts, headers: map[string][]string{"Cookie": {name + "=" + strings.Repeat("A", len(value))}}, code: 401}),
		byPage("the cookie as a token", attack{path: pageHosts, headers: map[string][]string{"Cookie": {""}, "Authorization": {"Bearer " + value}}, code: 401}),
	}
}

// writes are requests with other methods than those of reads, and reads with side effects.
func writes() []pageAttack {
	const namespaced = "/ui/api" + core + "/namespaces/default"
	rows := []pageAttack{
		byPage("exec by GET", attack{path: namespaced + "/pods/a/exec?command=sh&stdout=true", code: 400}),
		byPage("attach by GET", attack{path: namespaced + "/pods/a/attach", code: 400}),
		byPage("a port is forwarded", attack{path: namespaced + "/pods/a/portforward", code: 400}),
		byPage("a proxy to a service", attack{path: namespaced + "/services/a/proxy/metrics", code: 400}),
		byPage("the old form of a proxy", attack{path: "/ui/api" + core + "/proxy/nodes/a", code: 400}),
		byPage("a WebSocket", attack{path: pageHosts + "?watch=true", headers: map[string][]string{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}, code: 400}),
		byPage("a watch that occupies a connection", attack{path: pageHosts + "?watch=true", code: 400}),
		byPage("a method in a header", attack{path: "/ui/api" + core + "/namespaces/default/configmaps", headers: map[string][]string{"X-Http-Method-Override": {"DELETE"}}, code: 403}),
	}
	rows[len(rows)-1].refusedBy = "server" // as a read, for which this user has no right
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodConnect, "PROPFIND"} {
		rows = append(rows,
			byPage(method+" to the API", attack{method: method, path: "/ui/api" + core + "/namespaces/default", body: "{}", code: 405}),
			byPage(method+" to the stream", attack{method: method, path: "/ui/stream?watch=" + hosts, code: 405}))
	}
	return rows
}

// tricks are paths that one side could read differently than the other.
func tricks() []pageAttack {
	var rows []pageAttack
	for name, path := range map[string]string{
		"dots": "/ui/api/../metrics", "dots behind a segment": "/ui/api/api/v1/../../metrics", "escaped dots": "/ui/api/%2e%2e/metrics", "half escaped dots": "/ui/api/.%2e/metrics",
		"escaped slashes": "/ui/api/api%2fv1%2fsecrets", "a doubly escaped slash": "/ui/api/api%252fv1/secrets", "two slashes": "/ui/api//metrics", "two slashes within": "/ui/api/api/v1//secrets",
		"a null": "/ui/api/api/v1/secrets%00", "another server": "/ui/api/http://evil.example.com/api", "another server by two slashes": "/ui/api//evil.example.com/api",
		"metrics": "/ui/api/metrics", "profiles": "/ui/api/debug/pprof/heap", "the configuration": "/ui/api/configz", "the OpenAPI document": "/ui/api/openapi/v2",
		"secrets": "/ui/api/api/v1/secrets", "secrets of a namespace": "/ui/api/api/v1/namespaces/kube-system/secrets", "an escaped letter of secrets": "/ui/api/api/v1/%73ecrets",
		"a stream of secrets": "/ui/stream?watch=/api/v1/secrets", "an escaped stream of secrets": "/ui/stream?watch=%2Fapi%2Fv1%2Fnamespaces%2Fa%2Fsecrets",
		"a doubly escaped stream of secrets": "/ui/stream?watch=/api/v1/%2573ecrets", "a stream of more than twelve": "/ui/stream?" + strings.Repeat("watch="+hosts+"&", 13),
		"a stream of another user": "/ui/stream?watch=" + hosts + "&as=root", "a stream of dots": "/ui/stream?watch=/api/v1/../../metrics",
	} {
		rows = append(rows, byPage("a path with "+name, attack{path: path, code: 400}))
	}
	for _, path := range []string{"/", "/ui"} {
		rows = append(rows, byPage("the address "+path+" leads to the page only", attack{path: path + "?next=https://evil.example.com", code: 302, says: `href="/ui/"`}))
	}
	return append(rows, byPage("a file that is none of the page", attack{path: "/ui/assets/../../../etc/passwd", code: 404}), byPage("the API without the page's prefix", attack{path: hosts, code: 404}))
}

// foreign are reads for which the user has no rights: the session has no more rights than its user.
func foreign() []pageAttack {
	var rows []pageAttack
	for _, path := range []string{core + "/namespaces/kube-system/configmaps", rbac + "/clusterrolebindings", core + "/serviceaccounts"} {
		rows = append(rows, pageAttack{attack{name: "a read without the right: " + path, path: "/ui/api" + path, code: 403}, "server"})
	}
	return rows
}

// pageIdentity sends the headers by which users are named elsewhere.
func pageIdentity(t *testing.T, env PageEnv) {
	t.Helper()
	headers := http.Header{
		"Impersonate-User": {"root"}, "Impersonate-Group": {"system:masters"}, "Impersonate-Uid": {"0"}, "Impersonate-Extra-Scopes": {"all"},
		"X-Remote-User": {"root"}, "X-Remote-Group": {"system:masters"}, "Authorization": {"Bearer system:masters"}, "Connection": {"Impersonate-User"},
	}
	for _, path := range []string{"/ui/whoami", "/ui/api" + rbac + "/clusterrolebindings"} {
		response, body := env.Visitor.Send(t, http.MethodGet, path, "", headers)
		var who struct {
			User, Message string
		}
		if err := json.Unmarshal([]byte(body), &who); err != nil {
			t.Fatal(err)
		}
		if who.User != env.User && !(response.StatusCode == http.StatusForbidden && strings.Contains(who.Message, `"`+env.User+`"`)) {
			t.Errorf("%s: %s %s", path, response.Status, body)
		}
	}
}
