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

package certificates

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stranger is a user as which no test runs.
const stranger = 54321

func giveToStranger(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	if err := os.Lchown(path, stranger, stranger); err != nil {
		t.Fatal(err)
	}
}

// A user that can write to the directory is an administrator of the server.
func TestAnAuthorityOfAnotherUserIsNotUsed(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(t *testing.T, dir string)
		says string
	}{
		{"the directory belongs to another user", func(t *testing.T, dir string) { giveToStranger(t, dir) }, "belongs to uid 54321"},
		{"the directory is a symbolic link", func(t *testing.T, dir string) {
			if err := os.Rename(dir, dir+"-real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(dir+"-real", dir); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		{"the key belongs to another user", func(t *testing.T, dir string) { giveToStranger(t, filepath.Join(dir, "ca.key")) }, "ca.key belongs to uid 54321"},
		{"the certificate belongs to another user", func(t *testing.T, dir string) { giveToStranger(t, filepath.Join(dir, "ca.crt")) }, "ca.crt belongs to uid 54321"},
		{"the key is a symbolic link", func(t *testing.T, dir string) {
			key := filepath.Join(dir, "ca.key")
			if err := os.Rename(key, key+"-real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(key+"-real", key); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		{"all may write the directory above", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Dir(dir), 0o777); err != nil {
				t.Fatal(err)
			}
		}, "can be written by other users"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data", "pki")
			if _, err := Ensure(dir, Options{}); err != nil {
				t.Fatal(err)
			}
			tc.make(t, dir)
			_, ensureErr := Ensure(dir, Options{})
			_, loadErr := LoadCA(dir)
			for what, err := range map[string]error{"Ensure": ensureErr, "LoadCA": loadErr} {
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%s: got %v, which does not say %q", what, err, tc.says)
				}
			}
		})
	}
}

func TestASigningKeyOfAnotherUserIsNotUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	path, _, err := EnsureSigningKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	giveToStranger(t, path)
	if _, _, err := EnsureSigningKey(dir); err == nil || !strings.Contains(err.Error(), "belongs to uid 54321") {
		t.Errorf("got %v", err)
	}
}

// Another user has put a link under the name of the next file, to receive a key.
func TestANewPairIsNotWrittenThroughALink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.key", "ca.crt", "admin.key"} {
		if err := os.Symlink(victim, filepath.Join(dir, name+staged)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Ensure(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "kept" {
		t.Errorf("the file behind the links holds %.40q (%v)", data, err)
	}
}
