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
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// broken is a response that ends with an error.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(data []byte) (int, error) {
	n, err := b.Reader.Read(data)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func TestAFollowedLogIsResumedWithoutALineTwice(t *testing.T) {
	const at1, at2, at3 = "2026-12-01T08:00:01.100000000Z ", "2026-12-01T08:00:01.200000000Z ", "2026-12-01T08:00:02.000000000Z "
	lost := errors.New("connection reset by peer")
	away := apierrors.NewServiceUnavailable("host edge-1 is connected to no server")
	type response struct {
		text string
		err  error // at the end of the text; instead of a response if that is empty
	}
	for name, tc := range map[string]struct {
		responses []response
		times     bool
		limit     int64
		want      string
	}{
		"a connection that is lost between lines": {
			[]response{{at1 + "a\n", lost}, {at1 + "a\n" + at2 + "b\n", nil}}, false, 0, "a\nb\n",
		},
		"a connection that is lost in a line": {
			[]response{{at1 + "a\n" + at2 + "be", lost}, {at1 + "a\n" + at2 + "bee\n", nil}}, false, 0, "a\nbee\n",
		},
		"lines with the same time": {
			[]response{{at1 + "a\n" + at1 + "b\n", lost}, {at1 + "a\n" + at1 + "b\n" + at1 + "c\n", nil}}, false, 0, "a\nb\nc\n",
		},
		"several lines of the second that is requested again": {
			[]response{{at1 + "a\n" + at2 + "b\n", lost}, {at1 + "a\n" + at2 + "b\n" + at3 + "c\n", nil}}, false, 0, "a\nb\nc\n",
		},
		"the same line at another time": {
			[]response{{at1 + "a\n", lost}, {at1 + "a\n" + at2 + "a\n", nil}}, false, 0, "a\na\n",
		},
		"a response that ends while the container runs": {
			[]response{{at1 + "a\n", nil}, {at1 + "a\n", nil}, {at1 + "a\n" + at3 + "b\n", nil}}, false, 0, "a\nb\n",
		},
		"a host that is away for a while": {
			[]response{{at1 + "a\n", lost}, {"", away}, {at1 + "a\n" + at2 + "b\n", nil}}, false, 0, "a\nb\n",
		},
		"a connection that is lost before the first line": {
			[]response{{" ", lost}, {at1 + "a\n", nil}}, false, 0, "a\n",
		},
		"lines with their times": {
			[]response{{at1 + "a\n", lost}, {at1 + "a\n" + at2 + "b\n", nil}}, true, 0, at1 + "a\n" + at2 + "b\n",
		},
		"a last line without a line break": {
			[]response{{at1 + "a\n", lost}, {at1 + "a\n" + at2 + "b", nil}}, false, 0, "a\nb",
		},
		"a limit over two responses": {
			[]response{{at1 + "aaa\n", lost}, {at1 + "aaa\n" + at2 + "bbb\n", nil}}, false, 6, "aaa\nbb",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			var sent []map[string]string
			left := tc.responses
			l := &logCopy{out: &out, err: io.Discard}
			l.follow, l.timestamps = true, tc.times
			if tc.limit > 0 {
				l.left = &tc.limit
			}
			l.open = func(_ context.Context, parameters map[string]string) (io.ReadCloser, error) {
				sent = append(sent, parameters)
				next := left[0]
				left = left[1:]
				if next.text == "" {
					return nil, next.err
				}
				if next.err == nil {
					next.err = io.EOF
				}
				return io.NopCloser(&broken{strings.NewReader(strings.TrimSpace(next.text) + strings.Repeat("\n", strings.Count(next.text, "\n")-strings.Count(strings.TrimSpace(next.text), "\n"))), next.err}), nil
			}
			l.ended = func(context.Context) (bool, error) { return len(left) == 0, nil }
			if err := l.run(t.Context()); err != nil || out.String() != tc.want {
				t.Errorf("%q %v, not %q", out.String(), err, tc.want)
			}
			if last := sent[len(sent)-1]; last["follow"] != "true" || last["timestamps"] != "true" || strings.HasPrefix(tc.responses[0].text, "2") && last["sinceTime"] != "2026-12-01T08:00:01Z" {
				t.Errorf("the last request has %v", last)
			}
		})
	}
}

func TestALogThatCannotBeResumed(t *testing.T) {
	instances := schema.GroupResource{Resource: "instances"}
	const line = "2026-12-01T08:00:01Z a\n"
	for name, tc := range map[string]struct {
		first, second error
		fails         bool
	}{
		"the first request is refused":                {apierrors.NewBadRequest("waiting to start"), nil, true},
		"the user may not read logs any more":         {nil, apierrors.NewForbidden(instances, "web", nil), true},
		"the instance was deleted":                    {nil, apierrors.NewNotFound(instances, "web"), false},
		"the first request finds the host to be away": {apierrors.NewServiceUnavailable("host edge-1 is away"), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			l := &logCopy{out: io.Discard, err: io.Discard}
			l.follow = true
			l.open = func(context.Context, map[string]string) (io.ReadCloser, error) {
				requests++
				err := tc.first
				if requests > 1 {
					err = tc.second
				}
				if err != nil {
					return nil, err
				}
				return io.NopCloser(strings.NewReader(line)), nil
			}
			l.ended = func(context.Context) (bool, error) { return false, nil }
			if err := l.run(t.Context()); (err != nil) != tc.fails {
				t.Error(err)
			}
		})
	}
}

func TestTheParametersOfALog(t *testing.T) {
	tail, limit := int64(5), int64(7)
	l := &logCopy{logOptions: logOptions{previous: true, tailLines: &tail, limitBytes: &limit, sinceSeconds: 60}}
	got := l.parameters()
	for name, want := range map[string]string{"previous": "true", "tailLines": "5", "limitBytes": "7", "sinceSeconds": "60", "follow": "", "timestamps": "", "sinceTime": ""} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
}
