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

package kubectl

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
)

// command prepares a call of kubectl. line is split at white space; args are appended unchanged.
// In both, $ID, $NS and $API stand for the scene's identifier, the namespace and the
// path of the API.
func (s *scene) command(ctx context.Context, line string, args ...string) *exec.Cmd {
	all := append([]string{"--namespace=$NS"}, strings.Fields(line)...)
	all = append(all, args...)
	for i := range all {
		all[i] = s.expand.Replace(all[i])
	}
	command := exec.CommandContext(ctx, s.env.Kubectl, all...)
	// The environment contains only the path of programs, because kubectl runs diff and an
	// editor.
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.home,
		"TMPDIR=" + s.dir,
		"KUBECONFIG=" + s.env.Kubeconfig,
		"KUBECTL_KUBERC=false",
		"KUBE_EDITOR=" + filepath.Join(s.dir, "editor"),
	}
	command.Dir = s.dir
	return command
}

// kubectl runs kubectl and waits for it to end.
func (s *scene) kubectl(line string, args ...string) result {
	return s.pipe("", line, args...)
}

// pipe runs kubectl with a standard input and waits for it to end.
func (s *scene) pipe(stdin, line string, args ...string) result {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	command := s.command(ctx, line, args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(s.expand.Replace(stdin)), &stdout, &stderr
	err := command.Run()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		s.Fatalf("kubectl %s: %v, %v\n%s%s", line, err, context.Cause(ctx), stdout.String(), stderr.String())
	}
	return result{scene: s, line: strings.Join(command.Args[1:], " "), stdout: withoutWay(stdout.String()), stderr: withoutWay(withoutNoise(stderr.String())), code: command.ProcessState.ExitCode()}
}

// wayAlone and wayAfter match the way to the trace of a request at the end of a refusal, alone and after the text of
// an admission plugin. It has the ID of the request.
var (
	wayAlone = regexp.MustCompile(` \((?:(?:validation|storage(?:, last written by [^;()]*)?|limits|authentication|impersonation|reading the request|authorizer [^;()]*|flow schema [^;()]*); )?why: kubectl gatehouse why [-.0-9a-z]+\)`)
	wayAfter = regexp.MustCompile(`; why: kubectl gatehouse why [-.0-9a-z]+\)`)
)

// withoutWay removes the way to the trace: test/integration/traces tests it.
func withoutWay(text string) string {
	return wayAfter.ReplaceAllString(wayAlone.ReplaceAllString(text, ""), ")")
}

// withoutNoise drops kubectl's messages about waiting on a busy machine.
func withoutNoise(stderr string) string {
	var kept strings.Builder
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, "due to client-side throttling") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// result is the result of a call of kubectl.
type result struct {
	*scene
	line           string
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("$ kubectl %s\n%s%sexit code %d", r.line, r.stdout, r.stderr, r.code)
}

// expect compares exit code, standard output and standard error.
func (r result) expect(code int, stdout, stderr string) {
	r.Helper()
	stdout, stderr = r.scene.expand.Replace(stdout), r.scene.expand.Replace(stderr)
	if r.code != code || r.stdout != stdout || r.stderr != stderr {
		r.Fatalf("%s\n--- wanted:\n%s%sexit code %d", r, stdout, stderr, code)
	}
}

// prints expects success, exactly these lines, and no error output.
func (r result) prints(lines ...string) {
	r.Helper()
	r.expect(0, text(lines), "")
}

// printsInAnyOrder expects success, exactly these lines in any order, and no error output.
func (r result) printsInAnyOrder(lines ...string) {
	r.Helper()
	want := strings.Split(r.scene.expand.Replace(strings.Join(lines, "\n")), "\n")
	got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	slices.Sort(want)
	slices.Sort(got)
	if r.succeeds(); !slices.Equal(got, want) {
		r.Fatalf("%s\n--- wanted, in any order:\n%s", r, text(want))
	}
}

// warns expects success with this one warning, and exactly these lines of output.
func (r result) warns(warning string, lines ...string) {
	r.Helper()
	r.expect(0, text(lines), warning+"\n")
}

// fails expects exit code 1, no output, and exactly these lines of error output.
func (r result) fails(lines ...string) {
	r.Helper()
	r.expect(1, "", text(lines))
}

// complains expects exit code 1, no output, and each of these texts in the error output.
func (r result) complains(texts ...string) {
	r.Helper()
	for _, want := range texts {
		if want = r.scene.expand.Replace(want); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, want) {
			r.Fatalf("%s\n--- wanted: exit code 1, no output, and in the complaint:\n%s", r, want)
		}
	}
}

// succeeds expects exit code 0 and no error output, with any output.
func (r result) succeeds() result {
	r.Helper()
	if r.code != 0 || r.stderr != "" {
		r.Fatalf("%s\n--- wanted: exit code 0 and no complaint", r)
	}
	return r
}

// shows expects success, and each of these texts in the output, in this order.
func (r result) shows(texts ...string) {
	r.Helper()
	r.succeeds()
	rest := r.stdout
	for _, want := range texts {
		want = r.scene.expand.Replace(want)
		_, after, found := strings.Cut(rest, want)
		if !found {
			r.Fatalf("%s\n--- wanted in it, after what was found before:\n%s", r, want)
		}
		rest = after
	}
}

// masked replaces values that the server generates: times, resource versions and UIDs.
func (r result) masked() result {
	r.stdout = serverChosen.ReplaceAllString(r.stdout, "$1<$2>")
	return r
}

var serverChosen = regexp.MustCompile(`("?(creationTimestamp|lastTransitionTime|resourceVersion|uid)"?: )"?[-0-9A-Za-z:]+"?`)

// text joins lines, each with a newline.
func text(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
