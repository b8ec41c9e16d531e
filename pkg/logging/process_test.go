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
	"bytes"
	"errors"
	"io"
	"testing"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

func TestAnErrorIsPrintedOrLoggedOnce(t *testing.T) {
	two := utilerrors.NewAggregate([]error{errors.New("one"), errors.New("two")})
	for _, tc := range []struct {
		name, format    string
		err             error
		printed, logged string
	}{
		{"text: one line for each error", logsapi.DefaultLogFormat, two, "gatehouse: one\ngatehouse: two\n", ""},
		{"json: one entry for each error", logsapi.JSONLogFormat, two, "", "\"Stopped with an error\" err=\"one\"\n\"Stopped with an error\" err=\"two\"\n"},
		{"no error", logsapi.JSONLogFormat, nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var printed, logged bytes.Buffer
			klog.LogToStderr(false)
			klog.SetOutput(io.Discard)
			klog.SetOutputBySeverity("INFO", &logged) // which has the errors, too
			t.Cleanup(func() { klog.LogToStderr(true) })
			o := logs.NewOptions()
			o.Format = tc.format
			err := End(o, tc.err)
			if (err == nil) != (tc.err == nil) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				PrintErrors(&printed, "gatehouse", err)
			}
			var entries bytes.Buffer
			for line := range bytes.Lines(logged.Bytes()) {
				_, text, _ := bytes.Cut(line, []byte("] "))
				entries.Write(text)
			}
			if printed.String() != tc.printed || entries.String() != tc.logged {
				t.Errorf("printed %q, logged %q", printed.String(), entries.String())
			}
		})
	}
}
