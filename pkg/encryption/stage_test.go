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

package encryption

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	older = "key-20260101T000000Z"
	newer = "key-20260601T000000Z"
)

func write(t *testing.T, providers string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	content := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ['*.*']\n  providers:\n" + providers
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func secretbox(names ...string) string {
	text := "  - secretbox:\n      keys:\n"
	for _, name := range names {
		text += "      - {name: " + name + ", secret: c2VjcmV0Cg==}\n"
	}
	return text
}

func TestTheStageOfARotationIsReadFromTheOrderOfTheKeys(t *testing.T) {
	const identity = "  - identity: {}\n"
	for _, test := range []struct {
		name      string
		providers string
		stage     stage
		then      []string // names after the next step; "+" for a new one
	}{
		{"one generated key", secretbox(older) + identity, idle, []string{older, "+"}},
		{"one key of another name", secretbox("mine") + identity, idle, []string{"mine", "+"}},
		{"keys of other names", secretbox("a", "b"), idle, []string{"a", "b", "+"}},
		{"a new key at the end", secretbox(older, newer) + identity, added, []string{newer, older}},
		{"a new key after keys of other names", secretbox("a", "b", newer), added, []string{newer, "a", "b"}},
		{"a new key at the beginning", secretbox(newer, older) + identity, promoted, []string{newer}},
		{"a new key before keys of other names", secretbox(newer, "a", "b"), promoted, []string{newer}},
		{"no encryption first", identity + secretbox(older), added, []string{older}},
		{"keys of AES", strings.ReplaceAll(secretbox("a"), "secretbox", "aescbc"), idle, []string{"a", "+"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := Read(write(t, test.providers))
			if err != nil {
				t.Fatal(err)
			}
			if at, err := file.stage(); err != nil || at != test.stage {
				t.Fatalf("the stage is %v (%v), want %v", at, err, test.stage)
			}
			if err := file.next(time.Now()); err != nil {
				t.Fatal(err)
			}
			got := file.names()
			if last := len(test.then) - 1; test.then[last] == "+" && len(got) == len(test.then) && got[last] > newer {
				got[last] = "+"
			}
			if !slices.Equal(got, test.then) {
				t.Errorf("the keys are %v, want %v", got, test.then)
			}
		})
	}
}

func TestARotationOfSeveralStepsEndsWithTheNewKeyAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "config.yaml")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := Init(path, now, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{older, "key-20260101T000001Z"}, {"key-20260101T000001Z", older}, {"key-20260101T000001Z"}, {"key-20260101T000001Z", "key-20260101T000002Z"},
	} {
		file, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		// The clock stands still, and the names still sort.
		if err := file.next(now); err != nil {
			t.Fatal(err)
		}
		if err := file.replace(); err != nil {
			t.Fatal(err)
		}
		if again, err := Read(path); err != nil || !slices.Equal(again.names(), want) || again.Hash != file.Hash {
			t.Fatalf("the file has %v (%v), want %v", again.names(), err, want)
		}
	}
}

func TestWhatCannotBeRotatedIsRefusedWithTheCure(t *testing.T) {
	kms := "  - kms: {apiVersion: v2, name: vault, endpoint: 'unix:///run/kms.sock'}\n"
	for _, test := range []struct{ name, providers, want string }{
		{"a KMS plugin", kms, "a KMS plugin has the key: rotate it there"},
		{"no encryption", "  - identity: {}\n", "no entry has keys with which it writes"},
		{"a newest key in the middle", secretbox("a", newer, "b"), newer + " is neither the first nor the last one"},
		{"two entries with keys", secretbox("a") + "- resources: [secrets]\n  providers:\n" + secretbox("b"), "2 entries write with keys"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := Read(write(t, test.providers))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.stage(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, and not %q", err, test.want)
			}
		})
	}
}

func TestInitWritesAClosedFileAndOverwritesNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	path := filepath.Join(dir, "config.yaml")
	file, err := Init(path, time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Init(path, time.Now(), false); err == nil || !strings.Contains(err.Error(), "exists and is not overwritten") {
		t.Errorf("an existing file: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) || hashOf(after) != file.Hash {
		t.Errorf("the file changed (%v)", err)
	}
	var shown strings.Builder
	file.print(&shown)
	entry, err := file.rotatable()
	if err != nil {
		t.Fatal(err)
	}
	if key := (*keysOf(&entry.Providers[0]))[0]; strings.Contains(shown.String(), key.Secret) || !strings.Contains(shown.String(), key.Name) {
		t.Errorf("a status without the name, or with the key: %s", shown.String())
	}
}

func TestAFileThatOthersReadIsNotReplacedByAClosedOne(t *testing.T) {
	path := write(t, secretbox(older))
	if err := replaceable(path); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := replaceable(path); err == nil || !strings.Contains(err.Error(), "has mode 0640") {
		t.Errorf("a file that a group reads: %v", err)
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := replaceable(link); err == nil {
		t.Error("a link is replaced")
	}
}

func TestErrorsOfAFileContainNoneOfIt(t *testing.T) {
	for _, content := range []string{
		"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: TOPSECRET\n",
		"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nTOPSECRET: {}\n",
		"TOPSECRET",
	} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || strings.Contains(err.Error(), "TOPSECRET") || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
