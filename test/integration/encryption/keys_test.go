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
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	oneKey     = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	anotherKey = "QUJDREVGR0hJSkFCQ0RFRkdISUpBQkNERUZHSElKQUI="
)

// onlySecrets writes a configuration that encrypts secrets and no other kind.
func onlySecrets(t *testing.T, path, name, key string) string {
	t.Helper()
	write(t, path, fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - secretbox: {keys: [{name: %s, secret: %s}]}\n  - identity: {}\n", name, key))
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secretsOf returns the keys in a file.
func secretsOf(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for line := range strings.Lines(string(data)) {
		if _, secret, found := strings.Cut(line, "secret: "); found {
			secrets = append(secrets, strings.TrimSpace(secret))
		}
	}
	return secrets
}

// reached returns the configuration of the administrator once the server listens, which need not be ready.
func reached(t *testing.T, dir string) *rest.Config {
	t.Helper()
	var config *rest.Config
	kit.EventuallyState(t, "the server listens", func(ctx context.Context) (bool, string) {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig")); err != nil {
			return false, err.Error()
		}
		_, err = kubernetes.NewForConfigOrDie(config).Discovery().RESTClient().Get().AbsPath("/livez").DoRaw(ctx)
		return err == nil, fmt.Sprint(err)
	})
	return config
}

// TestAServerThatCannotReadSomeKindIsNotReady lacks the key of a kind that the server does not need for its start,
// so that the server goes on.
func TestAServerThatCannotReadSomeKindIsNotReady(t *testing.T) {
	t.Parallel()
	dir, keys := binary.DataDir(t), t.TempDir()
	older, newer := onlySecrets(t, filepath.Join(keys, "older.yaml"), "older", oneKey), onlySecrets(t, filepath.Join(keys, "newer.yaml"), "newer", anotherKey)
	server := binary.Start(t, dir, flag+older)
	createSecret(t, server.Config, "kept", "1")
	server.Stop(t)

	server = binary.Launch(t, dir, nil, flag+newer)
	const want = `it was written with the secretbox key "older", which --encryption-provider-config does not have: add that key`
	waitLine(t, server, strings.ReplaceAll(want, `"`, `\"`))
	server.Config = reached(t, dir)
	for _, path := range []string{"/readyz", "/readyz/watch-caches-core"} {
		if code, body := health(t, server.Config, path); code != http.StatusInternalServerError {
			t.Errorf("%s answers %d: %s", path, code, body)
		}
	}
	if output := mustRun(t, "status", newer, "--data-dir", dir); !strings.Contains(output, "Unreadable: 1 objects are stored with secretbox older, which the file does not have: add it") {
		t.Errorf("the status: %s", output)
	}
	if output, err := run(t, "rewrite", newer, "--data-dir", dir); err == nil || !strings.Contains(output, want) {
		t.Errorf("a rewrite ends with %v: %s", err, output)
	}
	if log := server.Stderr(); strings.Contains(log, "goroutine ") {
		t.Errorf("the server crashed:\n%s", log)
	}
	// The cure is loaded by the server that runs.
	content, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	write(t, newer, strings.Replace(string(content), anotherKey+"}", anotherKey+"}, {name: older, secret: "+oneKey+"}", 1))
	kit.EventuallyState(t, "the running server reads the secret", func(ctx context.Context) (bool, string) {
		_, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().Secrets("default").Get(ctx, "kept", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	wantSecret(t, server.Config, "kept", "1")
	mustRun(t, "rewrite", newer, "--data-dir", dir)
	server.Kill()
	server.Wait(t)
	server = binary.Start(t, dir, flag+onlySecrets(t, newer, "newer", anotherKey))
	wantSecret(t, server.Config, "kept", "1")
}

// TestARunningServerWhoseFileLosesAKeyIsNotReady replaces the file of a running server by one without its key.
func TestARunningServerWhoseFileLosesAKeyIsNotReady(t *testing.T) {
	t.Parallel()
	dir, file := binary.DataDir(t), filepath.Join(t.TempDir(), "config.yaml")
	server := binary.Start(t, dir, flag+onlySecrets(t, file, "older", oneKey))
	createSecret(t, server.Config, "kept", "1")
	for range 2 {
		onlySecrets(t, file, "newer", anotherKey)
		kit.EventuallyState(t, "the secret cannot be read", func(ctx context.Context) (bool, string) {
			_, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().Secrets("default").Get(ctx, "kept", metav1.GetOptions{})
			return err != nil, "it can be read"
		})
		if code, body := health(t, server.Config, "/readyz"); code != http.StatusInternalServerError || !strings.Contains(body, "[-]encryption failed") {
			t.Errorf("/readyz answers %d: %s", code, body)
		}
		if output, err := run(t, "rotate", file, "--data-dir", dir); err == nil || !strings.Contains(output, "1 objects are stored with secretbox older, which the file does not have: add it") {
			t.Errorf("a rotation ends with %v: %s", err, output)
		}
		if names := keyNames(t, file); len(names) != 1 {
			t.Errorf("the refused rotation has changed the keys to %v", names)
		}
		onlySecrets(t, file, "older", oneKey)
		kit.EventuallyState(t, "the server is ready again", func(context.Context) (bool, string) {
			code, body := health(t, server.Config, "/readyz")
			return code == http.StatusOK, body
		})
	}
	wantSecret(t, server.Config, "kept", "1")
	waitLines(t, server, `it was written with the secretbox key \"older\", which --encryption-provider-config does not have: add that key`, 2)
}

// TestNoKeyIsInAnOutputOrALog rotates with the most verbose log, and gives the server files that it refuses.
func TestNoKeyIsInAnOutputOrALog(t *testing.T) {
	t.Parallel()
	dir, keys := binary.DataDir(t), t.TempDir()
	file := filepath.Join(keys, "config.yaml")
	output := mustRun(t, "init", file)
	secrets := secretsOf(t, file)
	server := binary.Start(t, dir, flag+file, "-v=10")
	killedAt(t, "rewriting all objects", "rotate", file, "--data-dir", dir)
	secrets = append(secrets, secretsOf(t, file)...)
	output += mustRun(t, "status", file, "--data-dir", dir) + mustRun(t, "rotate", file, "--data-dir", dir)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secret := secretsOf(t, file)[0]
	failures := 0
	for _, bad := range []string{
		strings.Replace(string(good), secret, secret[:20], 1),            // too short
		strings.Replace(string(good), secret, "~"+secret, 1),             // not base64
		strings.Replace(string(good), "secret: ", "secert: ", 1),         // an unknown field
		strings.Replace(string(good), "secret: ", "secret:\n  - ", 1),    // another type
		strings.Replace(string(good), "secret: ", "secret: {a: b}\n", 1), // no YAML
	} {
		write(t, file, bad)
		failures++
		waitLines(t, server, "error processing encryption config file", failures)
		text, err := run(t, "status", file, "--data-dir", dir)
		output += fmt.Sprint(text, err)
	}
	write(t, file, string(good))
	server.Stop(t)
	for _, secret := range append(secrets, secret[:20]) {
		if strings.Contains(output, secret) {
			t.Errorf("a key is in the output: %s", output)
		}
		for line := range strings.Lines(server.Stderr()) {
			if strings.Contains(line, secret) {
				t.Errorf("a key is in the log: %s", line)
			}
		}
		if found := filesWith(t, dir, secret); len(found) > 0 {
			t.Errorf("a key is in %v", found)
		}
	}
}

// TestAFileThatEveryUserReadsIsWarnedOf changes the mode of the file and of its directory.
func TestAFileThatEveryUserReadsIsWarnedOf(t *testing.T) {
	t.Parallel()
	dir, keys := binary.DataDir(t), filepath.Join(t.TempDir(), "keys")
	file := filepath.Join(keys, "config.yaml")
	mustRun(t, "init", file)
	server := binary.Start(t, dir, flag+file)
	if output := mustRun(t, "status", file, "--data-dir", dir); strings.Contains(output, "Warning:") || server.Complaints() != "" {
		t.Errorf("a closed file is warned of: %s%s", output, server.Complaints())
	}
	server.Stop(t)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	server = binary.Start(t, dir, flag+file)
	const want = "has mode 0644, so that every user that can enter its directory can read it: run \"chmod 600 "
	waitLine(t, server, want)
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "Warning: "+file+" "+want) {
		t.Errorf("the status of an open file: %s", output)
	}
	if output, err := run(t, "rotate", file, "--data-dir", dir); err == nil || !strings.Contains(output, "chmod 600") {
		t.Errorf("a rotation of an open file ends with %v: %s", err, output)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Wait(t)
	// The socket of the killed server is still there.
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "connection refused") || !strings.Contains(output, "no embedded etcd runs in") {
		t.Errorf("the status without a server: %s", output)
	}
}
