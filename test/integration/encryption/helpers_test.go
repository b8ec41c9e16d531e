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
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const flag = "--encryption-provider-config="

// run runs gatehouse encryption to its end and returns both outputs.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), binary.Path(t), append([]string{"encryption"}, args...)...).CombinedOutput()
	return string(output), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	output, err := run(t, args...)
	if err != nil {
		t.Fatalf("gatehouse encryption %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// killedAt starts gatehouse encryption and kills it when it has written the text. It returns the output.
func killedAt(t *testing.T, text string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary.Path(t), append([]string{"encryption"}, args...)...)
	output := &watched{text: text, seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-output.seen:
		if err := cmd.Process.Kill(); err != nil {
			t.Fatalf("the command ended before it could be killed: %v\n%s", err, output)
		}
		<-ended
	case err := <-ended:
		t.Fatalf("the command ended with %v without %q:\n%s", err, text, output)
	}
	return output.String()
}

// watched is an output that reports a text.
type watched struct {
	text string
	seen chan struct{}
	mu   sync.Mutex
	all  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := strings.Contains(w.all.String(), w.text)
	w.all.Write(p)
	if !before && strings.Contains(w.all.String(), w.text) {
		close(w.seen)
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

// killedAfter starts gatehouse encryption and kills it after a time, if it has not ended before.
func killedAfter(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	output, err := exec.CommandContext(ctx, binary.Path(t), append([]string{"encryption"}, args...)...).CombinedOutput()
	t.Logf("%v, %v:\n%s", after, err, output)
	if err != nil && ctx.Err() == nil {
		t.Errorf("gatehouse encryption %s: %v", strings.Join(args, " "), err)
	}
}

// filesWith returns the files below a directory that contain a text.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func createSecret(t *testing.T, config *rest.Config, name, value string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"value": []byte(value)}}
	if _, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func wantSecret(t *testing.T, config *rest.Config, name, value string) {
	t.Helper()
	secret, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || string(secret.Data["value"]) != value {
		t.Errorf("the secret %s has %q (%v), want %q", name, secret.Data["value"], err, value)
	}
}

// seed creates config maps.
func seed(t *testing.T, config *rest.Config, number int) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("default")
	for i := range number {
		if _, err := client.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("seed-%04d", i)}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// keyNames returns the names of the keys in a file, in order.
func keyNames(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		if _, name, found := strings.Cut(line, "name: "); found {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// health returns the code of a health check of the server and the list of its parts.
func health(t *testing.T, config *rest.Config, path string) (int, string) {
	t.Helper()
	var code int
	body, err := kubernetes.NewForConfigOrDie(config).Discovery().RESTClient().Get().AbsPath(path).Param("verbose", "").Do(t.Context()).StatusCode(&code).Raw()
	if code == 0 {
		t.Fatal(err)
	}
	return code, string(body)
}

// trafficked is the number of secrets that traffic writes in turn, and trafficPause the time between two writes: a
// rotation that rewrites everything that was written meanwhile must come to its end.
const (
	trafficked   = 50
	trafficPause = 5 * time.Millisecond
)

// traffic writes and reads secrets without an end, through several servers of the same data, and counts
// failures: what one has written, each of the others reads. stop reads everything again.
func traffic(t *testing.T, configs ...*rest.Config) (stop func()) {
	t.Helper()
	var clients []typedcorev1.SecretInterface
	for _, config := range configs {
		clients = append(clients, kubernetes.NewForConfigOrDie(config).CoreV1().Secrets("default"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	values := map[string]string{}
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			name, value := fmt.Sprintf("traffic-%02d", i%trafficked), fmt.Sprint(i)
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"value": value}}
			writer, err := clients[i%len(clients)], error(nil)
			if i < trafficked {
				_, err = writer.Create(ctx, secret, metav1.CreateOptions{})
			} else {
				_, err = writer.Update(ctx, secret, metav1.UpdateOptions{})
			}
			if ctx.Err() != nil {
				delete(values, name) // whether it was written is unknown
				return
			}
			if err != nil {
				t.Errorf("writing %s: %v", name, err)
				return
			}
			values[name] = value
			for j, client := range clients {
				secret, err := client.Get(ctx, name, metav1.GetOptions{})
				if ctx.Err() == nil && (err != nil || string(secret.Data["value"]) != value) {
					t.Errorf("reading %s from %s: %v", name, configs[j].Host, err)
					return
				}
			}
			time.Sleep(trafficPause)
		}
	}()
	return func() {
		cancel()
		<-done
		for name, value := range values {
			wantSecret(t, configs[0], name, value)
		}
	}
}

// waitLine waits until the server has written a text to its standard error.
func waitLine(t *testing.T, server *binary.Server, text string) {
	t.Helper()
	waitLines(t, server, text, 1)
}

// waitLines waits until the server has written a text that many times to its standard error.
func waitLines(t *testing.T, server *binary.Server, text string, number int) {
	t.Helper()
	kit.EventuallyState(t, fmt.Sprintf("the log has %q %d times", text, number), func(context.Context) (bool, string) {
		return strings.Count(server.Stderr(), text) >= number, server.Stderr()
	})
}
