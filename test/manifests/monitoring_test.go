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

package manifests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	top        = "../.."
	monitoring = "artifacts/monitoring"
)

// ruleFile is a file of rules of Prometheus.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Record, Expr, For string
			Labels, Annotations      map[string]string
		}
	}
}

// ruleTests is a file of "promtool test rules".
type ruleTests struct {
	RuleFiles          []string `json:"rule_files"`
	EvaluationInterval string   `json:"evaluation_interval"`
	Tests              []struct {
		Name, Interval string
		InputSeries    []struct{ Series, Values string } `json:"input_series"`
		AlertRuleTest  []struct {
			Alertname string
			EvalTime  string `json:"eval_time"`
			ExpAlerts []struct {
				ExpLabels      map[string]string `json:"exp_labels"`
				ExpAnnotations map[string]string `json:"exp_annotations"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, monitoring, name))
	if err == nil {
		err = yaml.UnmarshalStrict(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sections returns the anchors of a page's headings, and the page.
func sections(t *testing.T, page string) ([]string, string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, page))
	if err != nil {
		t.Fatal(err)
	}
	var anchors []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(content), -1) {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-"))
	}
	return anchors, string(content)
}

// TestEveryAlertHasASectionAndCasesInWhichItFiresAndDoesNot needs no Prometheus: test/clients runs the cases.
func TestEveryAlertHasASectionAndCasesInWhichItFiresAndDoesNot(t *testing.T) {
	var rules ruleFile
	readYAML(t, "gatehouse.rules.yaml", &rules)
	var tests ruleTests
	readYAML(t, "gatehouse.rules.test.yaml", &tests)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, of := range test.AlertRuleTest {
			if len(of.ExpAlerts) > 0 {
				fires[of.Alertname] = true
			} else {
				quiet[of.Alertname] = true
			}
		}
	}
	anchors, _ := sections(t, "docs/operate.md")
	var alerts []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			alerts = append(alerts, strings.ToLower(rule.Alert))
			page, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "#")
			if !strings.HasSuffix(page, "/docs/operate.md") || !slices.Contains(anchors, anchor) {
				t.Errorf("%s: %s is no section", rule.Alert, rule.Annotations["runbook_url"])
			}
			if !fires[rule.Alert] || !quiet[rule.Alert] {
				t.Errorf("%s: a case in which it fires: %v, in which it does not: %v", rule.Alert, fires[rule.Alert], quiet[rule.Alert])
			}
			if !slices.Contains([]string{"critical", "warning"}, rule.Labels["severity"]) || rule.For == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: severity, for, summary or description is missing: %+v", rule.Alert, rule)
			}
		}
	}
	if len(alerts) < 15 {
		t.Errorf("only %d alerts", len(alerts))
	}
	for _, anchor := range anchors {
		if strings.HasPrefix(anchor, "gatehouse") && !slices.Contains(alerts, anchor) {
			t.Errorf("docs/operate.md has a section for %s, which is no alert", anchor)
		}
	}
}

func TestTheDashboardAsksForSomethingInEveryPanel(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(top, monitoring, "gatehouse.dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels have the ID %d", panel.ID)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && (len(panel.Targets) == 0 || panel.Targets[0].Expr == "") {
			t.Errorf("%s asks for nothing", panel.Title)
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s covers %s", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
	if len(ids) < 10 {
		t.Errorf("only %d panels", len(ids))
	}
}
