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

package simulated

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// outputInterval is the time between lines of the log of a running container.
	outputInterval = 10 * time.Second
	// maxOutput is the number of such lines that are kept.
	maxOutput = 1000
	// followInterval is the time between looks for further lines.
	followInterval = 200 * time.Millisecond
	// logTime is the format of times in logs, as in CRI.
	logTime = "2006-01-02T15:04:05.000000000Z07:00"
)

// line is a line of the log of a container.
type line struct {
	at     time.Time
	text   string
	stderr bool
}

// output returns the log of an attempt of a container at a time. It is a function of the state, like all
// that the simulation does.
func output(key string, c *runtime.Container, now time.Time) []line {
	if c.State == runtime.ContainerCreated {
		return nil
	}
	end := now
	if c.State == runtime.ContainerExited {
		end = c.FinishedAt
	}
	lines := []line{{at: c.StartedAt, text: fmt.Sprintf("container %s of %s starts, attempt %d: it is simulated, no program runs", c.Name, key, c.Attempt)}}
	ticks := max(0, int(end.Sub(c.StartedAt)/outputInterval))
	for tick := max(1, ticks-maxOutput+1); tick <= ticks; tick++ {
		after := time.Duration(tick) * outputInterval
		lines = append(lines, line{at: c.StartedAt.Add(after), text: fmt.Sprintf("container %s has been running for %s", c.Name, after)})
	}
	if c.State == runtime.ContainerExited {
		lines = append(lines, line{at: end, text: fmt.Sprintf("container %s ends with the exit code %d (%s)", c.Name, c.ExitCode, c.Reason), stderr: c.ExitCode != 0})
	}
	return lines
}

// WriteLog implements runtime.Streamer.
func (r *Runtime) WriteLog(ctx context.Context, instance *v1alpha1.Instance, container *runtime.Container, options runtime.LogOptions, out io.Writer) error {
	key := instance.Namespace + "/" + instance.Name
	limited := &limitedWriter{out: out, left: options.LimitBytes}
	lines := output(key, container, r.clock.Now())
	last := time.Time{}
	if len(lines) > 0 {
		last = lines[len(lines)-1].at
	}
	if tail := options.TailLines; tail != nil && *tail < int64(len(lines)) {
		lines = lines[len(lines)-int(*tail):]
	}
	for {
		for i := range lines {
			if err := limited.line(&lines[i], &options); err != nil || limited.full() {
				return ended(ctx, err)
			}
		}
		if !options.Follow || container.State == runtime.ContainerExited {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.clock.After(followInterval):
		}
		sandbox, err := r.Sandbox(ctx, instance.UID)
		if err != nil {
			return err
		}
		container = current(sandbox, container, r.clock.Now())
		lines, last = after(output(key, container, r.clock.Now()), last)
	}
}

// ended returns nil instead of the error of a write to a client that is gone.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// current returns the present state of a container. One that the runtime has no more was stopped and removed since.
func current(sandbox *runtime.Sandbox, of *runtime.Container, now time.Time) *runtime.Container {
	if sandbox != nil {
		for i := range sandbox.Containers {
			if c := &sandbox.Containers[i]; c.Name == of.Name && c.Attempt == of.Attempt {
				return c
			}
		}
	}
	removed := *of
	removed.State, removed.FinishedAt, removed.Reason = runtime.ContainerExited, now, "Completed"
	return &removed
}

// after returns the lines that are later than a time, and the time of the last line.
func after(lines []line, last time.Time) ([]line, time.Time) {
	for i := range lines {
		if lines[i].at.After(last) {
			return lines[i:], lines[len(lines)-1].at
		}
	}
	return nil, last
}

// limitedWriter writes lines up to a number of bytes; without a limit if left is nil.
type limitedWriter struct {
	out  io.Writer
	left *int64
}

func (w *limitedWriter) full() bool { return w.left != nil && *w.left <= 0 }

// line writes a line if the options select it.
func (w *limitedWriter) line(l *line, options *runtime.LogOptions) error {
	if l.at.Before(options.Since) || l.stderr && !options.Stderr || !l.stderr && !options.Stdout {
		return nil
	}
	var text strings.Builder
	if options.Timestamps {
		text.WriteString(l.at.UTC().Format(logTime) + " ")
	}
	text.WriteString(l.text + "\n")
	data := []byte(text.String())
	if w.left != nil {
		data = data[:min(int64(len(data)), *w.left)]
		left := *w.left - int64(len(data))
		w.left = &left
	}
	_, err := w.out.Write(data)
	return err
}
