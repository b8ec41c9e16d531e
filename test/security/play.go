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
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Env is where the attacks take place.
type Env struct {
	// As returns the configuration of a client with a certificate for this user in these groups.
	As func(user string, groups ...string) *rest.Config
	// Admin may do everything.
	Admin *rest.Config
	// FrontProxy is true if the server has a front proxy. Identity headers of any other client then fail
	// authentication (401) instead of being ignored.
	FrontProxy bool
	// Tokens are bearer tokens by their defect; rows use the defect as identity.
	Tokens map[string]string
	// PID is the process of the server if the costs of the attacks are measured. It is 0
	// if the server runs in the process of the test.
	PID int
	// Costs gets a row for each measured attack; nil if the table is not needed.
	Costs *Costs
}

// attack is one row.
type attack struct {
	name string
	// as is a key of people, or of Env.Tokens; empty for a request without credentials.
	as string
	// method is GET if empty.
	method, path string
	// contentType is JSON if empty, or merge patch for PATCH.
	contentType, body string
	headers           map[string][]string
	// code is the expected code; says is a part of the expected message.
	code int
	says string
}

// person is the identity in a certificate.
type person struct {
	user   string
	groups []string
}

// play sends every attack, and fails the test if a response differs from the row, or if
// an object on the server has changed afterwards.
func play(t *testing.T, env Env, people map[string]person, rows []attack, watched []string) {
	t.Helper()
	admin := newClient(t, env.Admin)
	before := admin.everything(t, watched)
	clients := map[string]client{}
	for name, p := range people {
		clients[name] = newClient(t, env.As(p.user, p.groups...))
	}
	clients[""] = newClient(t, rest.AnonymousClientConfig(env.Admin))
	for name, token := range env.Tokens {
		config := rest.AnonymousClientConfig(env.Admin)
		config.BearerToken = token
		clients[name] = newClient(t, config)
	}
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row.name] {
			t.Errorf("two rows are called %q", row.name)
		}
		seen[row.name] = true
		t.Run(row.name, func(t *testing.T) {
			c, ok := clients[row.as]
			if !ok {
				t.Fatalf("no caller is named %q", row.as)
			}
			var code int
			var body string
			env.Measured(t, row.name, oneRequest, func() string {
				code, body = c.send(t, row)
				return strconv.Itoa(code)
			})
			if code != row.code {
				t.Errorf("answered with code %d, not %d: %.500s", code, row.code, body)
			}
			if !strings.Contains(body, row.says) {
				t.Errorf("answered %.500q, which does not contain %q", body, row.says)
			}
		})
	}
	unchanged(t, before, admin.everything(t, watched))
}

// unchanged fails the test if resource versions differ.
func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if old, ok := before[key]; !ok {
			t.Errorf("an attack created %s", key)
		} else if old != after[key] {
			t.Errorf("an attack changed %s", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[key]; !ok {
			t.Errorf("an attack deleted %s", key)
		}
	}
}

type client struct {
	http *http.Client
	host string
}

func newClient(t *testing.T, config *rest.Config) client {
	t.Helper()
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	// A redirect is not an access, so it is not followed.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client{c, config.Host}
}

// send sends the request of the row without cleaning its path.
func (c client) send(t *testing.T, row attack) (int, string) {
	t.Helper()
	code, body, err := c.try(t.Context(), row)
	if err != nil {
		t.Fatalf("%s %s: %v", row.method, row.path, err)
	}
	return code, body
}

// try is send for goroutines that must not end the test.
func (c client) try(ctx context.Context, row attack) (int, string, error) {
	if row.method == "" {
		row.method = http.MethodGet
	}
	if row.contentType == "" {
		row.contentType = "application/json"
		if row.method == http.MethodPatch {
			row.contentType = "application/merge-patch+json"
		}
	}
	base, err := url.Parse(c.host)
	if err != nil {
		return 0, "", err
	}
	path, query, _ := strings.Cut(row.path, "?")
	request, err := http.NewRequestWithContext(ctx, row.method, c.host, strings.NewReader(row.body))
	if err != nil {
		return 0, "", err
	}
	request.URL = &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: "//" + base.Host + path, RawQuery: query}
	if strings.HasPrefix(path, "//") {
		request.URL = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path, RawQuery: query}
	}
	request.Header.Set("Content-Type", row.contentType)
	for name, values := range row.headers {
		for _, value := range values {
			request.Header.Add(name, value)
		}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	// An allowed watch would not end, so the code is enough.
	if response.StatusCode == http.StatusOK && strings.Contains(query, "watch=") {
		return response.StatusCode, "a watch", nil
	}
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// must sends a request of the set-up, and fails the test unless it succeeds.
func (c client) must(t *testing.T, method, path, contentType, body string) []byte {
	t.Helper()
	code, answer := c.send(t, attack{method: method, path: path, contentType: contentType, body: body})
	if code != http.StatusOK && code != http.StatusCreated {
		t.Fatalf("%s %s: %d %s", method, path, code, answer)
	}
	return []byte(answer)
}

// everything returns the resource versions of all objects below some paths.
func (c client) everything(t *testing.T, paths []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range paths {
		var list metav1.PartialObjectMetadataList
		if err := json.Unmarshal(c.must(t, http.MethodGet, path, "", ""), &list); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			all[fmt.Sprintf("%s %s/%s", path, item.Namespace, item.Name)] = item.ResourceVersion
		}
	}
	return all
}

// apply creates or changes objects by server-side apply, for the set-up.
func (c client) apply(t *testing.T, path, body string) {
	t.Helper()
	c.must(t, http.MethodPatch, path+"?fieldManager=attacks&force=true", "application/apply-patch+yaml", body)
}

// awaitCode repeats a request until the response has the code, because the server observes grants
// of the set-up a moment later.
func (c client) awaitCode(ctx context.Context, t *testing.T, row attack, code int) {
	t.Helper()
	for {
		got, body, err := c.try(ctx, row) // an error where the set-up ends what the caller still has open
		if err == nil && got == code {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s %s is answered with %d, not %d: %s %v", row.method, row.path, got, code, body, err)
		}
	}
}
