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
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestALoginThatFailsNamesTheFlagAndTheCure(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	nothing, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "ca.pem")
	// The authority of the server is not that of the provider.
	if err := os.WriteFile(other, s.Config.CAData, 0o600); err != nil {
		t.Fatal(err)
	}
	readable := filepath.Join(t.TempDir(), "readable")
	if err := os.Mkdir(readable, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"nothing listens at the URL", []string{"--issuer-url=https://" + nothing}, []string{"--issuer-url=https://" + nothing, "cannot be reached", "connection refused"}},
		{"the URL has another path", []string{"--issuer-url=" + p.url + "/realms/other"}, []string{"/realms/other", "discovery document", "404"}},
		{"the URL has a slash more", []string{"--issuer-url=" + p.url + "/"}, []string{"use exactly the one that it expects"}},
		{"another authority certifies the provider", []string{"--ca-file=" + other}, []string{"--ca-file=" + other, "not certified by it"}},
		{"the machine does not trust the provider", []string{"--ca-file="}, []string{"name its file with --ca-file"}},
		{"the client does not exist", []string{"--client-id=nobody"}, []string{"--client-id=nobody", "check the ID", "400"}},
		{"the client does not exist for the device flow", []string{"--client-id=nobody", "--device"}, []string{"--client-id=nobody"}},
		{"the client permits another redirect URL", []string{"--client-id=" + elsewhere}, []string{"--client-id=" + elsewhere, "/callback", "--listen-port", "redirect_uri is missing in the client configuration"}},
		{"the user does not log in", []string{"--no-browser", "--timeout=1s"}, []string{"was not completed in time", "--timeout=1s", "redirect URL http://127.0.0.1/callback"}},
		{"the user does not enter the code", []string{"--device", "--timeout=1s"}, []string{"was not completed in time", "--timeout=1s"}},
		{"other users can read the cache", []string{"--cache-dir=" + readable}, []string{"--cache-dir=" + readable, "chmod 700"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := s.seat(t, p, "ada", tc.flags...).kubectl("get", "configmaps")
			if got.err == nil {
				t.Errorf("it succeeded: %s", got.stdout)
			}
			mustContain(t, got.stderr, tc.want...)
		})
	}
}
