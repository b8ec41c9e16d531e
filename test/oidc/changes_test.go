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

package oidc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestKeysOfTheProviderRotate(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	caller := s.callers(t)
	ada := s.seat(t, p, "ada")
	if got := ada.whoami(); got != asAda {
		t.Fatalf("ada is %s", got)
	}
	first, second, third := p.store.signing(), newKey(t, "second"), newKey(t, "third")
	old := p.token(t, nil)

	t.Run("with an overlap, old and new tokens are accepted at once", func(t *testing.T) {
		p.store.rotate(second, first)
		for name, token := range map[string]string{"old": old, "new": p.token(t, nil)} {
			if got := s.who(t.Context(), caller, token); got != accepted {
				t.Errorf("an %s token: %s", name, got)
			}
		}
		if got := ada.whoami(); got != asAda {
			t.Errorf("a user with an old token is %s", got)
		}
	})
	t.Run("without an overlap, new tokens are accepted at once and old ones no longer", func(t *testing.T) {
		before := p.token(t, nil)
		p.store.rotate(third)
		if got := s.who(t.Context(), caller, p.token(t, nil)); got != accepted {
			t.Errorf("a new token: %s", got)
		}
		for name, token := range map[string]string{"of the first key": old, "of the second key": before} {
			s.eventually(t, caller, "a token "+name+" is refused", refused, func() string { return token })
		}
	})
	t.Run("a user whose token is refused logs out and in", func(t *testing.T) {
		if got := ada.whoami(); !strings.Contains(got, "You must be logged in to the server") {
			t.Errorf("with the old token: %s", got)
		}
		ada.logout()
		if got := ada.whoami(); got != asAda {
			t.Errorf("ada is %s", got)
		}
	})
}

func TestAProviderThatIsDownStopsOnlyItsOwnUsers(t *testing.T) {
	t.Parallel()
	up := startProvider(t)
	address, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	late := newProvider(t, address)
	late.ca = up.ca // the certificates of tests have one authority
	s := startServer(t, up.entry("oidc:", "")+late.entry("late:", ""))
	caller := s.callers(t)
	const asLate = "late:ada [late:developers late:staff system:authenticated]"

	// The server is ready while the second provider is down.
	s.eventually(t, caller, "the first issuer is ready", accepted, func() string { return up.token(t, nil) })
	if got := s.who(t.Context(), caller, late.token(t, nil)); got != refused {
		t.Errorf("a token of a provider that does not run yet: %s", got)
	}
	kit.EventuallyState(t, "/readyz?verbose names the provider", func(ctx context.Context) (bool, string) {
		body, err := s.admin.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(ctx)
		return err == nil && strings.Contains(string(body), "[!]authentication-config: issuer "+late.url) && strings.Contains(string(body), "readyz check passed"), string(body)
	})

	late.listen(t)
	s.eventually(t, caller, "the late issuer is ready", asLate, func() string { return late.token(t, nil) })

	late.setDown(true)
	for _, tc := range []struct{ name, token, want string }{
		{"a new token of a key that is known", late.token(t, map[string]any{"jti": "1"}), asLate},
		{"a token of a key that is not known", func() string {
			known := late.store.signing()
			defer late.store.rotate(known)
			late.store.rotate(newKey(t, "unknown"))
			return late.token(t, nil)
		}(), refused},
		{"a token of the other provider", up.token(t, map[string]any{"jti": "1"}), accepted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.who(t.Context(), caller, tc.token); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if _, err := s.admin.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator: %v", err)
	}
}

// TestAReloadFailsNoRequestOfAnIssuerThatStays changes the file many times while users send requests.
func TestAReloadFailsNoRequestOfAnIssuerThatStays(t *testing.T) {
	t.Parallel()
	stays, changes := startProvider(t), startProvider(t)
	s := startServer(t, stays.entry("oidc:", ""))
	caller := s.callers(t)
	s.eventually(t, caller, "the issuer is ready", accepted, func() string { return stays.token(t, nil) })

	var sent, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for number := 0; ctx.Err() == nil; number++ {
				// Every tenth request has another token, which is not in the cache.
				token := stays.token(t, map[string]any{"jti": fmt.Sprint(number / 10)})
				if got := s.who(t.Context(), caller, token); got != accepted {
					failed.Add(1)
					t.Errorf("request %d: %s", number, got)
				}
				sent.Add(1)
			}
		})
	}
	token := func() string { return changes.token(t, nil) }
	version := func(prefix string) string {
		return prefix + "ada [" + prefix + "developers " + prefix + "staff system:authenticated]"
	}
	for round := range 5 {
		for _, step := range []struct{ name, issuers, want string }{
			{"a new issuer", changes.entry("one:", ""), version("one:")},
			{"another prefix", changes.entry("two:", ""), version("two:")},
			{"another audience", strings.Replace(changes.entry("two:", ""), client, "vault", 1), refused},
			{"a mapping that is not valid changes nothing", changes.entry("system:", ""), refused},
			{"a file that cannot be decoded changes nothing", "jwt: [", refused},
			{"no issuer", "", refused},
		} {
			s.write(t, stays.entry("oidc:", "")+step.issuers)
			s.eventually(t, caller, fmt.Sprintf("round %d: %s", round, step.name), step.want, token)
		}
	}
	stop()
	load.Wait()
	t.Logf("%d of %d requests failed during 30 reloads", failed.Load(), sent.Load())
	if sent.Load() < 100 {
		t.Errorf("only %d requests were sent", sent.Load())
	}
}
