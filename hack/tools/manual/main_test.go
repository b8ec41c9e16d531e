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

package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// manual returns the files of a manual by their names.
func manual(t *testing.T, homeOfBuilder string) map[string][]byte {
	t.Helper()
	t.Setenv("HOME", homeOfBuilder)
	dir := t.TempDir()
	if err := run([]string{"-version", "v1.2.3", "-date", "1767323045", dir}); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryCommandHasAPageAndEveryShellItsCompletions(t *testing.T) {
	files := manual(t, "/home/builder")
	for path, want := range map[string]string{
		"man1/gatehouse.1":                 `.TH "GATEHOUSE" "1" "Jan 2026" "Gatehouse v1.2.3" "Gatehouse"`,
		"man1/gatehouse-up.1":              "\\fB--data-dir\\fP=\"" + home,
		"man1/gatehouse-backup-now.1":      "gatehouse-backup",
		"man1/gatehouse-agent-run.1":       "--runtime-endpoint",
		"man1/gatehouse-agent-join.1":      `"the name of the machine"`,
		"man1/kubectl-gatehouse-rollout.1": "kubectl gatehouse rollout",
		"bash/gatehouse":                   "__start_gatehouse",
		"bash/gatehouse-agent":             "__start_gatehouse-agent",
		"zsh/_gatehouse":                   "#compdef gatehouse",
		"fish/gatehouse.fish":              "complete -c gatehouse",
	} {
		if !bytes.Contains(files[path], []byte(want)) {
			t.Errorf("%s has no %q: %.2000s", path, want, files[path])
		}
	}
	if _, found := files["bash/kubectl-gatehouse"]; found {
		t.Error("the plugin has completions of its own, which kubectl does not read")
	}
}

func TestThePagesDoNotDependOnWhoBuildsThem(t *testing.T) {
	one, two := manual(t, "/home/builder"), manual(t, "/root/another")
	if len(one) != len(two) {
		t.Fatalf("%d files and %d", len(one), len(two))
	}
	for path := range one {
		if !bytes.Equal(one[path], two[path]) || bytes.Contains(one[path], []byte("/home/builder")) {
			t.Errorf("%s depends on the home directory", path)
		}
	}
}

func TestBashAcceptsItsCompletions(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	for _, name := range []string{"bash/gatehouse", "bash/gatehouse-agent"} {
		check := exec.CommandContext(t.Context(), bash, "-n")
		check.Stdin = bytes.NewReader(manual(t, "/home/builder")[name])
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
