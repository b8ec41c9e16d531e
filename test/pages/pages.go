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

// Package pages runs the commands of a page of docs/ and compares what they print with what the page shows.
//
// A page marks what is run by a comment above a block of indented lines: <!-- run: NAME -->. A test sets
// up the state that the block NAME needs, and calls Page.Run. IDs, times and numbers differ between runs:
// lines are compared without them, and without regard to their order. With GATEHOUSE_UPDATE_DOCS=1 the page
// gets the output of the run instead.
package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds a command. None takes seconds on an idle machine.
const patience = 2 * time.Minute

// settling bounds the time in which a report becomes that of the page.
const settling = 20 * time.Second

// Page is a page of docs/.
type Page struct {
	path  string
	lines []string
}

// Shell is the environment of the commands: a directory with the kubeconfigs that they name, the path of the
// programs, and the kubeconfig of those that name none.
type Shell struct{ Dir, Bin, Kubeconfig string }

// Read reads a page.
func Read(t *testing.T, path string) *Page {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Page{path: path, lines: strings.Split(string(content), "\n")}
}

// Blocks returns the names of the blocks that end with a suffix.
func (p *Page) Blocks(suffix string) (names []string) {
	for _, line := range p.lines {
		if found := marker.FindStringSubmatch(line); found != nil && strings.HasSuffix(found[1], suffix) {
			names = append(names, found[1])
		}
	}
	return names
}

var marker = regexp.MustCompile(`^<!-- run: (.*) -->$`)

const (
	indent = "    "
	prompt = indent + "$ "
)

// block returns the lines of a block, as the half-open range of their indices.
func (p *Page) block(t *testing.T, name string) (begin, end int) {
	t.Helper()
	begin = slices.Index(p.lines, "<!-- run: "+name+" -->") + 1
	if begin == 0 {
		t.Fatalf("%s has no block %q", p.path, name)
	}
	for begin < len(p.lines) && p.lines[begin] == "" {
		begin++
	}
	end = begin
	for end < len(p.lines) && (strings.HasPrefix(p.lines[end], indent) || p.lines[end] == "") {
		end++
	}
	for end > begin && p.lines[end-1] == "" {
		end--
	}
	return begin, end
}

// Run runs the commands of a block one after the other and compares their outputs with those of the page.
func (p *Page) Run(t *testing.T, name string, shell Shell) {
	t.Helper()
	begin, end := p.block(t, name)
	// A command may name an ID that one before it has printed.
	ids := map[string]string{}
	var renewed []string
	for at := begin; at < end; {
		command, found := strings.CutPrefix(p.lines[at], prompt)
		if !found {
			t.Fatalf("%s:%d: a block begins with a command: %s", p.path, at+1, p.lines[at])
		}
		next := at + 1
		var shown []string
		for ; next < end && !strings.HasPrefix(p.lines[next], prompt); next++ {
			shown = append(shown, strings.TrimPrefix(p.lines[next], indent))
		}
		for from, to := range ids {
			command = strings.ReplaceAll(command, from, to)
		}
		printed := shell.settled(t, command, shape(shown))
		if want, got := shape(shown), shape(printed); !slices.Equal(want, got) && !updates() {
			t.Errorf("%s:%d: %s prints what the page does not show; GATEHOUSE_UPDATE_DOCS=1 renews the page. Not on the page:\n%s\nOnly on the page:\n%s\nThe output:\n%s", p.path, at+1, command,
				strings.Join(without(got, want), "\n"), strings.Join(without(want, got), "\n"), strings.Join(printed, "\n"))
		}
		pair(ids, shown, printed)
		renewed = append(renewed, prompt+command)
		for _, line := range printed {
			renewed = append(renewed, strings.TrimRight(indent+line, " "))
		}
		at = next
	}
	if updates() {
		p.lines = slices.Replace(p.lines, begin, end, renewed...)
		if err := os.WriteFile(p.path, []byte(strings.Join(p.lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func updates() bool { return os.Getenv("GATEHOUSE_UPDATE_DOCS") != "" }

// settled returns the lines that a command prints. A report of the plugin is repeated until it has a shape:
// controllers and caches need a moment.
func (s Shell) settled(t *testing.T, command string, want []string) []string {
	t.Helper()
	deadline := time.Now().Add(settling)
	if updates() {
		deadline = time.Now().Add(settling / 10)
	}
	for {
		printed := s.run(t, command)
		if slices.Equal(shape(printed), want) || !strings.HasPrefix(command, "kubectl gatehouse ") || time.Now().After(deadline) {
			return printed
		}
		time.Sleep(settling / 100)
	}
}

// run returns the lines that a command prints. A command may fail: the page shows its error.
func (s Shell) run(t *testing.T, command string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "PATH="+s.Bin+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+s.Kubeconfig, "HOME="+s.Dir, "KUBECTL_KUBERC=false")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) || ctx.Err() != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
}

// Bin returns the directory of the programs, if the plugin is in it.
func Bin(t *testing.T, kubectl string) string {
	t.Helper()
	dir := filepath.Dir(kubectl)
	if _, err := os.Stat(filepath.Join(dir, "kubectl-gatehouse")); err != nil {
		t.Fatalf("the plugin is missing (%v): run `make build`", err)
	}
	return dir
}

// id matches a name of a request, whole or as in a message.
var id = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(why )[0-9a-f]{8}\b`)

// pair adds the IDs of the printed lines that stand for those of the shown lines, in order.
func pair(ids map[string]string, shown, printed []string) {
	old, made := id.FindAllString(strings.Join(shown, "\n"), -1), id.FindAllString(strings.Join(printed, "\n"), -1)
	for i := range min(len(old), len(made)) {
		ids[old[i]] = made[i]
	}
}

// The parts of a line that differ between runs.
var differing = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`\(combined from similar events\): `), ""},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\b[0-9a-f]{12,16}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9]+(\.[0-9]+)?([KMG]i)?B\b`), "SIZE"},
	{regexp.MustCompile(`\b(why|request) [0-9a-f]{8}\b`), "$1 ID"},
	{regexp.MustCompile(` [0-9a-f]{8}$`), " ID"},
	{regexp.MustCompile(`-[2456789bcdfghjklmnpqrstvwxz]{6,10}(-[2456789bcdfghjklmnpqrstvwxz*]{1,5})?`), "-SUFFIX"},
	{regexp.MustCompile(`\bserver [^ ]+:[0-9]+`), "server SERVER"},
	{regexp.MustCompile(`\bservers [^ ]+:[0-9]+(, [^ ]+:[0-9]+)*`), "server SERVER"},
	{regexp.MustCompile(`\b([0-9]+(\.[0-9]+)?(ns|µs|ms|s|m|h|d))+\b`), "TIME"},
	{regexp.MustCompile(`\b[0-9]+\b`), "N"},
	{regexp.MustCompile(`[ ]+`), " "},
}

// ranking matches the heading of a table whose lines are in the order of what was measured.
var ranking = regexp.MustCompile(`^[A-Z]+ REQUESTS REFUSED P`)

// shape returns the different lines of an output without what differs between runs, sorted. The lines of a
// ranking have no first cell.
func shape(lines []string) []string {
	var shapes []string
	ranked := false
	for _, line := range lines {
		for _, part := range differing {
			line = part.pattern.ReplaceAllString(line, part.as)
		}
		line = strings.TrimSpace(line)
		if fields := strings.Fields(line); ranked && len(fields) == 7 {
			line = fmt.Sprint("- ", strings.Join(fields[1:], " "))
		}
		ranked = ranked || ranking.MatchString(line)
		shapes = append(shapes, line)
	}
	slices.Sort(shapes)
	return slices.Compact(shapes)
}

// without returns the lines that are not in others.
func without(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}
