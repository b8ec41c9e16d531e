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
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/files/filestest"
)

// A user that can put files into the directory controls the server.
func TestAnAuthorityOfAnotherUserIsNotUsed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		make    func(t *testing.T, dir string)
		refusal string
	}{
		{"the directory belongs to another user", filestest.GiveAway, "belongs to uid 54321"},
		{"the directory is a symbolic link", filestest.MoveBehindLink, "is a symbolic link"},
		{"the key belongs to another user", func(t *testing.T, dir string) { filestest.GiveAway(t, filepath.Join(dir, "ca.key")) }, "ca.key belongs to uid 54321"},
		{"the certificate belongs to another user", func(t *testing.T, dir string) { filestest.GiveAway(t, filepath.Join(dir, "ca.crt")) }, "ca.crt belongs to uid 54321"},
		{"the key is a symbolic link", func(t *testing.T, dir string) { filestest.MoveBehindLink(t, filepath.Join(dir, "ca.key")) }, "is a symbolic link"},
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
			_, err := Ensure(dir, Options{})
			filestest.WantRefusal(t, err, tc.refusal)
			_, err = LoadCA(dir)
			filestest.WantRefusal(t, err, tc.refusal)
		})
	}
}

func TestASigningKeyOfAnotherUserIsNotUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	path, _, err := EnsureSigningKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	filestest.GiveAway(t, path)
	_, _, err = EnsureSigningKey(dir)
	filestest.WantRefusal(t, err, "belongs to uid 54321")
}

// The links simulate a user that expects a key to be written through them.
func TestANewPairIsNotWrittenThroughALink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(dir, "victim")
	unchanged := filestest.Bystander(t, victim)
	for _, name := range []string{"ca.key", "ca.crt", "admin.key"} {
		if err := os.Symlink(victim, filepath.Join(dir, name+staged)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Ensure(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	unchanged()
}
