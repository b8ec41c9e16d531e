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

// Package filestest has helpers for tests of trusted files and directories: a file of another
// user, a link in the place of a file, and the refusals that both must meet.
//
// Only tests import it, in pkg/files, pkg/certificates, pkg/storage/embedded and cmd/gatehouse/app.
package filestest

import (
	"os"
	"strings"
	"testing"
)

// Stranger is the uid of a user that no test runs as.
const Stranger = 54321

// GiveAway makes Stranger the owner of a path. It skips the test unless root runs it.
func GiveAway(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	if err := os.Lchown(path, Stranger, Stranger); err != nil {
		t.Fatal(err)
	}
}

// MoveBehindLink moves a path aside and puts a symbolic link to it in its place.
func MoveBehindLink(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+"-real"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+"-real", path); err != nil {
		t.Fatal(err)
	}
}

// Bystander writes a file that the code under test must not touch, and returns a check of that.
func Bystander(t *testing.T, path string) (unchanged func()) {
	t.Helper()
	const content = "kept"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if data, err := os.ReadFile(path); err != nil || string(data) != content {
			t.Errorf("%s holds %.40q (%v), want %q", path, data, err, content)
		}
	}
}

// WantRefusal fails the test unless the error contains the text.
func WantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, which does not contain %q", err, text)
	}
}
