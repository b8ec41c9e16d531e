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
	"bytes"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLoosePermissionsAreRepaired(t *testing.T) {
	tests := map[string]fs.FileMode{".": 0o755, "ca.key": 0o644, "serving.key": 0o640, "admin.key": 0o604}
	for name, loose := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.ensure()
			if err := os.Chmod(h.path(name), loose); err != nil {
				t.Fatal(err)
			}
			b := h.ensure()
			if len(b.Warnings) != 1 || !strings.Contains(b.Warnings[0], "was open to other users") {
				t.Errorf("warnings: %q", b.Warnings)
			}
			info, err := os.Stat(h.path(name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("mode is still %s", info.Mode())
			}
			if b := h.ensure(); len(b.Warnings) > 0 {
				t.Errorf("warned again: %q", b.Warnings)
			}
		})
	}
}

// TestCrashDuringReplace puts the directory into every state that a crash can
// leave, and starts again.
func TestCrashDuringReplace(t *testing.T) {
	old := newHome(t)
	old.ensure()
	renewed := newHome(t)
	if err := os.CopyFS(renewed.dir, os.DirFS(old.dir)); err != nil {
		t.Fatal(err)
	}
	renewed.clock.Step(300 * day)
	renewed.ensure()
	oldFiles, newFiles := old.files(), renewed.files()

	tests := map[string]struct {
		oldFiles []string
		newFiles []string
		staged   []string
		cut      []string
		issued   []string
	}{
		"first start, nothing staged completely": {
			cut: []string{"ca.key", "serving.crt"}, issued: []string{"ca", "serving", "admin"},
		},
		"first start, a leaf staged but not the CA": {
			staged: []string{"serving.crt", "serving.key", "ca.key"}, issued: []string{"ca", "serving", "admin"},
		},
		"first start, all staged": {
			staged: slices.Collect(maps.Keys(newFiles)),
		},
		"first start, CA renamed": {
			newFiles: []string{"ca.crt", "ca.key"}, staged: []string{"serving.crt", "serving.key", "admin.crt", "admin.key"},
		},
		"first start, half of the CA renamed": {
			newFiles: []string{"ca.crt"}, staged: []string{"ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key"},
		},
		"renewal, key staged": {
			oldFiles: []string{"ca.crt", "ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key"},
			staged:   []string{"serving.key"}, issued: []string{"serving", "admin"},
		},
		"renewal, certificate staged in part": {
			oldFiles: []string{"ca.crt", "ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key"},
			staged:   []string{"serving.key"}, cut: []string{"serving.crt"}, issued: []string{"serving", "admin"},
		},
		"renewal, both staged": {
			oldFiles: []string{"ca.crt", "ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key"},
			staged:   []string{"serving.crt", "serving.key"}, issued: []string{"admin"},
		},
		"renewal, key renamed": {
			oldFiles: []string{"ca.crt", "ca.key", "serving.crt"}, newFiles: []string{"serving.key", "admin.crt", "admin.key"},
			staged: []string{"serving.crt"},
		},
		"renewal, certificate renamed": {
			oldFiles: []string{"ca.crt", "ca.key", "serving.key"}, newFiles: []string{"serving.crt", "admin.crt", "admin.key"},
			staged: []string{"serving.key"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.clock.Step(300 * day)
			if err := os.Mkdir(h.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, f := range tc.oldFiles {
				h.write(f, []byte(oldFiles[f]))
			}
			for _, f := range tc.newFiles {
				h.write(f, []byte(newFiles[f]))
			}
			for _, f := range tc.staged {
				h.write(f+staged, []byte(newFiles[f]))
			}
			for _, f := range tc.cut {
				h.write(f+staged, []byte(newFiles[f][:40]))
			}
			b := h.ensure()
			if !slices.Equal(b.Issued, tc.issued) {
				t.Errorf("issued %v, want %v", b.Issued, tc.issued)
			}
			for f := range h.files() {
				if strings.HasSuffix(f, staged) {
					t.Errorf("%s was left behind", f)
				}
			}
			if again := h.ensure(); len(again.Issued) > 0 || !bytes.Equal(again.Serving.CertPEM, b.Serving.CertPEM) {
				t.Errorf("a second start issued %v", again.Issued)
			}
		})
	}
}
