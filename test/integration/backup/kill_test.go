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

package backup

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// kills is the number of processes that each test kills.
const kills = 12

// killedAfter starts the program and kills it after a time, unless it has ended before.
func killedAfter(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary.Path(t), args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// timed runs the program and returns its duration, as the bound of the times of kills.
func timed(t *testing.T, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	mustRun(t, args...)
	return time.Since(began)
}

func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := kit.Seed(t)
	return rand.New(rand.NewPCG(seed, seed))
}

func TestABackupThatIsKilledLeavesNothingWithTheNameOfABackup(t *testing.T) {
	dataDir := binary.DataDir(t)
	server := binary.Start(t, dataDir)
	fill(t, kubernetes.NewForConfigOrDie(server.Config), 500)
	newRecoveryKey(t, dataDir)
	now := []string{"backup", "now", "--data-dir", dataDir}
	whole, random := timed(t, now...), newRandom(t)
	dir := filepath.Join(dataDir, "backups")
	for range kills {
		killedAfter(t, time.Duration(random.Int64N(int64(whole))), now...)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if _, is := backup.ParseName(entry.Name()); is {
				mustRun(t, "backup", "verify", filepath.Join(dir, entry.Name()))
			}
		}
	}
	// The name has the second in which the backup was begun.
	time.Sleep(time.Second)
	backUp(t, dataDir)
	if left := hidden(t, dir, ".backup-"); len(left) > 0 {
		t.Errorf("the last backup has left %q of those that were killed", left)
	}
}

func TestARestoreThatIsKilledLeavesNoDirectoryOfThatName(t *testing.T) {
	dataDir := binary.DataDir(t)
	server := binary.Start(t, dataDir)
	fill(t, kubernetes.NewForConfigOrDie(server.Config), 500)
	key := newRecoveryKey(t, dataDir)
	file := backUp(t, dataDir)
	server.Stop(t)
	parent := binary.DataDir(t)
	restore := func(name string) []string {
		return []string{"restore", file, "--data-dir", filepath.Join(parent, name), "--recovery-key-file", key}
	}
	whole, random := timed(t, restore("whole")...), newRandom(t)
	wanted := len(tree(t, filepath.Join(parent, "whole")))
	finished := 0
	for range kills {
		killedAfter(t, time.Duration(random.Int64N(int64(whole))), restore("killed")...)
		found := tree(t, filepath.Join(parent, "killed"))
		if len(found) != 0 && len(found) != wanted {
			t.Fatalf("after a kill there is %q", found)
		}
		if len(found) > 0 {
			finished++
			if err := os.RemoveAll(filepath.Join(parent, "killed")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if finished == kills {
		t.Error("no restore was killed before it was done")
	}
	mustRun(t, restore("killed")...)
	if left := hidden(t, parent, ".killed"); len(left) > 0 {
		t.Errorf("the last restore has left %q of those that were killed", left)
	}
	binary.Start(t, filepath.Join(parent, "killed"))
}

// tree returns the files of a directory; none if it does not exist.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}
