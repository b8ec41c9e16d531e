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

package app

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// entry is an entry of an archive.
type entry struct {
	name string
	kind byte
	text string // or the target of a link
}

func archiveOf(t *testing.T, entries []entry) io.Reader {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: 0o644}
		if e.kind == tar.TypeReg {
			header.Size = int64(len(e.text))
		} else {
			header.Linkname = e.text
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if e.kind == tar.TypeReg {
			if _, err := io.WriteString(archive, e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// files returns the content of all files below a directory.
func filesBelow(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(directory, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(directory, file)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(file)
		found[relative] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAHostileArchiveWritesNothingOutsideOfTheDestination(t *testing.T) {
	for name, tc := range map[string]struct {
		entries []entry
		linked  bool // the destination has a symbolic link "out" to a directory beside it
		fails   bool
	}{
		"a path above the destination":          {entries: []entry{{"data/../../evil", tar.TypeReg, "x"}}, fails: true},
		"a path with dots that stays below":     {entries: []entry{{"data/a/../b", tar.TypeReg, "x"}}},
		"an absolute path":                      {entries: []entry{{"/tmp/evil", tar.TypeReg, "x"}}, fails: true},
		"another name than was asked for":       {entries: []entry{{"evil", tar.TypeReg, "x"}}, fails: true},
		"a name that begins alike":              {entries: []entry{{"database", tar.TypeReg, "x"}}, fails: true},
		"a symbolic link and a file through it": {entries: []entry{{"data/out", tar.TypeSymlink, ".."}, {"data/out/evil", tar.TypeReg, "x"}}},
		"a hard link to another file":           {entries: []entry{{"data/link", tar.TypeLink, "/etc/passwd"}}},
		"a device":                              {entries: []entry{{"data/null", tar.TypeChar, ""}}},
		"a symbolic link that is there already": {entries: []entry{{"data/out/evil", tar.TypeReg, "x"}}, linked: true, fails: true},
		"no entry":                              {fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			destination := filepath.Join(above, "here", "copy")
			if err := os.MkdirAll(destination, 0o755); err != nil {
				t.Fatal(err)
			}
			if tc.linked {
				if err := os.Symlink(above, filepath.Join(destination, "out")); err != nil {
					t.Fatal(err)
				}
			}
			err := unpack(archiveOf(t, tc.entries), "data", destination, io.Discard)
			if (err != nil) != tc.fails {
				t.Error(err)
			}
			if tc.linked {
				if err := os.Remove(filepath.Join(destination, "out")); err != nil {
					t.Fatal(err)
				}
			}
			for file := range filesBelow(t, above) {
				if !strings.HasPrefix(file, filepath.Join("here", "copy")+string(filepath.Separator)) {
					t.Errorf("%s was written", file)
				}
			}
		})
	}
}

// onThisMachine executes commands as a container would.
func onThisMachine(ctx context.Context, command []string, in io.Reader, out, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return &programError{program: command[0], code: exit.ExitCode()}
	}
	return err
}

func TestFilesAreCopiedBothWays(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("this machine has no tar")
	}
	for name, tc := range map[string]struct {
		source, destination string
		want                map[string]string // below the directory of the destination
	}{
		"a file to a new name":              {"tree/a.txt", "b.txt", map[string]string{"b.txt": "a"}},
		"a file to a directory":             {"tree/a.txt", "there", map[string]string{"there/a.txt": "a"}},
		"a directory to a new name":         {"tree", "copy", map[string]string{"copy/a.txt": "a", "copy/sub/b.txt": "bb"}},
		"a directory to a directory":        {"tree", "there", map[string]string{"there/tree/a.txt": "a", "there/tree/sub/b.txt": "bb"}},
		"a name that looks like a flag":     {"--checkpoint=1", "flag", map[string]string{"flag": "f"}},
		"a directory with a slash behind":   {"tree/", "copy", map[string]string{"copy/a.txt": "a", "copy/sub/b.txt": "bb"}},
		"a file to one that is overwritten": {"tree/a.txt", "old.txt", map[string]string{"old.txt": "a"}},
	} {
		for _, to := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				from, into := t.TempDir(), t.TempDir()
				for file, text := range map[string]string{
					filepath.Join(from, "tree", "a.txt"): "a", filepath.Join(from, "tree", "sub", "b.txt"): "bb", filepath.Join(from, "--checkpoint=1"): "f",
				} {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if tc.destination == "there" {
					if err := os.Mkdir(filepath.Join(into, "there"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				if tc.destination == "old.txt" {
					if err := os.WriteFile(filepath.Join(into, "old.txt"), []byte("an older text"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				source, destination := from+"/"+tc.source, into+"/"+tc.destination
				var notes bytes.Buffer
				var err error
				if to {
					c := &cpCommand{targetCommand: targetCommand{plugin: &plugin{Streams: Streams{Err: &notes}}}}
					err = c.copyTo(t.Context(), onThisMachine, source, destination)
				} else {
					err = copyFrom(t.Context(), onThisMachine, &notes, source, destination)
				}
				got := filesBelow(t, into)
				if err != nil || len(got) != len(tc.want) || notes.Len() > 0 {
					t.Fatalf("to=%v: %v %v %s", to, got, err, &notes)
				}
				for file, text := range tc.want {
					if got[file] != text {
						t.Errorf("to=%v: %s has %q, not %q", to, file, got[file], text)
					}
				}
			})
		}
	}
}

func TestACopyThatFailsSaysWhy(t *testing.T) {
	c := &cpCommand{targetCommand: targetCommand{plugin: &plugin{Streams: Streams{Err: io.Discard}}}}
	absent := func(_ context.Context, command []string, in io.Reader, _, _ io.Writer) error {
		return errors.New("the container has no program " + command[0] + ", which cp needs")
	}
	file := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"from a path that does not exist":     {copyFrom(t.Context(), onThisMachine, io.Discard, "/nowhere/a", t.TempDir()+"/a"), "tar in the container failed with the exit code"},
		"from a container without tar":        {copyFrom(t.Context(), absent, io.Discard, "/a", t.TempDir()+"/a"), "the container has no program tar"},
		"to a container without tar":          {c.copyTo(t.Context(), absent, file, "/a"), "the container has no program tar"},
		"to a directory that does not exist":  {c.copyTo(t.Context(), onThisMachine, file, "/nowhere/a"), "tar in the container failed with the exit code"},
		"to a file that is named a directory": {c.copyTo(t.Context(), onThisMachine, file, file+"/"), "is not a directory in the container"},
		"into a directory that does not exist": {
			copyFrom(t.Context(), onThisMachine, io.Discard, file, t.TempDir()+"/nowhere/a"), "no such file or directory",
		},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: %v", name, tc.err)
		}
	}
}
