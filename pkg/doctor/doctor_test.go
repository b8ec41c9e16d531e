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

package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

func fine(context.Context) []Finding { return []Finding{ok("fine")} }

func TestACheckThatHangsOrPanicsIsBrokenAndTheOthersRun(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	report := Run(t.Context(), []Check{
		{Name: "ends with its context", Cure: "cure", Run: func(ctx context.Context) []Finding {
			<-ctx.Done()
			return []Finding{broken("", "late")}
		}},
		{Name: "hangs", Run: func(context.Context) []Finding {
			<-release
			return nil
		}},
		{Name: "panics", Run: func(context.Context) []Finding { panic("a secret") }},
		{Name: "depends", After: "panics", Run: fine},
		{Name: "depends on that", After: "depends", Run: fine},
		{Name: "fine", Run: fine},
	}, 10*time.Millisecond)
	var b strings.Builder
	if err := report.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"broken   ends with its context  late", "cure: cure", "broken   hangs                  the check did not end within 10ms", "broken   panics                 the check failed with a panic (string)",
		"warning  depends                not checked, because panics is broken", "warning  depends on that        not checked, because depends is broken", "ok       fine                   fine", "1 ok, 2 warning, 3 broken",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("the report has no %q:\n%s", line, b.String())
		}
	}
	if strings.Contains(b.String(), "a secret") {
		t.Error("the report has the value of a panic")
	}
}

func TestTheExitCodeIsThatOfTheWorstFinding(t *testing.T) {
	for _, row := range []struct {
		name                   string
		findings               []Finding
		code, codeOfBrokenOnly int
	}{
		{"all is ok", []Finding{ok("")}, 0, 0},
		{"a warning", []Finding{warning("x", ""), ok("")}, 1, 0},
		{"something is broken", []Finding{ok(""), broken("x", ""), warning("x", "")}, 2, 2},
	} {
		report := Run(t.Context(), []Check{{Run: func(context.Context) []Finding { return row.findings }}}, time.Minute)
		if got, only := report.ExitCode(true), report.ExitCode(false); got != row.code || only != row.codeOfBrokenOnly {
			t.Errorf("%s: %d and %d, want %d and %d", row.name, got, only, row.code, row.codeOfBrokenOnly)
		}
	}
}

func TestTheOutputIsJSONOrLinesThatNoFileCanForge(t *testing.T) {
	report := Run(t.Context(), []Check{{Name: "a", Run: func(context.Context) []Finding {
		return []Finding{broken("do <this>\n", "found\nok       b  forged\x1b[2J")}
	}}}, time.Minute)
	var b strings.Builder
	if err := report.PrintJSON(&b); err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal([]byte(b.String()), &read); err != nil || read.Status != Broken || len(read.Findings) != 1 || read.Findings[0] != report.Findings[0] || !strings.Contains(b.String(), "<this>") {
		t.Errorf("%v: %s", err, b.String())
	}
	b.Reset()
	if err := report.Print(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "\n") != 3 || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q", b.String())
	}
}

func TestTheMembersOfAnEtcdAreJudged(t *testing.T) {
	leader, b, c := space.Member{ID: 1, Name: "a", Leader: true, Version: "3.7.3", Quota: 100}, space.Member{ID: 2, Name: "b", Version: "3.7.3"}, space.Member{ID: 3, Name: "c", Version: "3.7.3"}
	with := func(m space.Member, change func(*space.Member)) space.Member {
		change(&m)
		return m
	}
	dead := func(m *space.Member) { m.Err, m.Version = errors.New("connection refused"), "" }
	for _, row := range []struct {
		name     string
		members  []space.Member
		external bool
		status   Status
		found    string
		cure     string
	}{
		{"three healthy members", []space.Member{leader, b, c}, false, OK, "3 of 3 voters respond", ""},
		{"one is dead", []space.Member{leader, b, with(c, dead)}, false, Warning, "none more may fail", "gatehouse member replace"},
		{"one of an external etcd is dead", []space.Member{leader, b, with(c, dead)}, true, Warning, "none more may fail", "etcdctl member"},
		{"two are dead", []space.Member{with(leader, func(m *space.Member) { m.Leader = false }), with(b, dead), with(c, dead)}, false, Broken, "writes fail", "gatehouse restore"},
		{"there is no leader", []space.Member{with(leader, func(m *space.Member) { m.Leader = false }), b, c}, false, Broken, "etcd has no leader", "election"},
		{"sockets on other machines", []space.Member{leader, with(b, func(m *space.Member) { m.Elsewhere, m.Err = true, errors.New("elsewhere") })}, false, Warning, "tolerate", "use"},
		{"versions differ", []space.Member{leader, b, with(c, func(m *space.Member) { m.Version = "3.6.0" })}, false, Warning, "different versions", "docs/upgrade.md"},
		{"the embedded etcd is full", []space.Member{with(leader, func(m *space.Member) { m.NoSpace = true })}, false, Broken, "is full", "--etcd-quota-bytes"},
		{"objects take most of the quota", []space.Member{with(leader, func(m *space.Member) { m.InUse = 80 })}, false, Warning, "uses 80 B of 100 B", "gatehouse storage top"},
		{"the file of an embedded etcd is large", []space.Member{with(leader, func(m *space.Member) { m.Size = 90 })}, false, OK, "", ""},
		{"the file of an external etcd is large", []space.Member{with(leader, func(m *space.Member) { m.Size = 90 })}, true, Warning, "uses 90 B", "gatehouse storage compact"},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := etcdFindings(row.members, row.external)
			for _, f := range found {
				if f.Status == row.status && strings.Contains(f.Found, row.found) && strings.Contains(f.Cure, row.cure) {
					return
				}
			}
			t.Errorf("got %+v, and none is %s with %q and the cure %q", found, row.status, row.found, row.cure)
		})
	}
}

func TestTheRealDiskIsMeasuredWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	if free, all, err := (RealDisk{}).Space(dir); err != nil || free <= 0 || all < free {
		t.Errorf("%d of %d are free: %v", free, all, err)
	}
	times, err := RealDisk{}.Fsyncs(t.Context(), dir, 3)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this file system has no files without a name")
	}
	if err != nil || len(times) != 3 {
		t.Errorf("%v, %v", times, err)
	}
}
