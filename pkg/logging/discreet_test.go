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

package logging

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// caller is a user of flow control.
type caller struct{ scope string }

func (caller) GetName() string { return "bob" }

func TestLinesOfLibrariesHaveNoSecrets(t *testing.T) {
	const secret = "s3cret"
	failed := errors.New(`failed calling webhook "a": an error on the server ("` + secret + `") has prevented the request`)
	for _, row := range []struct {
		name string
		line func() string
		want string
	}{
		{"a token in a URL", structured("HTTP", "URI", "/api?limit=5&token="+secret+"&watch", "resp", 200), "HTTP [URI /api?limit=5&token=[removed]&watch resp 200]"},
		{"an encoded name of a parameter", structured("HTTP", "URI", "/api?%74oken="+secret), "HTTP [URI /api?%74oken=[removed]]"},
		{"a URL without parameters", structured("HTTP", "URI", "/api"), "HTTP [URI /api]"},
		{"the reason of an authorizer", structured("Forbidden", "URI", "/api", "reason", secret), "Forbidden [URI /api reason [removed]]"},
		{"the error of an impersonation", structured("Forbidden", "err", errors.New(secret)), "Forbidden [err [removed]]"},
		{"a failed webhook", structured("Unhandled Error", "err", failed), `Unhandled Error [err failed calling webhook "a": an error on the server ([removed]]`},
		{"a user of flow control", structured("Dispatching", "requestDescr2", caller{secret}), "Dispatching [requestDescr2 bob]"},
		{"another error", structured("Unhandled Error", "err", errors.New("x")), "Unhandled Error [err x]"},
		{"a webhook that denies", formatted("rejected by webhook %q: %#v", "a", secret), `rejected by webhook "a"`},
		{"a webhook that fails", formatted("Failed calling webhook, failing closed %v: %v", "a", failed), `Failed calling webhook, failing closed a: failed calling webhook "a": an error on the server ([removed]`},
		{"the steps of a slow request", plain("Trace[1]: \"Update\" (total time: 600ms):\nTrace[1]: ---\"Write to database call failed\" len:165,err:denied the request: not\nwith " + secret + " 500ms (11:00:00)\nTrace[1]: ---\"Writing\" 100ms"),
			"Trace[1]: \"Update\" (total time: 600ms):\nTrace[1]: ---\"Write to database call failed\" len:165,err:[removed]\nTrace[1]: ---\"Writing\" 100ms"},
		{"another text", plain("err: a"), "err: a"},
		{"another line", formatted("%s and %s", "a", "b"), "a and b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.line(); got != row.want || strings.Contains(got, secret) {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func plain(text string) func() string {
	return func() string { return fmt.Sprint(discreet{}.Filter([]any{text})...) }
}

func structured(message string, keysAndValues ...any) func() string {
	return func() string {
		before := fmt.Sprintf("%v", keysAndValues)
		message, filtered := discreet{}.FilterS(message, keysAndValues)
		if fmt.Sprintf("%v", keysAndValues) != before {
			return "the caller's list is changed"
		}
		return fmt.Sprintf("%s %v", message, filtered)
	}
}

func formatted(format string, args ...any) func() string {
	return func() string {
		format, args := discreet{}.FilterF(format, args)
		return fmt.Sprintf(format, args...)
	}
}
