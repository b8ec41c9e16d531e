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
	"io"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestWhatATerminalObeysIsEscaped(t *testing.T) {
	for _, tc := range []struct{ name, text, cell, block string }{
		{"plain text stays", "web:1 läuft", "web:1 läuft", "web:1 läuft"},
		{"an escape sequence", "\x1b[2Jgone", "^[[2Jgone", "^[[2Jgone"},
		{"a title", "\x1b]0;owned\a", `^[]0;owned\u0007`, `^[]0;owned\u0007`},
		{"lines", "a\r\nerror: b\tc", `a\r\nerror: b\tc`, "a\\r\nerror: b\tc"},
		{"the control sequence introducer of ISO 8859", "\u009b31m", `\u009b31m`, `\u009b31m`},
		{"the same as a single byte", "\x9b31m", `\ufffd31m`, `\ufffd31m`},
		{"a backspace and a delete", "ok\b\x7f", `ok\u0008\u007f`, `ok\u0008\u007f`},
		{"text from right to left", "web\u202egnp", `web\u202egnp`, `web\u202egnp`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := cell(tc.text); got != tc.cell {
				t.Errorf("a cell shows %q, want %q", got, tc.cell)
			}
			if got := block(tc.text); got != tc.block {
				t.Errorf("a block shows %q, want %q", got, tc.block)
			}
		})
	}
}

const evil = "\x1b]0;owned\a\x1b[2J\u009b\r\u202e"

// clean fails the test if a terminal would interpret the output.
func clean(t *testing.T, what, printed string) {
	t.Helper()
	for _, r := range printed {
		if interpreted(r) && r != '\n' {
			t.Errorf("%s prints %q in %q", what, r, printed)
			return
		}
	}
	if !strings.Contains(printed, "owned") {
		t.Errorf("%s does not print the text of the object: %q", what, printed)
	}
}

func TestNoOutputHasAnObjectsControlCharacters(t *testing.T) {
	var out bytes.Buffer
	if err := writeHistory(&out, []revision{{Revision: 1, Release: "web-1", Images: []string{"web:1" + evil}, ChangeCause: evil}}); err != nil {
		t.Fatal(err)
	}
	clean(t, "history", out.String())

	out.Reset()
	tree := tree{App: "web", Releases: []treeRelease{{Name: "web-1", Instances: []treeInstance{{Name: "web-1-a", Status: evil, Host: &treeHost{Name: "edge-1", Status: evil}}}}}}
	if err := tree.write(&out, true, time.Now()); err != nil {
		t.Fatal(err)
	}
	clean(t, "tree", out.String())

	failed := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: v1alpha1.AppStatus{Conditions: []metav1.Condition{{
		Type: v1alpha1.AppConditionProgressing, Status: metav1.ConditionFalse, Reason: v1alpha1.AppReasonProgressDeadlineExceeded, Message: evil,
	}}}}
	p := progressOf(failed, 0)
	p.Failed = false // Execute prints failures, and escapes as well
	out.Reset()
	(&lines{out: &out}).show(p)
	clean(t, "rollout status", out.String())
	out.Reset()
	(&live{out: &out, width: func() int { return 1000 }}).show(p)
	clean(t, "rollout status on a terminal", strings.TrimPrefix(out.String(), "\r\x1b[K"))

	out.Reset()
	c := &plugin{Streams: Streams{Out: &out}}
	if err := (&historyCommand{plugin: c, revision: 1}).showOne("web", []revision{{Revision: 1, Release: "web-1" + evil}}); err != nil {
		t.Fatal(err)
	}
	clean(t, "history of one revision", out.String())

	out.Reset()
	if err := c.printJSON(p); err != nil {
		t.Fatal(err)
	}
	clean(t, "-o json", out.String())

	out.Reset()
	if code := Execute(t.Context(), []string{"tree", "--" + evil}, Streams{Out: io.Discard, Err: &out}); code != exitFailed {
		t.Errorf("a flag that does not exist ends with code %d", code)
	}
	clean(t, "an error", out.String())
}
