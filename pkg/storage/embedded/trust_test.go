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
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/files/filestest"
)

func TestTheLockIsNotTakenWhereAnotherUserCouldHavePutIt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		make    func(t *testing.T, dir, lock, victim string) error
		refusal string
	}{
		{"the lock is a symbolic link", func(_ *testing.T, _, lock, victim string) error { return os.Symlink(victim, lock) }, "is a symbolic link"},
		{"the lock is a hard link", func(_ *testing.T, _, lock, victim string) error { return os.Link(victim, lock) }, "has 2 names"},
		{"the lock belongs to another user", func(t *testing.T, _, lock, _ string) error {
			defer filestest.GiveAway(t, lock)
			return os.WriteFile(lock, nil, 0o644)
		}, "belongs to uid 54321"},
		{"the data directory belongs to another user", func(t *testing.T, dir, _, _ string) error {
			filestest.GiveAway(t, dir)
			return nil
		}, "belongs to uid 54321"},
		{"the data directory is in a directory that all may write", func(_ *testing.T, dir, _, _ string) error {
			return os.Chmod(filepath.Dir(dir), 0o777)
		}, "can be written by other users"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := t.TempDir()
			victim, dir := filepath.Join(at, "victim"), filepath.Join(at, "above", "data")
			unchanged := filestest.Bystander(t, victim)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tc.make(t, dir, filepath.Join(dir, "lock"), victim); err != nil {
				t.Fatal(err)
			}
			lock, err := AcquireLock(filepath.Join(dir, "lock"))
			if err == nil {
				_ = lock.Release()
			}
			filestest.WantRefusal(t, err, tc.refusal)
			unchanged()
		})
	}
}

func TestTheDatabaseOfAnotherUserIsNotServed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		make    func(t *testing.T, root, elsewhere string) error
		refusal string
	}{
		{"the directory is a symbolic link", func(_ *testing.T, root, elsewhere string) error { return os.Symlink(elsewhere, root) }, "is a symbolic link"},
		{"a directory in it is a symbolic link", func(_ *testing.T, root, elsewhere string) error {
			if err := os.Mkdir(root, 0o700); err != nil {
				return err
			}
			return os.Symlink(elsewhere, filepath.Join(root, "member"))
		}, "is a symbolic link"},
		{"the database belongs to another user", func(t *testing.T, root, _ string) error {
			snap := filepath.Join(root, "member", "snap")
			if err := os.MkdirAll(snap, 0o700); err != nil {
				return err
			}
			defer filestest.GiveAway(t, filepath.Join(snap, "db"))
			return os.WriteFile(filepath.Join(snap, "db"), nil, 0o644)
		}, "belongs to uid 54321"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := t.TempDir()
			root, elsewhere := filepath.Join(at, "etcd"), filepath.Join(at, "elsewhere")
			if err := os.Mkdir(elsewhere, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := tc.make(t, root, elsewhere); err != nil {
				t.Fatal(err)
			}
			filestest.WantRefusal(t, prepareDirectory(root), tc.refusal)
		})
	}
}
