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
	"io"
	"log"
	"os"
	"strings"

	"google.golang.org/grpc/grpclog"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

// Validate returns the errors of the flags of logging.
func Validate(o *logs.Options, gate featuregate.FeatureGate) []error {
	if o.Format != logsapi.DefaultLogFormat && o.Format != logsapi.JSONLogFormat {
		// The library's error names a field and not the flag.
		return []error{fmt.Errorf("--logging-format: unknown format %q: use %s or %s", o.Format, logsapi.DefaultLogFormat, logsapi.JSONLogFormat)}
	}
	var errs []error
	for _, err := range logsapi.Validate(o, gate, nil) {
		errs = append(errs, err)
	}
	return errs
}

// Apply validates the options and configures logging to a writer, of a command that runs until it is stopped. In the JSON format, everything
// that the process writes to the standard error afterwards is JSON.
func Apply(o *logs.Options, to io.Writer, gate featuregate.FeatureGate) error {
	streams := &logsapi.LoggingOptions{ErrorStream: ShortLines{Writer: to}, InfoStream: ShortLines{Writer: os.Stdout}}
	if errs := Validate(o, gate); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	if err := logsapi.ValidateAndApplyWithOptions(o, streams, gate); err != nil {
		return err
	}
	klog.SetLogFilter(discreet{})
	if o.Format == logsapi.JSONLogFormat {
		// The errors of Go's and gRPC's own logs; the rest of gRPC's is off.
		log.SetFlags(0)
		log.SetOutput(errorLines{})
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, errorLines{}))
	}
	return nil
}

// errorLines logs each write as an error.
type errorLines struct{}

// Write implements io.Writer.
func (errorLines) Write(line []byte) (int, error) {
	klog.ErrorS(nil, strings.TrimSpace(string(line)))
	return len(line), nil
}

// loggedError is an error that the log has already.
type loggedError struct{ error }

// Unwrap returns the error.
func (e loggedError) Unwrap() error { return e.error }

// End logs the error with which a command ends if the format is JSON, so that PrintErrors does not print it.
func End(o *logs.Options, err error) error {
	if err == nil || o.Format != logsapi.JSONLogFormat {
		return err
	}
	for _, e := range each(err) {
		klog.ErrorS(e, "Stopped with an error")
	}
	klog.Flush()
	return loggedError{err}
}

// PrintErrors writes one line for each error with which a program ends, unless the log has it.
func PrintErrors(to io.Writer, program string, err error) {
	if errors.As(err, &loggedError{}) {
		return
	}
	for _, e := range each(err) {
		_, _ = io.WriteString(to, program+": "+e.Error()+"\n") // there is no other place for it
	}
}

// each returns the errors of an aggregate, or the error.
func each(err error) []error {
	if aggregate, ok := err.(utilerrors.Aggregate); ok {
		return utilerrors.Flatten(aggregate).Errors()
	}
	return []error{err}
}
