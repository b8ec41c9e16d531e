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
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The tests themselves are in the language of the client.
func TestTheJavaScriptClientListsWatchesPatchesAndInforms(t *testing.T) {
	node, dir := npmInstall(t, "js", "client.test.mjs")
	t.Logf("%s", mustRun(t, start(t), "", node, "--test", filepath.Join(dir, "client.test.mjs")))
}

// npmInstall returns node, and a directory with a script of this directory and the packages that it needs.
func npmInstall(t *testing.T, from, script string) (node, dir string) {
	t.Helper()
	node = tool(t, "node", "install Node.js 20 or newer")
	npm := tool(t, "npm", "install npm, which comes with Node.js")
	dir = t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", script} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci, which needs the registry of npm: %v\n%s", err, out)
	}
	return node, dir
}

func TestThePythonClientListsWatchesAndPatches(t *testing.T) {
	python := tool(t, "python3", "install Python 3")
	// The distribution's Python has Debian's packages, even if another one comes first in $PATH.
	for _, path := range []string{python, "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), path, "-c", "import kubernetes").Run() == nil {
			mustRun(t, start(t), "", path, filepath.Join("python", "client_test.py"))
			return
		}
	}
	missing(t, "the Python package kubernetes is not installed: apt-get install python3-kubernetes, or pip install kubernetes")
}
