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

package auth

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

func TestAuthCheckReadsTheTokenFromAFlagAFileOrStandardInput(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	token := provider.Token(t, key, nil)
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("authentication.yaml", idp.Header+provider.Entry("oidc:", ""))
	own := strings.ReplaceAll(idp.Header+provider.Entry("oidc:", ""), provider.URL, "https://gatehouse")
	for _, tc := range []struct {
		name  string
		args  []string
		input string
		shows string
		err   string // empty: accepted
	}{
		{"no token", []string{file}, "", "is valid", ""},
		{"a token as a flag", []string{file, "--token", token}, "", `username: "oidc:ada"`, ""},
		{"a token in a file", []string{file, "--token-file", write("token", token+"\n")}, "", "accepted", ""},
		{"a token from standard input", []string{file, "--token-file", "-"}, token + "\n", "accepted", ""},
		{"an empty token, as of a variable that is not set", []string{file, "--token", ""}, "", "", "--token is empty: give it a value"},
		{"an empty name of a file", []string{file, "--token-file", ""}, "", "", "--token-file is empty: give it a value"},
		{"both flags", []string{file, "--token", token, "--token-file", "-"}, token, "", "[token token-file] were all set"},
		{"an empty file", []string{file, "--token-file", write("empty", "\n")}, "", "", "empty is empty: write the token to it"},
		{"a file that is missing", []string{file, "--token-file", filepath.Join(dir, "missing")}, "", "", "--token-file: open"},
		{"a token that a server refuses for its length", []string{file, "--token-file", "-"}, strings.Repeat("x", 1<<20), "", "the token has 1048576 bytes, and 65536 is the limit"},
		{"the server's own issuer", []string{write("own.yaml", own)}, "", "", "jwt[0].issuer.url"},
		{"the same with another issuer of the server", []string{write("own.yaml", own), "--service-account-issuer", "https://another"}, "", "is valid", ""},
		{"no file", nil, "", "", "check takes one file, that of --authentication-config, and not 0"},
		{"a configuration that is missing", []string{filepath.Join(dir, "missing")}, "", "", "missing: no such file or directory): name one that exists"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			command := NewCommand()
			var out bytes.Buffer
			command.SetArgs(append([]string{"check"}, tc.args...))
			command.SetIn(strings.NewReader(tc.input))
			command.SetOut(&out)
			command.SetErr(&out)
			err := command.ExecuteContext(t.Context())
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if !strings.Contains(out.String(), tc.shows) {
				t.Errorf("%q is missing in:\n%s", tc.shows, out.String())
			}
		})
	}
}
