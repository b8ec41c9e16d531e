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

package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/files/filestest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mkdir makes a directory with a mode, with the bits that a umask and Mkdir leave out.
func mkdir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	must(t, os.Mkdir(path, 0o700))
	must(t, os.Chmod(path, mode))
}

func TestAFileThatEveryUserReadsIsAWarning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o600))
	for mode, open := range map[fs.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o604: true} {
		must(t, os.Chmod(path, mode))
		if err := OpenToAll(path); (err != nil) != open {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	must(t, os.Chmod(path, 0o644))
	must(t, os.Symlink(path, path+"-link"))
	if err := OpenToAll(path + "-link"); err == nil {
		t.Error("the mode of a link counts, and not that of the file")
	}
	if err := OpenToAll(path + "-none"); err != nil {
		t.Errorf("a missing file: %v", err)
	}
}

func TestADirectoryIsTrustedWhereNoOtherUserCanReplaceIt(t *testing.T) {
	for _, tc := range []struct {
		name string
		// make creates the checked path below a directory of our own.
		make func(t *testing.T, at string) string
		// says has parts of the error; empty if there is none.
		says []string
	}{
		{"a directory of our own", func(t *testing.T, at string) string { mkdir(t, at+"/d", 0o700); return at + "/d" }, nil},
		{"one that others may read", func(t *testing.T, at string) string { mkdir(t, at+"/d", 0o755); return at + "/d" }, nil},
		{"one in a sticky directory that all may write", func(t *testing.T, at string) string {
			mkdir(t, at+"/tmp", 0o777|fs.ModeSticky)
			mkdir(t, at+"/tmp/d", 0o700)
			return at + "/tmp/d"
		}, nil},
		{"one below a link of our own", func(t *testing.T, at string) string {
			mkdir(t, at+"/real", 0o700)
			mkdir(t, at+"/real/d", 0o700)
			must(t, os.Symlink("real", at+"/link"))
			return at + "/link/d"
		}, nil},
		{"one below an absolute link of our own with a detour", func(t *testing.T, at string) string {
			mkdir(t, at+"/real", 0o700)
			mkdir(t, at+"/real/d", 0o700)
			must(t, os.Symlink(at+"/real/../real", at+"/link"))
			return at + "/link/d"
		}, nil},
		{"one of another user", func(t *testing.T, at string) string {
			mkdir(t, at+"/d", 0o755)
			filestest.GiveAway(t, at+"/d")
			return at + "/d"
		}, []string{"/d belongs to uid 54321", "name another path", "chown"}},
		{"ours in a directory of another user", func(t *testing.T, at string) string {
			mkdir(t, at+"/home", 0o755)
			mkdir(t, at+"/home/d", 0o700)
			filestest.GiveAway(t, at+"/home")
			return at + "/home/d"
		}, []string{"/home belongs to uid 54321", "name a path elsewhere"}},
		{"ours far below a directory of another user", func(t *testing.T, at string) string {
			mkdir(t, at+"/home", 0o755)
			mkdir(t, at+"/home/a", 0o755)
			mkdir(t, at+"/home/a/d", 0o700)
			filestest.GiveAway(t, at+"/home")
			return at + "/home/a/d"
		}, []string{"/home belongs to uid 54321"}},
		{"one of another user in a sticky directory", func(t *testing.T, at string) string {
			mkdir(t, at+"/tmp", 0o777|fs.ModeSticky)
			mkdir(t, at+"/tmp/d", 0o700)
			filestest.GiveAway(t, at+"/tmp/d")
			return at + "/tmp/d"
		}, []string{"/tmp/d belongs to uid 54321"}},
		{"one in a directory that all may write", func(t *testing.T, at string) string {
			mkdir(t, at+"/open", 0o777)
			mkdir(t, at+"/open/d", 0o700)
			return at + "/open/d"
		}, []string{"/open can be written by other users (mode 0777)", "chmod go-w", "name a path elsewhere"}},
		{"one in a directory that another group may write", func(t *testing.T, at string) string {
			mkdir(t, at+"/shared", 0o775)
			mkdir(t, at+"/shared/d", 0o700)
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file to another group")
			}
			must(t, os.Chown(at+"/shared", -1, filestest.Stranger))
			must(t, os.Chmod(at+"/shared", 0o775))
			return at + "/shared/d"
		}, []string{"/shared can be written by other users (mode 0775)"}},
		{"a link of our own", func(t *testing.T, at string) string {
			mkdir(t, at+"/real", 0o700)
			must(t, os.Symlink("real", at+"/d"))
			return at + "/d"
		}, []string{"/d is a symbolic link", "name what it leads to"}},
		{"one below a link of another user", func(t *testing.T, at string) string {
			mkdir(t, at+"/real", 0o700)
			mkdir(t, at+"/real/d", 0o700)
			must(t, os.Symlink("real", at+"/link"))
			filestest.GiveAway(t, at+"/link")
			return at + "/link/d"
		}, []string{"/link belongs to uid 54321"}},
		{"one below a link into an open directory", func(t *testing.T, at string) string {
			mkdir(t, at+"/open", 0o777)
			mkdir(t, at+"/open/real", 0o700)
			mkdir(t, at+"/open/real/d", 0o700)
			must(t, os.Symlink("open/real", at+"/link"))
			return at + "/link/d"
		}, []string{"/open can be written by other users"}},
		{"one below links in a circle", func(t *testing.T, at string) string {
			must(t, os.Symlink("b", at+"/a"))
			must(t, os.Symlink("a", at+"/b"))
			return at + "/a/d"
		}, []string{"too many levels"}},
		{"a file", func(t *testing.T, at string) string {
			must(t, os.WriteFile(at+"/d", nil, 0o600))
			return at + "/d"
		}, []string{"not a directory"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := tc.make(t, t.TempDir())
			for what, check := range map[string]func(string) error{"Directory": Directory, "MakeDirectory": MakeDirectory} {
				err := check(path)
				if len(tc.says) == 0 && err != nil {
					t.Errorf("%s: refused: %v", what, err)
				}
				for _, word := range tc.says {
					if err == nil || !strings.Contains(err.Error(), word) {
						t.Errorf("%s: got %v, which does not contain %q", what, err, word)
					}
				}
			}
		})
	}
}

func TestMakeDirectoryMakesTrustedDirectoriesForTheirOwner(t *testing.T) {
	at := t.TempDir()
	must(t, MakeDirectory(at+"/a/b"))
	for _, path := range []string{at + "/a", at + "/a/b"} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v (%v)", path, info, err)
		}
	}
	if err := Directory(at + "/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	mkdir(t, at+"/open", 0o777)
	if err := MakeDirectory(at + "/open/a/b"); err == nil {
		t.Error("a directory was made below one that all may write")
	}
	if _, err := os.Lstat(at + "/open/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the refusal left something behind: %v", err)
	}
}

func TestOpenRefusesLinksAndFilesOfOtherUsers(t *testing.T) {
	const secret = "another file of this machine"
	for _, tc := range []struct {
		name string
		make func(t *testing.T, path, elsewhere string)
		says string
	}{
		{"a file of our own", func(t *testing.T, path, _ string) { must(t, os.WriteFile(path, []byte("x"), 0o600)) }, ""},
		{"a file that is not there is made", func(*testing.T, string, string) {}, ""},
		{"a symbolic link", func(t *testing.T, path, elsewhere string) { must(t, os.Symlink(elsewhere, path)) }, "is a symbolic link"},
		{"a symbolic link to nothing", func(t *testing.T, path, elsewhere string) { must(t, os.Symlink(elsewhere+"-new", path)) }, "is a symbolic link"},
		{"a hard link", func(t *testing.T, path, elsewhere string) { must(t, os.Link(elsewhere, path)) }, "has 2 names"},
		{"a pipe", func(t *testing.T, path, _ string) { must(t, syscall.Mkfifo(path, 0o600)) }, "is no regular file"},
		{"a directory", func(t *testing.T, path, _ string) { mkdir(t, path, 0o700) }, "is a directory"},
		{"a file of another user", func(t *testing.T, path, _ string) {
			must(t, os.WriteFile(path, []byte("x"), 0o644))
			filestest.GiveAway(t, path)
		}, "belongs to uid 54321"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := t.TempDir()
			path, elsewhere := filepath.Join(at, "lock"), filepath.Join(at, "elsewhere")
			must(t, os.WriteFile(elsewhere, []byte(secret), 0o600))
			tc.make(t, path, elsewhere)
			file, err := Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
			switch {
			case tc.says == "" && err != nil:
				t.Fatalf("refused: %v", err)
			case tc.says == "":
				must(t, file.Close())
			case err == nil || !strings.Contains(err.Error(), tc.says):
				t.Errorf("got %v, which does not contain %q", err, tc.says)
			}
			if data, err := os.ReadFile(elsewhere); err != nil || string(data) != secret {
				t.Errorf("the other file holds %q (%v)", data, err)
			}
			if _, err := os.Lstat(elsewhere + "-new"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file was made behind the link: %v", err)
			}
			if data, err := ReadFile(path); tc.says != "" && err == nil {
				t.Errorf("read %q", data)
			}
		})
	}
}

func TestReplaceDoesNotFollowLinks(t *testing.T) {
	at := t.TempDir()
	path, elsewhere := at+"/kubeconfig", at+"/elsewhere"
	must(t, os.WriteFile(elsewhere, []byte("kept"), 0o644))
	must(t, os.Symlink(elsewhere, path))
	if err := WriteNew(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a link was accepted as a new file: %v", err)
	}
	must(t, Replace(path, []byte("new"), 0o600))
	if data, err := os.ReadFile(elsewhere); err != nil || string(data) != "kept" {
		t.Errorf("the file behind the link holds %q (%v)", data, err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("there is %v (%v)", info, err)
	}
	// The same content with a wider mode is replaced as well.
	must(t, os.Chmod(path, 0o644))
	must(t, Replace(path, []byte("new"), 0o600))
	if info, err = os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("there is %v (%v)", info, err)
	}
	before := info
	must(t, Replace(path, []byte("new"), 0o600))
	if info, err = os.Lstat(path); err != nil || !os.SameFile(before, info) {
		t.Errorf("a file that was right was replaced (%v)", err)
	}
}

func TestAFileThatAFlagNames(t *testing.T) {
	for _, tc := range []struct {
		name string
		mode fs.FileMode
		link bool
		give bool
		says string
	}{
		{name: "a file of our own", mode: 0o600},
		{name: "one that others may read", mode: 0o644},
		{name: "a link, as in the volume of a Secret", mode: 0o644, link: true},
		{name: "one that all may write", mode: 0o646, says: "can be written by other users (mode 0646)"},
		{name: "a link to one that all may write", mode: 0o666, link: true, says: "chmod go-w"},
		{name: "one of another user", mode: 0o644, give: true, says: "belongs to uid 54321"},
		{name: "a link of our own to one of another user", mode: 0o644, link: true, give: true, says: "belongs to uid 54321"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := t.TempDir()
			must(t, os.WriteFile(at+"/real", []byte("x"), 0o600))
			must(t, os.Chmod(at+"/real", tc.mode))
			if tc.give {
				filestest.GiveAway(t, at+"/real")
			}
			path := at + "/real"
			if tc.link {
				path = at + "/link"
				must(t, os.Symlink("real", path))
			}
			switch err := Given(path); {
			case tc.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("got %v, which does not contain %q", err, tc.says)
			}
		})
	}
}

func TestALockIsForOneOpenFile(t *testing.T) {
	dir := t.TempDir()
	open := func() *os.File {
		file, err := os.Open(dir)
		must(t, err)
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	first, second := open(), open()
	must(t, TryLock(first))
	if err := TryLock(second); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	must(t, first.Close())
	must(t, TryLock(second))
	if err := TryLock(first); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a closed file: %v", err)
	}
}
