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
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryFlagThatTakesAKnownWordCompletes(t *testing.T) {
	root, p := newCommand(Streams{Out: io.Discard, Err: io.Discard})
	seen := 0
	check := func(cmd *cobra.Command, path string) {
		cmd.InitDefaultHelpFlag()
		for _, flag := range strings.Fields("namespace context cluster user output dry-run containers container by") {
			if cmd.Flag(flag) == nil || cmd.InheritedFlags().Lookup(flag) != nil {
				continue
			}
			seen++
			if _, found := cmd.GetFlagCompletionFunc(flag); !found {
				t.Errorf("%s --%s completes to nothing", path, flag)
			}
		}
		if !cmd.HasSubCommands() && cmd.Name() != "help" && cmd.Name() != "version" && !strings.Contains(cmd.Example, "kubectl gatehouse "+path) {
			t.Errorf("the help of %s has no example: %q", path, cmd.Example)
		}
		if !cmd.HasSubCommands() && cmd.ValidArgsFunction == nil && cmd.Name() != "help" {
			t.Errorf("the arguments of %s complete to files", path)
		}
	}
	check(root, "the root")
	p.eachCommand(root, check)
	if seen < 4+6*2+2 {
		t.Errorf("only %d flags were looked at", seen)
	}
}

const twoContexts = `{"apiVersion":"v1","kind":"Config","current-context":"here","clusters":[{"name":"one","cluster":{"server":"https://127.0.0.1:1"}}],
"users":[{"name":"me","user":{}}],"contexts":[{"name":"here","context":{"cluster":"one","user":"me"}},{"name":"there","context":{"cluster":"one","user":"me"}}]}`

// The server of this kubeconfig does not respond.
func TestCompletionOffersWhatItCanWithoutAServer(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(twoContexts), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		line string
		want string
	}{
		{"tree --context ", "here\nthere\n:4\n"},
		{"tree --context th", "there\n:4\n"},
		{"tree --cluster ", "one\n:4\n"},
		{"tree --user ", "me\n:4\n"},
		{"tree --output ", "json\n:4\n"},
		{"set image web --output ", "json\nyaml\nname\n:4\n"},
		{"set image web --dry-run=", "none\nserver\nclient\n:4\n"},
		{"rollout undo web --dry-run=", "none\nserver\n:4\n"},
		{"why ", "app/\nhost/\ninstance/\nrelease/\n:6\n"},
		{"why in", "instance/\n:6\n"},
		{"why instance/", ":4\n"},
		{"why --output ", "json\nyaml\nname\n:4\n"},
		{"top requests --by ", "user\ngate\nresource\nlatency\n:4\n"},
		{"logs ", "app/\n:6\n"},
		{"exec app/", ":4\n"},
		{"port-forward web ", ":4\n"},
		{"cp we", ":2\n"},
		{"cp ./", ":0\n"},
		{"logs web -c ", ":4\n"},
		{"tree ", ":4\n"},
		{"tree --namespace ", ":4\n"},
		{"set env web ", ":4\n"},
		{"create app ", ":4\n"},
		{"create ", "app\tCreate an app with the specified name\n:4\n"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			var out strings.Builder
			words := strings.Split(tc.line, " ")
			code := Execute(t.Context(), append([]string{cobra.ShellCompRequestCmd, "--kubeconfig", kubeconfig}, words...), Streams{Out: &out, Err: io.Discard})
			if code != exitDone || out.String() != tc.want {
				t.Errorf("ended with %d and offers\n%s", code, out.String())
			}
		})
	}
}
