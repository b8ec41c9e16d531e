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
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// startBucket starts the server of S3 that `make test-s3` builds, with a bucket, and returns the flags that name it. Without
// the program the test is skipped.
func startBucket(t *testing.T) []string {
	t.Helper()
	program := os.Getenv("GATEHOUSE_S3_SERVER")
	if program == "" {
		t.Skip("there is no server of S3: run make test-s3")
	}
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "s3.credentials")
	if err := os.Mkdir(filepath.Join(root, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeKey(t, file, "secret-of-the-test")
	address, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--access", "me", "--secret", "secret-of-the-test", "--port", address, "posix", root)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	kit.Eventually(t, "the server of S3 listens", func(ctx context.Context) bool {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return []string{"--backup-s3-url", "http://" + address + "/backups/of one", "--backup-s3-credentials-file", file}
}

func writeKey(t *testing.T, file, secret string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = me\naws_secret_access_key = "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestABackupInABucketIsRestoredOnAnotherMachine(t *testing.T) {
	bucket := startBucket(t)
	dataDir := binary.DataDir(t)
	server := binary.Start(t, dataDir, bucket...)
	createMap(t, kubernetes.NewForConfigOrDie(server.Config), "kept")
	key := newRecoveryKey(t, dataDir)
	name := filepath.Base(backUp(t, dataDir)) // the server has written the bucket to its settings
	server.Stop(t)

	none := filepath.Join(binary.DataDir(t), "none")
	in := append([]string{"--data-dir", none}, bucket...)
	if output := mustRun(t, append([]string{"backup", "list"}, in...)...); !strings.Contains(output, name) {
		t.Errorf("the bucket has\n%s", output)
	}
	file := filepath.Join(t.TempDir(), "fetched.tar.zst")
	mustRun(t, append([]string{"backup", "fetch", name, "--out", file}, in...)...)
	if output, err := run(t, append([]string{"backup", "fetch", name, "--out", file}, in...)...); err == nil || !strings.Contains(output, "is not overwritten") {
		t.Errorf("a second copy got %v:\n%s", err, output)
	}
	if output, err := run(t, append([]string{"backup", "fetch", "gatehouse-1-20261201T000000Z-1.tar.zst", "--out", file + "2"}, in...)...); err == nil || !strings.Contains(output, "is not in") {
		t.Errorf("a backup that does not exist got %v:\n%s", err, output)
	}
	restored := filepath.Join(binary.DataDir(t), "restored")
	mustRun(t, "restore", file, "--data-dir", restored, "--recovery-key-file", key)

	writeKey(t, bucket[3], "another")
	if output, err := run(t, append([]string{"backup", "list"}, in...)...); err == nil || !strings.Contains(output, "SignatureDoesNotMatch") {
		t.Errorf("with another secret the list got %v:\n%s", err, output)
	}
}
