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
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const (
	secretRequests = 10_000
	secretWorkers  = 8
)

// TestSecretsAreInNoTraceNoLogNoMetricAndNotOnThePage sends requests with secrets in all places where requests have them.
//
// By design, a trace has names: of objects, of fields, of the keys of maps, of users, groups, field managers and clients
// (User-Agent), the path of a request for no resource, and amounts of resources, which quotas and limit ranges compare.
// The log has the library's line "Found duplicate validation error" with an invalid value, such as a label, and the path of
// each request. The message of a refusal has what Kubernetes' message has, for the caller: invalid values, and what webhooks and policies
// said. Only what traces add to it is examined.
func TestSecretsAreInNoTraceNoLogNoMetricAndNotOnThePage(t *testing.T) {
	flags, url, authority := webhookFlags(t)
	server := binary.Start(t, binary.DataDir(t), append(flags, "--ui-listen=127.0.0.1:0")...)
	admin := harness.NewRawClient(t, server.Config)
	appWithSecrets(t, admin)
	indiscreetAdmission(t, admin, url, authority)
	s := newSender(t, server)
	var work errgroup.Group
	work.SetLimit(secretWorkers)
	for number := range secretRequests {
		work.Go(func() error { return s.send(number) })
	}
	check(t, work.Wait())
	t.Logf("responses by kind and code: %v", s.codes)
	kept := s.examineTraces(t)
	if kept < secretRequests*9/10 {
		t.Errorf("%d traces are kept of %d requests", kept, secretRequests)
	}
	if lines := s.examinePage(t, server); lines < secretRequests*9/10 {
		t.Errorf("the page follows %d changes of %d requests", lines, secretRequests)
	}
	if text := found(string(admin.Do(t, http.MethodGet, "/metrics", "", "", "").Body), s.tokens...); text != "" {
		t.Errorf("a metric has a secret: %s", text)
	}
	server.Stop(t)
	seen := 0
	for line := range strings.Lines(server.Stderr()) {
		text := found(line, s.tokens...)
		if text == "" || strings.Contains(line, `"Found duplicate validation error"`) {
			continue
		}
		if seen++; seen <= 12 {
			t.Errorf("the log has a secret: %s", text)
		}
	}
	if seen > 0 {
		t.Errorf("%d lines of the log have a secret", seen)
	}
}

// sender sends requests with secrets.
type sender struct {
	url                    string
	admin, bob, carol, any *http.Client
	account                string // a valid token of a service account
	tokens                 []string
	mu                     sync.Mutex
	codes                  map[string]map[int]int
	leads                  int
}

func newSender(t *testing.T, server *binary.Server) *sender {
	t.Helper()
	s := &sender{url: server.URL, codes: map[string]map[int]int{}}
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	check(t, err)
	client := func(config *rest.Config) *http.Client {
		c, err := rest.HTTPClientFor(config)
		check(t, err)
		return c
	}
	issued := func(user string) *http.Client {
		cert, key, err := certificates.IssueClient(ca, user, nil, time.Hour, time.Now())
		check(t, err)
		config := rest.AnonymousClientConfig(server.Config)
		config.CertData, config.KeyData = cert, key
		return client(config)
	}
	s.admin, s.any, s.bob, s.carol = client(server.Config), client(rest.AnonymousClientConfig(server.Config)), issued("bob"), issued("carol")
	var issuedToken struct{ Status struct{ Token string } }
	harness.ComesTrue(t, func(context) string {
		answer := harness.NewRawClient(t, server.Config).Do(t, http.MethodPost, "/api/v1/namespaces/default/serviceaccounts/default/token", harness.JSONBody, "", `{}`)
		if answer.Code != http.StatusCreated {
			return string(answer.Body)
		}
		answer.Into(t, &issuedToken)
		return ""
	})
	s.account = issuedToken.Status.Token
	s.tokens = strings.Split(s.account, ".")[1:]
	return s
}

// try is a request with a secret.
type try struct {
	kind, method, path, body string
	client                   *http.Client
	headers                  map[string]string
}

// request returns the request with a number.
func (s *sender) request(n int) try {
	write := func(kind, hook string, resource string) try {
		path := "/api/v1/namespaces/default/" + resource
		if resource == "instances" {
			path = harness.InstancesPath
		}
		return try{kind, http.MethodPost, path, hooked(resource, hook, kind, n/12), s.admin, nil}
	}
	read := func(kind string, client *http.Client, query string, headers map[string]string) try {
		return try{kind, http.MethodGet, mapsPath + query, "", client, headers}
	}
	switch n % 12 {
	case 0:
		return read("bearer", s.any, "", map[string]string{"Authorization": "Bearer " + one2(n/12, plant("valid", n), plant("token", n))})
	case 1:
		part := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","iss":"` + plant("issuer", n) + `","sub":"` + plant("subject", n) + `"}`))
		changed := s.account[:len(s.account)-12] + plant("s", n)[:12]
		return read("jwt", s.any, "", map[string]string{"Authorization": "Bearer " + one2(n/12, part+"."+part+"."+plant("signature", n), changed)})
	case 2:
		return write("secret", one2(n/12, "none", one2(n/24, "mutate", "validate")), "secrets")
	case 3:
		return write("instance", one2(n/12, "none", one2(n/24, "mutate", "validate")), "instances")
	case 4:
		return write("mutated", "mutate", "configmaps")
	case 5:
		return write("validated", one2(n/12, "validate", "policy"), "configmaps")
	case 6:
		if n/12%2 == 0 {
			return read("basic", s.any, "", map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+plant("basic", n)))})
		}
		return read("cookie", s.bob, "", map[string]string{"Cookie": "session=" + plant("cookie", n), "X-Api-Key": plant("key", n), "Referer": "https://example.com/?" + plant("referer", n)})
	case 7:
		client := s.admin
		if n/12%2 == 0 {
			client = s.bob // may not impersonate
		}
		return read("impersonates", client, "", map[string]string{"Impersonate-User": "bob", "Impersonate-Extra-Scopes": plant("scope", n)})
	case 8:
		queries := []string{"?access_token=", "?token=", "?limit=1&continue=", "?watch=false&authorization=Bearer%20"}
		return read("url", []*http.Client{s.admin, s.bob, s.carol, s.any}[n/12%4], queries[n/48%4]+plant("query", n), nil)
	case 9:
		protocol := "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(plant("socket", n)))
		return read("account", s.any, "", map[string]string{"Authorization": "Bearer " + s.account, "Sec-WebSocket-Protocol": protocol})
	case 10:
		return s.patch(n)
	}
	return try{"reviewed", http.MethodGet, one2(n/12, "/api/v1/namespaces/default/events", "/apis/coordination.k8s.io/v1/namespaces/default/leases"), "", s.carol, nil}
}

// patch returns a patch or a body that is wrong in one of several ways, with secrets.
func (s *sender) patch(n int) try {
	r := try{kind: "patch", method: http.MethodPatch, path: mapsPath + "/kube-root-ca.crt", client: s.admin, headers: map[string]string{"Content-Type": harness.JSONPatch}}
	value := plant("value", n)
	switch n / 12 % 6 {
	case 0:
		r.body = `[{"op":"test","path":"/data/a","value":"` + value + `"}]`
	case 1:
		r.body = `[{"op":"replace","path":"/absent/a","value":"` + value + `"}]`
	case 2:
		r.body, r.headers = `{"metadata":{"labels":{"a":"`+value+` not valid"}},"immutable":"`+value+`"}`, map[string]string{"Content-Type": harness.MergePatch}
	case 3:
		r.body, r.headers = `{"metadata":{"labels":{"a":"-`+value+`-"}}}`, map[string]string{"Content-Type": harness.MergePatch}
	case 4:
		r.method, r.path, r.body, r.headers = http.MethodPost, "/api/v1/namespaces/default/secrets", `{"metadata":{"name":"x"},"data":{"a":"`+value+`"`, nil
	case 5:
		r.method, r.path, r.body, r.headers = http.MethodPost, "/api/v1/namespaces/default/secrets?fieldValidation=Strict", `{"metadata":{"name":"x"},"data":{"a":"%`+value+`"},"type":7}`, nil
	}
	return r
}

func one2(n int, even, odd string) string {
	if n%2 == 0 {
		return even
	}
	return odd
}

// added is what traces add to the message of a refusal: the last parentheses.
var added = regexp.MustCompile(`\([^()]*why: kubectl gatehouse why [^()]*\)$`)

func (s *sender) send(number int) error {
	r := s.request(number)
	request, err := http.NewRequest(r.method, s.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", harness.JSONBody)
	for name, value := range r.headers {
		request.Header.Set(name, value)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("%+v: %w", r, err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	var status struct{ Message string }
	_ = json.Unmarshal(body, &status)
	lead := added.FindString(status.Message)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.codes[r.kind] == nil {
		s.codes[r.kind] = map[int]int{}
	}
	s.codes[r.kind][response.StatusCode]++
	if lead != "" {
		s.leads++
	}
	if text := found(lead, s.tokens...); text != "" {
		return fmt.Errorf("what is added to a refusal has a secret: %s", text)
	}
	return nil
}

// examineTraces reads all traces as carol does, and returns their number.
func (s *sender) examineTraces(t *testing.T) int {
	t.Helper()
	count, next := 0, ""
	seen := map[string]bool{}
	for {
		response, err := s.carol.Get(s.url + tracesPath + "?limit=500&continue=" + next)
		check(t, err)
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		check(t, err)
		var page struct {
			Metadata struct{ Continue string }
			Items    []json.RawMessage
		}
		check(t, json.Unmarshal(body, &page))
		count += len(page.Items)
		for _, item := range page.Items {
			text := found(string(item), s.tokens...)
			var trace v1alpha1.RequestTrace
			_ = json.Unmarshal(item, &trace)
			key := fmt.Sprint(trace.Request.Verb, trace.Request.Resource, trace.Code, trace.DecidedBy)
			if text != "" && !seen[key] {
				seen[key] = true
				t.Errorf("the trace of %s has a secret: %s", key, text)
			}
		}
		if next = page.Metadata.Continue; next == "" {
			return count
		}
	}
}
