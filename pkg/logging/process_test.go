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
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"google.golang.org/grpc/grpclog"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/klog/v2"
)

func TestAnUnknownFormatIsRefusedWithItsFlag(t *testing.T) {
	o := logs.NewOptions()
	o.Format = "xml"
	const want = `--logging-format: unknown format "xml": use text or json`
	if err := Apply(o, io.Discard, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLinesOfGoAndOfGRPCAreErrorsInJSON(t *testing.T) {
	var logged bytes.Buffer
	o := logs.NewOptions()
	o.Format = logsapi.JSONLogFormat
	state := klog.CaptureState()
	t.Cleanup(func() {
		log.SetOutput(os.Stderr)
		log.SetFlags(log.LstdFlags)
		state.Restore()
		if err := logsapi.ResetForTest(nil); err != nil {
			t.Error(err)
		}
	})
	if err := Apply(o, &logged, nil); err != nil {
		t.Fatal(err)
	}
	log.Print("of Go")
	grpclog.Error("of gRPC")
	klog.Flush()
	for _, want := range []string{"of Go", "of gRPC"} {
		found := false
		for line := range bytes.Lines(logged.Bytes()) {
			var entry struct {
				Msg string
				V   *int // absent from errors
			}
			if err := json.Unmarshal(line, &entry); err != nil {
				t.Errorf("not JSON: %q", line)
			}
			found = found || strings.HasSuffix(entry.Msg, want) && entry.V == nil
		}
		if !found {
			t.Errorf("no error %q in %q", want, logged.String())
		}
	}
}

func TestAnErrorIsPrintedOrLoggedOnce(t *testing.T) {
	two := utilerrors.NewAggregate([]error{errors.New("one"), errors.New("two")})
	for _, tc := range []struct {
		name, format    string
		err             error
		printed, logged string
	}{
		{"text: one line for each error", logsapi.DefaultLogFormat, two, "gatehouse: one\ngatehouse: two\n", ""},
		{"json: one entry for each error", logsapi.JSONLogFormat, two, "", "\"msg\"=\"Stopped with an error\" \"error\"=\"one\"\n\"msg\"=\"Stopped with an error\" \"error\"=\"two\"\n"},
		{"no error", logsapi.JSONLogFormat, nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var printed, logged bytes.Buffer
			klog.SetLogger(funcr.New(func(_, line string) { logged.WriteString(line + "\n") }, funcr.Options{}))
			t.Cleanup(klog.ClearLogger)
			o := logs.NewOptions()
			o.Format = tc.format
			err := End(o, tc.err)
			if (err == nil) != (tc.err == nil) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				PrintErrors(&printed, "gatehouse", err)
			}
			if printed.String() != tc.printed || logged.String() != tc.logged {
				t.Errorf("printed %q, logged %q", printed.String(), logged.String())
			}
		})
	}
}
