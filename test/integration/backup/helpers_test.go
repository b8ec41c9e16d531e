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
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// run runs the program to its end and returns both outputs.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), binary.Path(t), args...).CombinedOutput()
	return string(output), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	output, err := run(t, args...)
	if err != nil {
		t.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

var backupName = regexp.MustCompile(`(?m)^gatehouse-\S+\.tar\.zst$`)

// backUp makes a backup of the server in a data directory and returns the path of the file.
func backUp(t *testing.T, dataDir string) string {
	t.Helper()
	output := mustRun(t, "backup", "now", "--data-dir", dataDir)
	name := backupName.FindString(output)
	if name == "" {
		t.Fatalf("gatehouse backup now printed no name:\n%s", output)
	}
	return filepath.Join(dataDir, "backups", name)
}

// newRecoveryKey makes the recovery key of a data directory and returns the path of its file.
func newRecoveryKey(t *testing.T, dataDir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recovery.key")
	mustRun(t, "backup", "init", "--data-dir", dataDir, "--out", path)
	return path
}

func createMap(t *testing.T, client kubernetes.Interface, name string) *corev1.ConfigMap {
	t.Helper()
	created, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// fill creates objects of 4 kB.
func fill(t *testing.T, client kubernetes.Interface, number int) {
	t.Helper()
	errs := make(chan error, number)
	for i := range number {
		go func() {
			_, err := client.CoreV1().ConfigMaps("default").Create(context.WithoutCancel(t.Context()), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("filler-%d", i)}, Data: map[string]string{"a": strings.Repeat("0123456789abcdef", 256)},
			}, metav1.CreateOptions{})
			errs <- err
		}()
	}
	for range number {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// hidden returns the names of a directory that begin with a prefix.
func hidden(t *testing.T, dir, prefix string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			found = append(found, entry.Name())
		}
	}
	return found
}
