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
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/kms/pkg/service"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// keeper is a KMS plugin. Its encryption is none: the server encrypts objects with a key of its own, which the
// plugin only wraps.
type keeper struct{ id string }

func (k keeper) Status(context.Context) (*service.StatusResponse, error) {
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: k.id}, nil
}

func (k keeper) Encrypt(_ context.Context, _ string, data []byte) (*service.EncryptResponse, error) {
	return &service.EncryptResponse{Ciphertext: turned(data), KeyID: k.id}, nil
}

func (k keeper) Decrypt(_ context.Context, _ string, request *service.DecryptRequest) ([]byte, error) {
	return turned(request.Ciphertext), nil
}

func turned(data []byte) []byte {
	data = bytes.Clone(data)
	for i := range data {
		data[i] ^= 0x5a
	}
	return data
}

// startPlugin serves a plugin on a socket until the returned function is called.
func startPlugin(t *testing.T, socket string) (stop func()) {
	t.Helper()
	plugin := service.NewGRPCService(socket, 3*time.Second, keeper{"key-1"})
	ended := make(chan error, 1)
	go func() { ended <- plugin.ListenAndServe() }()
	kit.Eventually(t, "the plugin serves", func(context.Context) bool {
		_, err := os.Stat(socket)
		return err == nil
	})
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			plugin.Close()
			<-ended
		}
	}
	t.Cleanup(stop)
	return stop
}

func kmsConfig(t *testing.T, socket string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kms.yaml")
	content := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ['*.*']\n  providers:\n  - kms: {apiVersion: v2, name: keeper, endpoint: 'unix://%s', timeout: 1s}\n  - identity: {}\n", socket)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAServerStaysReadyWhileItsKMSPluginIsDown stops the plugin, whose key the server has in memory for three
// more minutes of writes.
func TestAServerStaysReadyWhileItsKMSPluginIsDown(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(binary.DataDir(t), "kms.sock")
	stop := startPlugin(t, socket)
	dir, file := binary.DataDir(t), kmsConfig(t, socket)
	server := binary.Start(t, dir, flag+file)
	createSecret(t, server.Config, "before", "visible-text")
	if found := filesWith(t, filepath.Join(dir, "etcd"), "visible-text"); len(found) > 0 {
		t.Errorf("the secret is in plaintext in %v", found)
	}
	healthy := func() float64 {
		return metrics.Scrape(t, server.Config).Sum("gatehouse_encryption_kms_healthy", nil)
	}
	kit.Eventually(t, "the metric reports the plugin", func(context.Context) bool { return healthy() == 1 })

	stop()
	kit.Eventually(t, "the metric reports the loss of the plugin", func(context.Context) bool { return healthy() == 0 })
	waitLine(t, server, "KMS plugin does not respond")
	if code, body := health(t, server.Config, "/readyz"); code != http.StatusOK || !strings.Contains(body, "[+]encryption ok") || strings.Contains(body, "kms") {
		t.Errorf("/readyz answers %d:\n%s", code, body)
	}
	if code, body := health(t, server.Config, "/healthz/kms-providers"); code != http.StatusInternalServerError {
		t.Errorf("/healthz/kms-providers answers %d: %s", code, body)
	}
	wantSecret(t, server.Config, "before", "visible-text")
	createSecret(t, server.Config, "meanwhile", "2")
	wantSecret(t, server.Config, "meanwhile", "2")
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "a KMS plugin does not respond") || !strings.Contains(output, "kms keeper") {
		t.Errorf("the status: %s", output)
	}

	startPlugin(t, socket)
	kit.Eventually(t, "the metric reports the plugin again", func(context.Context) bool { return healthy() == 1 })
	if code, body := health(t, server.Config, "/healthz/kms-providers"); code != http.StatusOK {
		t.Errorf("/healthz/kms-providers answers %d: %s", code, body)
	}
}

func TestAStartWithoutTheKMSPluginEndsWithTheCure(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(binary.DataDir(t), "kms.sock")
	dir, file := binary.DataDir(t), kmsConfig(t, socket)
	failing := binary.Launch(t, dir, nil, flag+file) // nothing is stored yet
	if code := failing.Wait(t); code != 1 || !strings.Contains(failing.Stderr(), "cannot be encrypted") || !strings.Contains(failing.Stderr(), "see whether the KMS plugin") {
		t.Errorf("the server ended with %d:\n%s", code, failing.Stderr())
	}
	stop := startPlugin(t, socket)
	server := binary.Start(t, dir, flag+file)
	createSecret(t, server.Config, "kept", "1")
	client := harness.EtcdClient(t, dir)
	if value, err := client.Get(t.Context(), "/registry/secrets/default/kept"); err != nil || len(value.Kvs) != 1 || !bytes.HasPrefix(value.Kvs[0].Value, []byte("k8s:enc:kms:v2:keeper:")) {
		t.Errorf("the secret is not stored with the plugin's key: %v", err)
	}
	_ = client.Close()
	server.Stop(t)
	stop()
	failing = binary.Launch(t, dir, nil, flag+file)
	if code := failing.Wait(t); code != 1 || !strings.Contains(failing.Stderr(), `it was written with the KMS provider "keeper": see whether its plugin runs`) {
		t.Errorf("the server ended with %d:\n%s", code, failing.Stderr())
	}
	// A plugin that starts a moment after the server is waited for.
	server = binary.Launch(t, dir, nil, flag+file)
	waitLine(t, server, "cannot be decrypted")
	startPlugin(t, socket)
	server.WaitReady(t)
	wantSecret(t, server.Config, "kept", "1")
}
