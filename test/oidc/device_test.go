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

package oidc

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-dev/gatehouse/test/browser"
)

// instruction is what the device flow prints: the page and the code.
var instruction = regexp.MustCompile(`open (https://\S+) on any device and enter the code (\S+)`)

// reader is a user that reads the terminal and follows the first instruction on another device.
type reader struct {
	ctx  context.Context
	t    *testing.T
	user browser.User

	once sync.Once
	text strings.Builder
	done sync.WaitGroup
}

// Write implements io.Writer.
func (r *reader) Write(data []byte) (int, error) {
	r.text.Write(data)
	if match := instruction.FindStringSubmatch(r.text.String()); match != nil {
		r.once.Do(func() {
			r.done.Go(func() {
				if _, err := r.user.Visit(r.ctx, match[1]+"?user_code="+match[2]); err != nil {
					r.t.Errorf("the other device: %v", err)
				}
			})
		})
	}
	return len(data), nil
}

func TestKubectlLogsInByTheDeviceFlow(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startServer(t, p.entry("oidc:", ""))
	for _, tc := range []struct {
		name, choice string
		flags        []string
		want         string
	}{
		{"by the flag", "allowed", []string{"--device"}, asAda},
		{"on a machine without a browser", "allowed", nil, asAda},
		{"denied by the user", "denied", []string{"--device"}, "the login was denied by the user or the provider"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ada := s.seat(t, p, "ada", tc.flags...)
			if len(tc.flags) == 0 {
				ada.environment = append(ada.environment, "BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=")
			}
			ada.user.Choice = tc.choice
			person := &reader{ctx: t.Context(), t: t, user: ada.user}
			got := ada.runWith(t.Context(), person, kubectl(t), "auth", "whoami", "-o", whoami)
			person.done.Wait()
			if !strings.Contains(got.stdout+got.stderr, tc.want) {
				t.Errorf("got %v: %s%s", got.err, got.stdout, got.stderr)
			}
			if visits := ada.user.Visits(t); len(visits) != 0 {
				t.Errorf("a browser was opened: %q", visits)
			}
		})
	}
}
