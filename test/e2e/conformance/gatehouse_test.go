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

package conformance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// startTimeout is the time within which the server must be ready.
	startTimeout = time.Minute
	// stopTimeout is the time after which a server that does not stop is killed.
	stopTimeout = 30 * time.Second
)

// startGatehouse starts "gatehouse up" in a new directory, on a free port, until the test ends, and
// returns the path of its kubeconfig. The directory of a failed test is kept.
func startGatehouse(t *testing.T, binary string) string {
	dir, err := os.MkdirTemp("", "gatehouse-conformance-")
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(dir, "gatehouse.log")
	log, err := os.Create(logs)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	data := filepath.Join(dir, "data")
	server := exec.Command(binary, "up", "--data-dir", data, "--listen", "127.0.0.1:0")
	server.Stdout, server.Stderr = log, log
	// The kernel kills the server if the test process is killed.
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatalf("starting %s, which make builds: %v", binary, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(stopTimeout):
			_ = server.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Log("the server's log is in", logs)
			return
		}
		_ = os.RemoveAll(dir)
	})
	kubeconfig := filepath.Join(data, "kubeconfig")
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, startTimeout, true, func(ctx context.Context) (bool, error) {
		return ready(ctx, kubeconfig), nil
	}); err != nil {
		t.Fatalf("the server is not ready, see %s: %v", logs, err)
	}
	return kubeconfig
}

// ready reports whether the server of a kubeconfig says that it is ready.
func ready(ctx context.Context, kubeconfig string) bool {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return false
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return false
	}
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}
