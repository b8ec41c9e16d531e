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
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheStatusNamesKeysThatTheFileDoesNotHave(t *testing.T) {
	kms := "  - kms: {apiVersion: v2, name: vault, endpoint: 'unix:///run/kms.sock'}\n"
	file, err := Read(write(t, secretbox(newer, older)+kms))
	if err != nil {
		t.Fatal(err)
	}
	found := counts{
		"secrets":    {{"secretbox", newer}: 1, {"secretbox", "lost"}: 2, {"aescbc", newer}: 3},
		"configmaps": {{"secretbox", older}: 1, {"secretbox", "lost"}: 5, {"kms", "vault"}: 1, {}: 7},
	}
	got := found.unreadable(file)
	if len(got) != 2 || !strings.HasPrefix(got[0], "3 objects are stored with aescbc "+newer) || !strings.HasPrefix(got[1], "7 objects are stored with secretbox lost, which the file does not have: add it") {
		t.Errorf("unreadable: %q", got)
	}
}

func TestTheStatusWarnsOfAFileThatOthersReadOrReplace(t *testing.T) {
	for _, test := range []struct {
		name       string
		file, keys os.FileMode
		want       string
	}{
		{"a closed file", 0o600, 0o700, ""},
		{"a file of a group", 0o640, 0o755, ""},
		{"a file that every user reads", 0o644, 0o700, "Warning: PATH has mode 0644, so that every user that can enter its directory can read it: run \"chmod 600 PATH\", or set defaultMode: 0400 if it is a mounted Secret\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, secretbox(older))
			for path, mode := range map[string]os.FileMode{path: test.file, filepath.Dir(path): test.keys} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			(&File{Path: path}).warn(&out)
			if want := strings.ReplaceAll(test.want, "PATH", path); out.String() != want {
				t.Errorf("%q, want %q", out.String(), want)
			}
		})
	}
	t.Run("a directory that every user writes", func(t *testing.T) {
		path := write(t, secretbox(older))
		if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		(&File{Path: path}).warn(&out)
		if !strings.Contains(out.String(), "Warning: "+filepath.Dir(path)+" can be written by other users") {
			t.Errorf("no warning: %q", out.String())
		}
		if _, err := Init(path+".new", time.Now(), false); err == nil || !strings.Contains(err.Error(), "can be written by other users") {
			t.Errorf("a new file there: %v", err)
		}
	})
}

func TestOneRotationRunsAtATimeAndRemovesCopiesOfAKilledOne(t *testing.T) {
	path := write(t, secretbox(older))
	dir := filepath.Dir(path)
	for _, name := range []string{".config.yaml-123", ".config.yaml-copy", ".other.yaml-123", "config.yaml-123"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(path); err == nil || !strings.Contains(err.Error(), "another rotation of a file in "+dir+" runs") {
		t.Errorf("a second rotation: %v", err)
	}
	unlock()
	if unlock, err = lock(path); err != nil {
		t.Errorf("after the end of the first rotation: %v", err)
	} else {
		unlock()
	}
	entries, err := os.ReadDir(dir)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{".config.yaml-copy", ".other.yaml-123", "config.yaml", "config.yaml-123"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the directory has %v (%v), want %v", names, err, want)
	}
}

// TestTheSocketOfAKilledServerIsNoServer leaves a socket without a listener.
func TestTheSocketOfAKilledServerIsNoServer(t *testing.T) {
	dir, err := os.MkdirTemp("", "gh-") // short, because of the limit of a unix socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if s, err := openStore(dir); s != nil || err != nil {
		t.Errorf("a directory without a socket: %v, %v", s, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "etcd", "etcd.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if s, err := openStore(dir); s == nil || err != nil {
		t.Errorf("a server: %v, %v", s, err)
	} else {
		_ = s.client.Close()
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := openStore(dir); s != nil || err != nil {
		t.Errorf("a killed server: %v, %v", s, err)
	}
}
