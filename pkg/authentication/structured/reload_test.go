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

package structured

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

func (a *Authenticator) notes() string {
	var texts []string
	for _, note := range a.Notes() {
		texts = append(texts, note.Text)
	}
	return strings.Join(texts, "\n")
}

func TestABadIssuerKeepsItsFormerVersionAndOthersChange(t *testing.T) {
	one, two, key := idp.New(t), idp.New(t), idp.NewKey(t, "one")
	one.Publish(key)
	two.Publish(key)
	for _, tc := range []struct {
		name string
		bad  string // the new entry of the first issuer
		why  string
	}{
		{"an expression that does not compile", one.Entry("new:", "  claimValidationRules:\n  - {expression: 'claims.'}\n"), "jwt[0].claimValidationRules[0].expression"},
		{"a prefix of the server's users", one.Entry("system:", ""), `jwt[0].claimMappings.username.prefix: Invalid value: "system:"`},
		{"a provider that does not answer", strings.Replace(one.Entry("new:", ""), "    audiences", "    discoveryURL: "+one.URL+"/nowhere\n    audiences", 1), "the provider does not answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFile(t, one.Entry("old:", ""), two.Entry("old:", ""))
			a := start(t, f)
			a.settled(t)
			f.change(t, a, tc.bad, two.Entry("new:", ""))
			kit.EventuallyState(t, "the second issuer changes, and the first is reported", func(context.Context) (bool, string) {
				got := a.name(t, two.Token(t, key, nil)) + "; " + a.notes()
				return strings.HasPrefix(got, "new:ada; issuer "+one.URL) && strings.Contains(got, tc.why) && strings.Contains(got, "the former version stays in force"), got
			})
			if got := a.name(t, one.Token(t, key, nil)); got != "old:ada" {
				t.Errorf("the first issuer: %s", got)
			}
			f.change(t, a, one.Entry("new:", ""), two.Entry("new:", ""))
			kit.EventuallyState(t, "the mended issuer changes, and nothing is reported", func(context.Context) (bool, string) {
				got := a.name(t, one.Token(t, key, nil)) + "; " + a.notes()
				return got == "new:ada; ", got
			})
		})
	}
}

func TestAFileThatIsNotCertainChangesNothing(t *testing.T) {
	a, provider, key, f := running(t, "")
	for _, tc := range []struct {
		name, content, why string
	}{
		{"an empty file", "", "the file is empty"},
		{"a file that is no YAML", "{", "the file is no AuthenticationConfiguration"},
		{"an unknown field", idp.Header + strings.Replace(provider.Entry("new:", ""), "audiences", "audience", 1), `unknown field "jwt[0].issuer.audience"`},
		{"another kind", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n", "AuthorizationConfiguration"},
		{"an issuer without https", idp.Header + strings.Replace(provider.Entry("new:", ""), "https:", "http:", 1), "jwt[0].issuer.url"},
		{"an issuer twice", idp.Header + provider.Entry("new:", "") + provider.Entry("newer:", ""), "jwt[1].issuer.url: Duplicate value"},
		{"the server's own issuer", idp.Header + strings.Replace(provider.Entry("new:", ""), provider.URL, "https://gatehouse", 1), "jwt[0].issuer.url"},
		{"conditions without anonymous requests", idp.Header + provider.Entry("new:", "") + "anonymous: {enabled: false, conditions: [{path: /x}]}\n", "anonymous.conditions"},
		{"a large file", strings.Repeat("#", maxFile+1), "is larger than 1048576 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.write(t, tc.content)
			a.reload()
			if got := a.notes(); !strings.Contains(got, tc.why) || !strings.Contains(got, "everything stays as it was") {
				t.Errorf("reported: %q", got)
			}
			if got := a.name(t, provider.Token(t, key, nil)); got != "oidc:ada" {
				t.Errorf("a token: %s", got)
			}
			a.reload() // the poll finds the same file
			if a.notes() == "" {
				t.Error("the report is gone")
			}
		})
	}
	if err := os.Remove(string(f)); err != nil {
		t.Fatal(err)
	}
	a.reload()
	if got := a.notes(); !strings.Contains(got, "the file is not read") {
		t.Errorf("a file that is gone: %q", got)
	}
	f.change(t, a, provider.Entry("new:", ""))
	a.settled(t)
	if got := a.name(t, provider.Token(t, key, nil)) + a.notes(); got != "new:ada" {
		t.Errorf("a file that is back: %s", got)
	}
}

func TestARemovedIssuerIsRefusedAtOnce(t *testing.T) {
	a, provider, key, f := running(t, "")
	token := provider.Token(t, key, nil)
	if got := a.name(t, token); got != "oidc:ada" {
		t.Fatal(got)
	}
	former := a.current.Load().issuers[provider.URL]
	f.write(t, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n")
	a.reload()
	if got := a.name(t, token); got != "not known" {
		t.Errorf("a cached token of a removed issuer: %s", got)
	}
	<-former.ctx.Done()
}

func TestAnUnchangedIssuerStaysAsItIs(t *testing.T) {
	a, provider, _, f := running(t, "")
	other := idp.New(t)
	former := a.current.Load().issuers[provider.URL]
	f.change(t, a, provider.Entry("oidc:", ""), other.Entry("other:", ""))
	a.settled(t)
	if a.current.Load().issuers[provider.URL] != former || former.ctx.Err() != nil {
		t.Error("the issuer was replaced")
	}
}

func TestAnIssuerEndsAfterItsLastVerification(t *testing.T) {
	a, provider, key, f := running(t, "")
	former := a.current.Load().issuers[provider.URL]
	held := provider.Hold()
	result := make(chan string)
	go func() { result <- a.name(t, provider.Token(t, key, nil)) }()
	<-held
	f.change(t, a, provider.Entry("new:", ""))
	a.settled(t)
	if former.ctx.Err() != nil {
		t.Error("the former version ended during a verification")
	}
	provider.Release()
	if got := <-result; got != "oidc:ada" {
		t.Errorf("the verification: %s", got)
	}
	<-former.ctx.Done()
}

func TestNoRequestFailsWhileTheFileChanges(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("under load", func(t *testing.T) {
		a, provider, key, f := running(t, "")
		var failed atomic.Value
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					token := provider.Token(t, key, map[string]any{"jti": n})
					if got := a.name(t, token); !strings.HasSuffix(got, ":ada") {
						failed.Store(got)
						return
					}
				}
			})
		}
		for _, prefix := range []string{"a:", "b:", "c:", "d:", "e:", "f:", "g:", "h:"} {
			f.change(t, a, provider.Entry(prefix, ""))
			kit.Eventually(t, "the new version is in force", func(context.Context) bool {
				return a.name(t, provider.Token(t, key, nil)) == prefix+"ada"
			})
		}
		close(stop)
		load.Wait()
		if got := failed.Load(); got != nil {
			t.Errorf("a request failed: %v", got)
		}
	})
	kit.EventuallyState(t, "every goroutine of the former versions has ended", func(context.Context) (bool, string) {
		stacks := make([]byte, 1<<20)
		return runtime.NumGoroutine() <= before, string(stacks[:runtime.Stack(stacks, true)])
	})
}

func TestASlowProviderDelaysNoOtherToken(t *testing.T) {
	slow, fast, key := idp.New(t), idp.New(t), idp.NewKey(t, "one")
	slow.Publish(key)
	fast.Publish(key)
	a := start(t, newFile(t, slow.Entry("slow:", ""), fast.Entry("fast:", "")))
	a.settled(t)
	held := slow.Hold()
	result := make(chan string)
	go func() { result <- a.name(t, slow.Token(t, key, nil)) }()
	<-held
	for _, tc := range []struct{ name, token, want string }{
		{"a token of another issuer", fast.Token(t, key, nil), "fast:ada"},
		{"a token of no issuer", "secret", "not known"},
	} {
		if got := a.name(t, tc.token); got != tc.want {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
	slow.Release()
	if got := <-result; got != "slow:ada" {
		t.Errorf("the slow provider's token: %s", got)
	}
}

func TestKeysRotate(t *testing.T) {
	old, next := idp.NewKey(t, "old"), idp.NewKey(t, "next")
	for _, tc := range []struct {
		name    string
		between []*idp.Key
	}{
		{"with an overlap", []*idp.Key{old, next}},
		{"without an overlap", []*idp.Key{next}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, provider, _, _ := running(t, "")
			provider.Publish(old)
			if got := a.name(t, provider.Token(t, old, nil)); got != "oidc:ada" {
				t.Fatal(got)
			}
			provider.Publish(tc.between...)
			if got := a.name(t, provider.Token(t, next, nil)); got != "oidc:ada" {
				t.Errorf("the new key: %s", got)
			}
			provider.Publish(next)
			// The library forgets a withdrawn key with the next request for keys, which an unknown key causes.
			_ = a.name(t, provider.Token(t, idp.NewKey(t, "stranger"), nil))
			if got := a.name(t, provider.Token(t, old, map[string]any{"jti": "later"})); !strings.Contains(got, "failed to verify") {
				t.Errorf("the withdrawn key: %s", got)
			}
		})
	}
}

func TestAProviderThatIsDown(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	provider.SetDown(true)
	a := start(t, newFile(t, provider.Entry("oidc:", "")))
	kit.EventuallyState(t, "the provider is reported", func(context.Context) (bool, string) {
		got := a.notes()
		return strings.Contains(got, "issuer "+provider.URL+": the provider does not answer") && strings.Contains(got, "503"), got
	})
	if got := a.name(t, provider.Token(t, key, nil)); !strings.Contains(got, "has not answered yet") {
		t.Errorf("down at the start: %s", got)
	}
	provider.SetDown(false)
	a.settled(t) // the library repeats discovery after 10 s
	if got := a.name(t, provider.Token(t, key, nil)) + a.notes(); got != "oidc:ada" {
		t.Errorf("up again: %s", got)
	}
	provider.SetDown(true)
	if got := a.name(t, provider.Token(t, key, map[string]any{"jti": "later"})); got != "oidc:ada" {
		t.Errorf("down later, with a key that is known: %s", got)
	}
	if got := a.name(t, provider.Token(t, idp.NewKey(t, "two"), nil)); !strings.HasPrefix(got, "error: ") {
		t.Errorf("down later, with an unknown key: %s", got)
	}
}

func TestAnAcceptedTokenIsCachedAndARefusedOneIsNot(t *testing.T) {
	a, provider, key, _ := running(t, "")
	for range 3 {
		if got := a.name(t, provider.Token(t, idp.NewKey(t, "stranger"), nil)); !strings.HasPrefix(got, "error: ") {
			t.Fatal(got)
		}
	}
	if got := provider.Requests("/keys"); got != 3 {
		t.Errorf("%d requests for keys after 3 tokens with unknown keys", got)
	}
	token := provider.Token(t, key, nil)
	first, _, err := a.AuthenticateToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := a.AuthenticateToken(t.Context(), token)
	if err != nil || first != second {
		t.Errorf("the second result is not the cached one (%v)", err)
	}
}

func TestRequestsWithoutCredentialsAreAsTheFileHasThem(t *testing.T) {
	otherwise := authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{}, true, nil
	})
	f := newFile(t)
	f.write(t, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n")
	a := start(t, f)
	for _, tc := range []struct {
		name, anonymous   string
		readyz, elsewhere string
	}{
		{"nothing in the file", "", "server", "server"},
		{"two paths", "anonymous: {enabled: true, conditions: [{path: /readyz}, {path: /metrics}]}\n", "file", ""},
		{"other paths", "anonymous: {enabled: true, conditions: [{path: /apis}]}\n", "", "file"},
		{"every path", "anonymous: {enabled: true}\n", "file", "file"},
		{"no path", "anonymous: {enabled: false}\n", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.write(t, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"+tc.anonymous)
			a.reload()
			for path, want := range map[string]string{"/readyz": tc.readyz, "/apis": tc.elsewhere} {
				response, ok, err := a.Anonymous(otherwise).AuthenticateRequest(httptest.NewRequest(http.MethodGet, path, nil))
				got := ""
				switch {
				case err != nil:
					got = err.Error()
				case ok && response.User == nil:
					got = "server"
				case ok && response.User.GetName() == "system:anonymous":
					got = "file"
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", path, got, want)
				}
			}
		})
	}
}
