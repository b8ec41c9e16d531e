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

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// monitoring is the directory of rules, dashboards and the configuration of Prometheus.
const monitoring = "../../artifacts/monitoring"

const installPrometheus = "apt-get install prometheus"

func TestPromtoolRunsTheCasesOfEveryAlert(t *testing.T) {
	promtool := tool(t, "promtool", installPrometheus)
	mustRun(t, nil, "", promtool, "check", "rules", filepath.Join(monitoring, "gatehouse.rules.yaml"))
	mustRun(t, nil, "", promtool, "test", "rules", filepath.Join(monitoring, "gatehouse.rules.test.yaml"))
}

// elsewhere are the metrics that a healthy server does not have, and the reason.
var elsewhere = map[string]string{
	"aggregator_unavailable_apiservice":       "it is of kube-apiserver",
	"apiserver_terminated_watchers_total":     "it appears with the first terminated watch: TestEveryWatcherSeesEveryEventOnceAndInOrder in test/integration/watches reads it",
	"gatehouse_memory_refused_requests_total": "it appears with the first refused request: test/security reads it",
	"ALERTS": "it is of Prometheus, with the first alert",
}

// metricNames finds what looks like a metric in an expression. Functions and labels do not have these prefixes.
var metricNames = regexp.MustCompile(`\b(gatehouse|apiserver|etcd|aggregator|process|go|up|ALERTS)([_:][a-zA-Z0-9_:]+)?\b`)

// ruleGroups are the rules in the response of Prometheus and in the file.
type ruleGroups struct {
	Groups []struct {
		Rules []struct {
			Name, Alert, Record, Expr, Query, Health, LastError string
		}
	}
}

func TestPrometheusReadsARealServerWithEveryMetricOfTheRulesAndTheDashboard(t *testing.T) {
	program := tool(t, "prometheus", installPrometheus)
	dir := t.TempDir()
	authentication, encryption := filepath.Join(dir, "authentication.yaml"), filepath.Join(dir, "encryption.yaml")
	write(t, authentication, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n")
	write(t, encryption, encryptionOf("one", "c2VjcmV0IGlzIHNlY3VyZSwgb3IgaXMgaXQ/ISEhISE="))
	s := start(t, "--authentication-config", authentication, "--encryption-provider-config", encryption, "--backup-interval", "1m")
	prometheus := startPrometheus(t, s, program, dir)

	// The metrics of reloads appear with the first reload, one that fails. Those of watches need an event.
	write(t, authentication, "not a configuration")
	write(t, encryption, "not a configuration")
	s.namespace(t)

	var rules ruleGroups
	content, err := os.ReadFile(filepath.Join(monitoring, "gatehouse.rules.yaml"))
	if err == nil {
		err = yaml.Unmarshal(content, &rules)
	}
	if err != nil {
		t.Fatal(err)
	}
	queries := dashboardQueries(t)
	expressions := slices.Clone(queries)
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			expressions = append(expressions, rule.Expr)
		}
	}
	wanted := metricsOf(expressions)
	if len(wanted) < 30 {
		t.Fatalf("the rules and the dashboard have only the metrics %v", wanted)
	}
	kit.EventuallyState(t, "every metric of the rules and the dashboard has a value", func(ctx context.Context) (bool, string) {
		var names []string
		prometheus.get(t, ctx, "/api/v1/label/__name__/values", nil, &names)
		missing := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(names, name) })
		return len(missing) == 0, fmt.Sprint("missing: ", missing)
	})
	for _, query := range queries {
		var result struct{ Result []any }
		prometheus.get(t, t.Context(), "/api/v1/query", url.Values{"query": {query}}, &result)
		if len(result.Result) == 0 && !strings.Contains(query, "apiserver_terminated_watchers_total") {
			t.Errorf("a panel shows nothing: %s", query)
		}
	}
	prometheus.evaluates(t, len(expressions)-len(queries))
}

// metricsOf returns the metrics that a server has and that expressions name.
func metricsOf(expressions []string) (names []string) {
	for _, expression := range expressions {
		for _, name := range metricNames.FindAllString(withoutLabels(expression), -1) {
			if elsewhere[name] == "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// evaluates waits until this number of rules has been evaluated without an error.
func (p *prometheusServer) evaluates(t *testing.T, rules int) {
	t.Helper()
	kit.EventuallyState(t, "every rule has been evaluated", func(ctx context.Context) (bool, string) {
		var loaded ruleGroups
		p.get(t, ctx, "/api/v1/rules", nil, &loaded)
		n := 0
		for _, group := range loaded.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return false, rule.Name + " is " + rule.Health + " " + rule.LastError
				}
				n++
			}
		}
		return n == rules, fmt.Sprintf("%d rules", n)
	})
}

// dashboardQueries returns the expressions of the panels, with the variables as Grafana sets them.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(monitoring, "gatehouse.dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, strings.NewReplacer("$job", "gatehouse", "$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr))
		}
	}
	return all
}

// withoutLabels removes selectors and the labels of aggregations, so that only metrics and functions remain.
func withoutLabels(expression string) string {
	expression = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(expression, "")
	return regexp.MustCompile(`\b(by|on) \([^)]*\)`).ReplaceAllString(expression, "")
}

func encryptionOf(name, key string) string {
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: %s, secret: %s}]}
  - identity: {}
`, name, key)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// prometheusServer is a running Prometheus.
type prometheusServer struct{ url string }

// startPrometheus starts Prometheus with the configuration of artifacts/monitoring, for the server and with the
// user that docs/operate.md makes.
func startPrometheus(t *testing.T, s *server, program, dir string) *prometheusServer {
	t.Helper()
	kubeconfig := filepath.Join(dir, "prometheus.kubeconfig")
	mustRun(t, s, "", binary.Path(t), "user", "add", "prometheus", "--data-dir", s.DataDir, "--out", kubeconfig)
	mustRun(t, s, "", kubectl(t), "create", "clusterrole", "metrics", "--verb=get", "--non-resource-url=/metrics")
	mustRun(t, s, "", kubectl(t), "create", "clusterrolebinding", "prometheus", "--clusterrole=metrics", "--user=prometheus")
	identity, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "gatehouse-ca.crt"), string(identity.CAData))
	write(t, filepath.Join(dir, "prometheus.crt"), string(identity.CertData))
	write(t, filepath.Join(dir, "prometheus.key"), string(identity.KeyData))
	for _, name := range []string{"prometheus.yaml", "gatehouse.rules.yaml"} {
		content, err := os.ReadFile(filepath.Join(monitoring, name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(content), "127.0.0.1:6443", strings.TrimPrefix(s.URL, "https://"), 1)
		if name == "prometheus.yaml" {
			text += "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
		}
		write(t, filepath.Join(dir, name), text)
	}
	address, err := kit.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of Prometheus:\n%s", log.String())
		}
	})
	p := &prometheusServer{"http://" + address}
	kit.EventuallyState(t, "Prometheus reads the server", func(ctx context.Context) (bool, string) {
		var targets struct {
			ActiveTargets []struct{ Health, LastError string }
		}
		if err := p.try(ctx, "/api/v1/targets", nil, &targets); err != nil {
			return false, err.Error()
		}
		return len(targets.ActiveTargets) == 1 && targets.ActiveTargets[0].Health == "up", fmt.Sprintf("%+v", targets)
	})
	return p
}

// try reads from the API of Prometheus.
func (p *prometheusServer) try(ctx context.Context, path string, query url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %w: %s", path, response.Status, err, body)
	}
	return json.Unmarshal(body, &struct{ Data any }{into})
}

func (p *prometheusServer) get(t *testing.T, ctx context.Context, path string, query url.Values, into any) {
	t.Helper()
	if err := p.try(ctx, path, query, into); err != nil {
		t.Fatal(err)
	}
}
