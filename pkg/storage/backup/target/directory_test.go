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

package target

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), fileMode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADirectoryKeepsFilesAndOverwritesNone(t *testing.T) {
	ctx, d := t.Context(), Directory(filepath.Join(t.TempDir(), "new"))
	if found, err := d.List(ctx); err != nil || len(found) > 0 {
		t.Errorf("a directory that does not exist has %v, %v", found, err)
	}
	if err := d.Put(ctx, "a", write(t, "first")); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(ctx, "a", write(t, "second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second file of the name got %v", err)
	}
	if found, err := d.List(ctx); err != nil || len(found) != 1 || found[0] != (File{"a", 5}) {
		t.Errorf("listed %v, %v", found, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := d.Fetch(ctx, "a", out); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(out); err != nil || string(data) != "first" {
		t.Errorf("fetched %q, %v", data, err)
	}
	for range 2 {
		if err := d.Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
	}
	if err := d.Delete(ctx, "../a"); err == nil || !strings.Contains(err.Error(), "no name of a file") {
		t.Errorf("a path got %v", err)
	}
}

func TestAFileFromAnotherFileSystemHasItsNameWhenItIsWhole(t *testing.T) {
	d := Directory(t.TempDir())
	final := filepath.Join(string(d), "a")
	ended, end := context.WithCancel(t.Context())
	end()
	if err := d.copyIn(ended, final, write(t, "first")); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted copy got %v", err)
	}
	if found, err := d.List(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("an interrupted copy has left %v, %v", found, err)
	}
	if err := d.copyIn(t.Context(), final, write(t, "first")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(final); err != nil || info.Mode() != fileMode {
		t.Errorf("the file is %v, %v", info, err)
	}
}

func TestASweepRemovesWhatAKilledCopyHasLeft(t *testing.T) {
	d := Directory(t.TempDir())
	for _, name := range []string{partialPrefix + "a", "b"} {
		if err := os.WriteFile(filepath.Join(string(d), name), nil, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sweep(); err != nil {
		t.Fatal(err)
	}
	if found, err := d.List(t.Context()); err != nil || len(found) != 1 || found[0].Name != "b" {
		t.Errorf("left are %v, %v", found, err)
	}
}
