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

package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// entries returns the entries of a log in the JSON format.
func entries(t *testing.T, log string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		entry := map[string]any{}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("not a JSON object: %q: %v", line, err)
			continue
		}
		if _, ok := entry["ts"].(float64); !ok || entry["msg"] == nil {
			t.Errorf("an entry without time or message: %s", line)
		}
		all = append(all, entry)
	}
	return all
}

// use makes requests with secrets in their bodies, headers and responses, and returns the secrets.
func use(t *testing.T, config *rest.Config) []string {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config).CoreV1()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hidden"}, StringData: map[string]string{"password": hidden}}
	for _, name := range []string{"hidden", "hidden", "not a name"} { // created, in conflict, invalid
		secret.Name = name
		_, _ = client.Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}) // refusals are logged, too
	}
	if _, err := client.Secrets("default").Get(t.Context(), "hidden", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := client.ServiceAccounts("default").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{hidden, "YS12YWx1ZS10aGF0LW5vLXNwYW4taGFz", token.Status.Token, "wrong-token-" + hidden}
	for _, bearer := range secrets[2:] {
		anonymous := rest.AnonymousClientConfig(config)
		anonymous.BearerToken = bearer
		_, _ = kubernetes.NewForConfigOrDie(anonymous).CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}) // refused
	}
	return secrets
}

func TestEveryLineOfALogInJSONIsAnObjectAndHasNoSecret(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t), "--logging-format=json", "-v=4", "--simulate-hosts=1", "--controllers=*")
	secrets := use(t, server.Config)
	server.Stop(t)
	all := entries(t, server.Stderr())
	etcd := 0
	for _, entry := range all {
		if entry["logger"] == "etcd" {
			etcd++
		}
	}
	if len(all) < 100 || etcd == 0 {
		t.Errorf("%d entries, %d of etcd", len(all), etcd)
	}
	for _, secret := range secrets {
		if strings.Contains(server.Stderr(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if !strings.HasPrefix(server.Stdout(), "Gatehouse ") || !strings.HasSuffix(server.Stdout(), "Stopped.\n") {
		t.Errorf("the standard output is not the progress: %s", server.Stdout())
	}
}

func TestAStartThatFailsSaysWhyInJSON(t *testing.T) {
	first := binary.Start(t, binary.DataDir(t))
	second := binary.Launch(t, first.DataDir, nil, "--logging-format=json")
	if code := second.Wait(t); code != 1 {
		t.Errorf("code %d", code)
	}
	all := entries(t, second.Stderr())
	if len(all) == 0 {
		t.Fatal("the log is empty")
	}
	if err, _ := all[len(all)-1]["err"].(string); !strings.Contains(err, first.DataDir) {
		t.Errorf("the last entry is %v", all[len(all)-1])
	}
}

func TestTheDefaultFormatIsText(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t), "-v=1")
	server.Stop(t)
	if log := server.Stderr(); !strings.HasPrefix(log, "I") || strings.Contains(log, `"ts":`) {
		t.Errorf("the log is not text:\n%s", log)
	}
}

// TestACollectorThatDoesNotRespondChangesNothing exports spans to a port at which no server listens.
func TestACollectorThatDoesNotRespondChangesNothing(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") // milliseconds
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
	server := binary.Start(t, binary.DataDir(t), "--logging-format=json", "--tracing-config-file="+unreachable(t))
	if response, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context()); err != nil || string(response) != "ok" {
		t.Errorf("%s %v", response, err)
	}
	kit.Eventually(t, "the log has the error", func(context.Context) bool {
		return strings.Contains(server.Stderr(), `"Exporting spans failed"`)
	})
	server.Stop(t)
	entries(t, server.Stderr())
}

// unreachable returns a configuration of tracing whose endpoint is closed.
func unreachable(t *testing.T) string {
	t.Helper()
	address, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tracing.yaml")
	content := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: %s\nsamplingRatePerMillion: 1000000\n", address)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
