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

package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestASecondLockFailsAtOnceAndNamesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "gatehouse.lock")
	holder := startChild(t, "hold-lock", nil, path)
	holder.waitFor("locked")

	_, err := AcquireLock(path)
	wantProblem(t, err, InUse, filepath.Dir(path))
	if want := "process " + strconv.Itoa(holder.cmd.Process.Pid); !strings.Contains(err.Error(), want) {
		t.Errorf("the message does not name %s: %v", want, err)
	}
}

func TestALockIsFreeWhenItsProcessHasDied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.lock")
	holder := startChild(t, "hold-lock", nil, path)
	holder.waitFor("locked")
	if err := holder.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.cmd.Wait()

	lock, err := AcquireLock(path)
	if err != nil {
		t.Fatalf("the lock outlived its process: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestALockCanBeTakenAgainAfterRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.lock")
	for range 2 {
		lock, err := AcquireLock(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil || string(content) != strconv.Itoa(os.Getpid())+"\n" {
			t.Errorf("the lock file has %q (%v)", content, err)
		}
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
		if err := lock.Release(); err != nil {
			t.Errorf("releasing again: %v", err)
		}
	}
}

func TestTheLockFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "gatehouse.lock")
	lock, err := AcquireLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	wantMode(t, path, 0o600)
	wantMode(t, filepath.Dir(path), 0o700)
}

func wantMode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != mode {
		t.Errorf("%s has mode %o, want %o", path, got, mode)
	}
}

func TestADirectoryWithOtherFilesIsNotClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	lock, err := AcquireLock(filepath.Join(dir, "lock"))
	if err == nil {
		_ = lock.Release()
		t.Fatal("the directory was locked")
	}
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "notes") || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("the error names neither the directory, nor what it holds, nor the cure: %v", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o755 {
		t.Errorf("the mode became %v", info.Mode().Perm())
	}
}
