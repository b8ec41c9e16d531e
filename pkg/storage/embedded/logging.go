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

package embedded

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// newLogger returns the logger for etcd. Warnings and errors go to klog. Fatal and Panic go to
// report instead of ending the process, and end the calling goroutine, because etcd's code does
// not expect either to return.
func newLogger(to klog.Logger, loud *atomic.Bool, report func(error)) *zap.Logger {
	end := endGoroutine{report: report}
	return zap.New(&core{to: to, loud: loud}, zap.WithFatalHook(end), zap.WithPanicHook(end))
}

// endGoroutine is the hook for Fatal and Panic.
type endGoroutine struct {
	report func(error)
}

// OnWrite reports the entry as an error and ends the calling goroutine. Deferred calls run, so etcd
// releases most of its resources; because of the rest, the process must end soon.
func (e endGoroutine) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	e.report(errorOf(entry.Message, fields))
	runtime.Goexit()
}

// errorOf returns an error that wraps the errors among the fields, for problemOf to inspect.
func errorOf(message string, fields []zapcore.Field) error {
	errs := []error{}
	for _, field := range fields {
		if err, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			errs = append(errs, err)
		}
	}
	switch len(errs) {
	case 0:
		return errors.New(message)
	case 1:
		return fmt.Errorf("%s: %w", message, errs[0])
	}
	return fmt.Errorf("%s: %w", message, errors.Join(errs...))
}

// core forwards etcd's entries to klog. Warnings while etcd starts or stops are details of the error
// that Start or Close returns, and a Fatal or Panic is a detail of the one that Err delivers: core
// logs these at verbosity 2.
type core struct {
	to     klog.Logger
	loud   *atomic.Bool
	fields []zapcore.Field
}

// Enabled reports whether the level is a warning or above.
func (c *core) Enabled(level zapcore.Level) bool { return level >= zapcore.WarnLevel }

// With returns a core with more fields.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	with := *c
	with.fields = slices.Concat(c.fields, fields)
	return &with
}

// Check drops entries that do not concern a lone member.
func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) || isNoise(entry) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// streamNoise are messages of connections between members, which end whenever a member is added, promoted or
// stopped. StorageMembers show members that do not respond, and the callers report changes that etcd refuses.
var streamNoise = []string{"lost TCP streaming connection with remote peer", "closed TCP streaming connection with remote peer",
	"rejecting member add request; ", "prober detected unhealthy status", "failed to publish local member to cluster through raft", "rejecting promote learner: learner is not ready"}

// isNoise reports whether an entry does not concern a lone member. raft warns of elections and
// followers. The two messages about versions appear once per database, when etcd reads its version
// before the first batch has reached the disk. A file that cannot be locked is one of etcd's own log
// that it still needs and therefore does not remove.
func isNoise(entry zapcore.Entry) bool {
	return entry.LoggerName == "raft" && entry.Level < zapcore.ErrorLevel ||
		entry.Message == "Failed to detect schema version" ||
		entry.Message == "failed to update storage version" ||
		entry.Message == "failed to lock file" ||
		slices.ContainsFunc(streamNoise, func(start string) bool { return strings.HasPrefix(entry.Message, start) })
}

// Write logs one entry.
func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range slices.Concat(c.fields, fields) {
		field.AddTo(encoder)
	}
	names := make([]string, 0, len(encoder.Fields))
	for name := range encoder.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	pairs := make([]any, 0, 2*len(names)+2)
	pairs = append(pairs, "severity", entry.Level.String())
	for _, name := range names {
		pairs = append(pairs, name, encoder.Fields[name])
	}
	switch {
	case !c.loud.Load() || entry.Level > zapcore.ErrorLevel:
		c.to.V(2).Info(entry.Message, pairs...)
	case entry.Level >= zapcore.ErrorLevel:
		c.to.Error(nil, entry.Message, pairs...)
	default:
		c.to.Info(entry.Message, pairs...)
	}
	return nil
}

// Sync does nothing: klog flushes its buffers on its own schedule.
func (c *core) Sync() error { return nil }
