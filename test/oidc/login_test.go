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
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// tokenPath is where the provider issues tokens.
const tokenPath = "/oauth/token"

// asAda is what the server sees of a login of ada.
const asAda = `oidc:ada ["oidc:developers","oidc:staff","system:authenticated"]`

func TestKubectlLogsInByTheCodeFlowAndRolesFollowTheGroups(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	ada, bob := s.seat(t, p, "ada"), s.seat(t, p, "bob")
	if got := ada.whoami(); got != asAda {
		t.Fatalf("ada is %s\n%v", got, ada.user.Visits(t))
	}
	for _, tc := range []struct {
		name    string
		at      *seat
		command []string
		refusal string
	}{
		{"a developer gets config maps", ada, []string{"get", "configmaps"}, ""},
		{"a developer gets no secrets", ada, []string{"get", "secrets"}, `User "oidc:ada" cannot list resource "secrets"`},
		{"another user gets no config maps", bob, []string{"get", "configmaps"}, `User "oidc:bob" cannot list resource "configmaps"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.at.kubectl(tc.command...); (got.err == nil) != (tc.refusal == "") || !strings.Contains(got.stderr, tc.refusal) {
				t.Errorf("got %v: %s%s", got.err, got.stdout, got.stderr)
			}
		})
	}
	if visits := ada.user.Visits(t); len(visits) != 1 || !strings.Contains(visits[0], "You are logged in") {
		t.Errorf("three commands logged in %d times: %q", len(visits), visits)
	}
	ada.mustKeepSecrets()
}

// mustKeepSecrets fails the test if the cache or the kubeconfig gives tokens away.
func (at *seat) mustKeepSecrets() {
	at.t.Helper()
	for path, mode := range map[string]fs.FileMode{at.cache: fs.ModeDir | 0o700, at.cached(): 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
			at.t.Errorf("%s has mode %v, want %v: %v", path, info.Mode(), mode, err)
		}
	}
	for _, visit := range at.user.Visits(at.t) {
		if link, _, _ := strings.Cut(visit, ": "); strings.ContainsAny(link, "?#&") {
			at.t.Errorf("the browser's arguments have the authorization request: %s", link)
		}
	}
	if written, err := os.ReadFile(at.kubeconfig); err != nil || strings.Contains(string(written), secret) || strings.Contains(string(written), "client-key-data") {
		at.t.Errorf("the kubeconfig has a secret: %v\n%s", err, written)
	}
}

// cached returns the file of the one cached login.
func (at *seat) cached() string {
	at.t.Helper()
	found, err := filepath.Glob(filepath.Join(at.cache, "*.json"))
	if err != nil || len(found) != 1 {
		at.t.Fatalf("the cache has %q: %v", found, err)
	}
	return found[0]
}

func TestTenCommandsThatStartTogetherLogInOnce(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	ada := s.seat(t, p, "ada")
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if got := ada.whoami(); got != asAda {
				t.Errorf("ada is %s", got)
			}
		})
	}
	group.Wait()
	if visits, tokens := ada.user.Visits(t), p.count(tokenPath); len(visits) != 1 || tokens != 1 {
		t.Errorf("there were %d logins and %d requests for tokens: %q", len(visits), tokens, visits)
	}
}

func TestOneOfTenCommandsFailsForAll(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	ada := s.seat(t, p, "ada", "--timeout=15s")
	ada.user.Password = "wrong"
	ada.browse()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if got := ada.kubectl("get", "configmaps"); got.err == nil || !strings.Contains(got.stderr, "was not completed in time") {
				t.Errorf("got %v: %s", got.err, got.stderr)
			}
		})
	}
	group.Wait()
	// kubectl runs the plugin five times. A command that starts after the failure has another login.
	if visits := ada.user.Visits(t); len(visits) >= 10 {
		t.Errorf("the user saw %d browsers: %q", len(visits), visits)
	}
}

func TestACommandThatFailsHasOneLogin(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	ada := s.seat(t, p, "ada", "--timeout=15s")
	right := ada.user.Password
	ada.user.Password = "wrong"
	ada.browse()
	if got := ada.kubectl("get", "configmaps"); got.err == nil || !strings.Contains(got.stderr, "was not completed in time") {
		t.Errorf("got %v: %s", got.err, got.stderr)
	}
	if visits := ada.user.Visits(t); len(visits) != 1 {
		t.Errorf("the user saw %d browsers: %q", len(visits), visits)
	}
	ada.user.Password = right
	ada.browse()
	if got := ada.whoami(); got != asAda {
		t.Errorf("the next command: %s", got)
	}
}

func TestTokensAreRefreshedUntilTheSessionEnds(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	p.store.setLifetime(8 * time.Second) // less than what kubectl needs: each command refreshes
	ada := s.seat(t, p, "ada")
	for range 4 { // the provider accepts each refresh token once
		if got := ada.whoami(); got != asAda {
			t.Fatalf("ada is %s", got)
		}
	}
	if visits := ada.user.Visits(t); len(visits) != 1 {
		t.Errorf("the user logged in %d times: %q", len(visits), visits)
	}
	if got := p.count(tokenPath); got < 4 {
		t.Errorf("four commands requested %d tokens", got)
	}
	t.Run("a provider that is down is an error, and no login", func(t *testing.T) {
		p.setDown(true)
		defer p.setDown(false)
		got := ada.kubectl("get", "configmaps")
		mustContain(t, got.stderr, "--issuer-url="+p.url, "the provider is not in order", "503")
	})
	t.Run("a session that has ended is a new login", func(t *testing.T) {
		if err := p.store.TerminateSession(t.Context(), "ada", client); err != nil {
			t.Fatal(err)
		}
		if got := ada.whoami(); got != asAda {
			t.Fatalf("ada is %s", got)
		}
		if visits := ada.user.Visits(t); len(visits) != 2 {
			t.Errorf("the user logged in %d times: %q", len(visits), visits)
		}
	})
}

func TestAClientWithASecretLogsInAtItsRegisteredPort(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ada := s.seat(t, p, "ada", "--client-id="+confidential, "--client-secret-file="+file, "--listen-port="+strconv.Itoa(p.port))
	if got := ada.whoami(); got != asAda {
		t.Fatalf("ada is %s\n%v", got, ada.user.Visits(t))
	}
	ada.mustKeepSecrets()
	t.Run("a wrong secret is named", func(t *testing.T) {
		if err := os.WriteFile(file, []byte("another"), 0o600); err != nil {
			t.Fatal(err)
		}
		ada.logout()
		got := ada.kubectl("get", "configmaps")
		mustContain(t, got.stderr, "--client-id="+confidential, "--client-secret-file", "invalid_client")
		if strings.Contains(got.stderr, "another") {
			t.Errorf("the secret is in the error: %s", got.stderr)
		}
	})
}

// logout removes the cached login.
func (at *seat) logout() {
	at.t.Helper()
	if got := at.run(binary.Path(at.t), "user", "logout"); got.err != nil || got.stdout != "Removed 1 cached logins.\n" {
		at.t.Fatalf("gatehouse user logout: %v: %s%s", got.err, got.stdout, got.stderr)
	}
}
