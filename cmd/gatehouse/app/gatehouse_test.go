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

package app

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestMistypedCommandsAreAnsweredWithTheCure(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a letter is wrong":                       {[]string{"uo"}, `unknown command "uo" for "gatehouse": did you mean up?`},
		"letters are exchanged":                   {[]string{"apisevrer"}, `unknown command "apisevrer" for "gatehouse": did you mean apiserver?`},
		"nothing is similar":                      {[]string{"frobnicate"}, `unknown command "frobnicate" for "gatehouse"; see gatehouse --help`},
		"a letter of a subcommand is wrong":       {[]string{"host", "ad"}, `unknown command "ad" for "gatehouse host": did you mean add?`},
		"a flag of another command is the reason": {[]string{"up", "--simulate-host", "3"}, `unknown flag: --simulate-host; see gatehouse up --help`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := NewCommand()
			cmd.SetArgs(test.args)
			if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestHelpNamesEachFlagOnceAndCompletion(t *testing.T) {
	help := func(args ...string) string {
		var out bytes.Buffer
		cmd := NewCommand()
		cmd.SetOut(&out)
		cmd.SetArgs(append(args, "--help"))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if all := help(); !strings.Contains(all, "\n  completion ") {
		t.Errorf("completion is not listed:\n%s", all)
	}
	for _, command := range []string{"up", "apiserver", "controllers"} {
		seen := map[string]bool{}
		for line := range strings.Lines(help(command)) {
			_, flag, found := strings.Cut(line, "--")
			if !found || !strings.HasPrefix(strings.TrimSpace(line), "-") {
				continue
			}
			flag, _, _ = strings.Cut(flag, " ")
			if seen[flag] {
				t.Errorf("%s --help lists --%s twice", command, flag)
			}
			seen[flag] = true
		}
		if len(seen) < 5 {
			t.Errorf("%s --help lists only %d flags", command, len(seen))
		}
	}
}

func TestNextStepsFindTheTools(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	for name, test := range map[string]struct{ program, path, want string }{
		"started by its path":                       {filepath.Join(bin, "gatehouse"), "/usr/bin", bin},
		"started by its path, which is in the PATH": {filepath.Join(bin, "gatehouse"), "/usr/bin:" + bin, ""},
		"found in the PATH":                         {"gatehouse", "/usr/bin", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := toolsDir(test.program, test.path); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
