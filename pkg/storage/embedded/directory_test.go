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
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

func TestADirectoryWithARunningEtcdIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	start(t, Config{DataDir: dir})
	_, err := Start(t.Context(), Config{DataDir: dir})
	wantProblem(t, err, InUse, dir)
}

func TestADirectoryBelowAFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("no directory"))
	dir := filepath.Join(file, "etcd")
	_, err := Start(t.Context(), Config{DataDir: dir})
	wantProblem(t, err, Unwritable, dir)
}

func TestAFileInPlaceOfTheDirectoryIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd")
	write(t, file, nil)
	_, err := Start(t.Context(), Config{DataDir: file})
	wantProblem(t, err, Unwritable, file)
}

func TestADirectoryOfAnotherUserIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	role := "start-as-nobody"
	if os.Getuid() != 0 {
		role = "start"
		if err := os.Mkdir(filepath.Dir(dir)+"/closed", 0o500); err != nil {
			t.Fatal(err)
		}
		dir = filepath.Dir(dir) + "/closed/etcd"
	}
	startChild(t, role, nil, dir).wantReason(Unwritable, dir)
}

func TestADirectoryThatIsOpenToOthersIsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etcd")
	stop(t, start(t, Config{DataDir: dir}))
	within := []string{dir, filepath.Join(dir, "member"), filepath.Join(dir, "member", "snap"), filepath.Join(dir, "member", "wal")}
	for _, path := range within {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	start(t, Config{DataDir: dir})
	for _, path := range within {
		wantMode(t, path, 0o700)
	}
	wantMode(t, layout{dir}.database(), 0o600)
}

func TestADirectoryOfANewerEtcdIsRefused(t *testing.T) {
	for _, place := range []struct {
		name        string
		bucket, key []byte
	}{
		{"storage version", schema.Meta.Name(), schema.MetaStorageVersionName},
		{"cluster version", schema.Cluster.Name(), schema.ClusterClusterVersionKeyName},
	} {
		t.Run(place.name, func(t *testing.T) {
			dir := soundDirectory(t)
			db, err := bbolt.Open(layout{dir}.database(), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket(place.bucket).Put(place.key, []byte("3.99.0"))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			_, err = Start(t.Context(), Config{DataDir: dir})
			wantProblem(t, err, Newer, dir)
			for _, want := range []string{"3.99", ourVersion()} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not name %s: %v", want, err)
				}
			}
		})
	}
}

func TestAFullDiskIsRefused(t *testing.T) {
	dir := t.TempDir()
	startChild(t, "start-on-small-disk", ownMounts, dir, "100m").wantReason(Full, dir)
}

func TestADiskThatFillsUpEndsEtcdWithAnError(t *testing.T) {
	dir := t.TempDir()
	startChild(t, "fill-small-disk", ownMounts, dir, "200m").wantReason(Full, dir)
}

func TestALimitOnFileSizesIsReportedAsFull(t *testing.T) {
	for name, limit := range map[string]string{"no room for the log": "1048576", "no room for a page": "1024"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			startChild(t, "start-with-small-files", nil, dir, limit).wantReason(Full, dir)
		})
	}
}

// ownMounts lets a child mount file systems, as root or, if the kernel allows it, as any user.
func ownMounts(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
}

// soundDirectory returns a directory with some data that no process uses.
func soundDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "etcd")
	server := start(t, Config{DataDir: dir})
	client := connect(t, server)
	for _, key := range []string{"a", "b", "c", "d"} {
		put(t, client, key, strings.Repeat(key, 20_000))
	}
	client.Close()
	stop(t, server)
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
