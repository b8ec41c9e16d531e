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
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// TestARotationThatIsKilledAtAnyStepIsContinued kills the command at each of its steps. A client writes and
// reads all the time.
func TestARotationThatIsKilledAtAnyStepIsContinued(t *testing.T) {
	t.Parallel()
	dir := binary.DataDir(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	mustRun(t, "init", file)
	server := binary.Start(t, dir, flag+file)
	seed(t, server.Config, 300)
	createSecret(t, server.Config, "before", "1")
	stop := traffic(t, server.Config)
	first := keyNames(t, file)[0]
	args := []string{"rotate", file, "--data-dir", dir, "--qps", "300"}
	for _, step := range []struct {
		at   string
		keys int
	}{{"adding a key", 0}, {"waiting: ", 2}, {"promoting it", 2}, {"loaded by 1 of 1", 2}, {"rewriting all objects", 2}, {"configmaps: ", 2}} {
		killedAt(t, step.at, args...)
		if keys := keyNames(t, file); step.keys > 0 && len(keys) != step.keys {
			t.Errorf("killed at %q, the file has the keys %v", step.at, keys)
		}
		if step.at == "rewriting all objects" && keyNames(t, file)[0] == first {
			t.Errorf("killed at %q, the file has the keys %v", step.at, keyNames(t, file))
		}
	}
	output := mustRun(t, append(args, "--resume")...)
	if !strings.Contains(output, "dropping "+first) {
		t.Errorf("the old key is not dropped: %s", output)
	}
	stop()
	if keys := keyNames(t, file); len(keys) != 1 || keys[0] == first {
		t.Errorf("after the rotation, the file has the keys %v; it began with %s", keys, first)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v (%v)", info.Mode(), err)
	}
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "To be rewritten: 0\n") || strings.Contains(output, first) {
		t.Errorf("the status after the rotation: %s", output)
	}
	if output := mustRun(t, append(args, "--resume")...); !strings.Contains(output, "no rotation has begun") || len(keyNames(t, file)) != 1 {
		t.Errorf("--resume began a rotation: %s", output)
	}
	server.Stop(t)
	server = binary.Start(t, dir, flag+file)
	wantSecret(t, server.Config, "before", "1")
}

// TestTwoServersReadWhatEachOtherWritesDuringARotation copies the file to the second server when the command
// waits for it, as an operator would.
func TestTwoServersReadWhatEachOtherWritesDuringARotation(t *testing.T) {
	t.Parallel()
	dir, other := binary.DataDir(t), binary.DataDir(t)
	keys := t.TempDir()
	file, copied := filepath.Join(keys, "config.yaml"), filepath.Join(keys, "copy.yaml")
	mustRun(t, "init", "--plaintext-first", file)
	copyFile(t, file, copied)
	server := binary.Start(t, dir, flag+file)
	// The second server uses the same etcd and the same authority.
	if err := os.CopyFS(filepath.Join(other, "pki"), os.DirFS(filepath.Join(dir, "pki"))); err != nil {
		t.Fatal(err)
	}
	closeTree(t, filepath.Join(other, "pki"))
	second := binary.Start(t, other, flag+copied, "--etcd-servers", "unix://"+filepath.Join(dir, "etcd", "etcd.sock"))
	createSecret(t, server.Config, "plain", "1")
	stop := traffic(t, server.Config, second.Config)
	replicas := []string{"--data-dir", dir, "--replica", server.URL, "--replica", second.URL}
	// Without a copy, the command ends with the name of the server, after the first change of the file.
	refused, err := run(t, append([]string{"rotate", file, "--timeout", "12s"}, replicas...)...)
	if want := "gatehouse: not every server has loaded " + file + ": " + second.URL + " has loaded another content"; err == nil || !strings.Contains(refused, want) {
		t.Errorf("the command ended with %v without %q: %s", err, want, refused)
	}
	ctx, cancel := context.WithCancel(t.Context())
	copying := make(chan struct{})
	go func() {
		defer close(copying)
		for ctx.Err() == nil {
			time.Sleep(2 * time.Second) // the file arrives late
			if data, err := os.ReadFile(file); err == nil {
				_ = os.WriteFile(copied+".new", data, 0o600)
				_ = os.Rename(copied+".new", copied)
			}
		}
	}()
	first := mustRun(t, append([]string{"rotate", file}, replicas...)...)
	if !strings.Contains(first, second.URL+" has loaded another content") || !strings.Contains(first, "loaded by 2 of 2 servers") {
		t.Errorf("the command did not wait for the second server: %s", first)
	}
	enabled := keyNames(t, file)
	rotated := mustRun(t, append([]string{"rotate", file}, replicas...)...)
	stop()
	cancel()
	<-copying
	if keys := keyNames(t, file); len(keys) != 1 || slices.Equal(keys, enabled) {
		t.Errorf("after the rotation, the file has the keys %v: %s", keys, rotated)
	}
	wantSecret(t, second.Config, "plain", "1")
	if output := mustRun(t, append([]string{"status", file}, replicas...)...); !strings.Contains(output, "To be rewritten: 0\n") || strings.Count(output, "has loaded the file") != 2 {
		t.Errorf("the status after the rotation: %s", output)
	}
	second.Stop(t)
}

// TestAServerWithoutTheRightKeyNamesItAndTheCure starts servers on newer data with an older file, and on a
// backup of the older data with a newer one.
func TestAServerWithoutTheRightKeyNamesItAndTheCure(t *testing.T) {
	t.Parallel()
	dir := binary.DataDir(t)
	keys := t.TempDir()
	file, older := filepath.Join(keys, "config.yaml"), filepath.Join(keys, "older.yaml")
	mustRun(t, "init", file)
	copyFile(t, file, older)
	server := binary.Start(t, dir, flag+file)
	createSecret(t, server.Config, "kept", "1")
	server.Stop(t)
	backup := filepath.Join(binary.DataDir(t), "data")
	if output, err := exec.CommandContext(t.Context(), "cp", "-a", dir, backup).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	server = binary.Start(t, dir, flag+file)
	mustRun(t, "rotate", file, "--data-dir", dir)
	oldest, newest := keyNames(t, older)[0], keyNames(t, file)[0]
	server.Stop(t)
	for name, test := range map[string]struct {
		dir  string
		args []string
		key  string
	}{
		"newer data and an older file": {dir, []string{flag + older}, newest},
		"newer data and no file":       {dir, nil, newest},
		"older data and a newer file":  {backup, []string{flag + file}, oldest},
	} {
		t.Run(name, func(t *testing.T) {
			failing := binary.Launch(t, test.dir, nil, test.args...)
			if code := failing.Wait(t); code != 1 {
				t.Errorf("the server ended with code %d", code)
			}
			want := `it was written with the secretbox key "` + test.key + `", which --encryption-provider-config does not have: add that key`
			log := failing.Stderr()
			if !strings.Contains(log, "gatehouse: ") || !strings.Contains(log[strings.LastIndex(log, "gatehouse: "):], want) {
				t.Errorf("the last error does not have %q:\n%s", want, log)
			}
			if strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
				t.Errorf("the server crashed:\n%s", log)
			}
		})
	}
	for dir, file := range map[string]string{dir: file, backup: older} {
		server = binary.Start(t, dir, flag+file)
		wantSecret(t, server.Config, "kept", "1")
		server.Stop(t)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// closeTree makes copied files as private as the originals.
func closeTree(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if err := os.Chmod(filepath.Join(dir, entry.Name()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
