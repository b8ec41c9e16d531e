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

package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/cri-client/pkg/logs"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// rotatedFormat is the format of the time of its rotation at the end of the name of a rotated log.
const rotatedFormat = "20060102-150405"

// WriteLog implements runtime.Streamer. The rotated files come first.
func (r *Runtime) WriteLog(ctx context.Context, _ *v1alpha1.Instance, container *runtime.Container, options runtime.LogOptions, out io.Writer) error {
	if !within(r.options.LogDir, container.LogPath) {
		return fmt.Errorf("container %q has no log of this agent", container.Name)
	}
	reader := &logReader{runtime: r, path: container.LogPath, id: idOf(container), options: options, out: out, left: options.LimitBytes}
	err := reader.read(quiet(ctx))
	switch {
	case ctx.Err() != nil || err != nil && gone(err): // a container that is removed has ended
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the log of container %q does not exist any more", container.Name)
	}
	return err
}

// logReader reads the files of one log in the order of their lines.
type logReader struct {
	runtime  *Runtime
	path, id string
	options  runtime.LogOptions
	out      io.Writer
	// left is the number of bytes that may still be written; nil for no limit.
	left *int64
}

// read reads the rotated files and then the current one. A file that is rotated meanwhile is read before
// the new one.
func (l *logReader) read(ctx context.Context) error {
	if _, err := os.Stat(l.path); err != nil {
		return err
	}
	rotated := RotatedLogs(l.path)
	first, tail, err := l.start(append(slices.Clone(rotated), l.path))
	if err != nil {
		return err
	}
	for done := first; ; done++ {
		rotated = laterLogs(rotated, RotatedLogs(l.path))
		if done >= len(rotated) {
			break
		}
		if l.over(rotated[done]) {
			continue
		}
		if err := l.file(ctx, rotated[done], tail, false); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		tail = nil
		if l.left != nil && *l.left <= 0 || ctx.Err() != nil {
			return nil
		}
	}
	return l.file(ctx, l.path, tail, l.options.Follow)
}

// laterLogs returns known with the rotated files that are later than those. Older ones may have been removed.
func laterLogs(known, now []string) []string {
	for _, file := range now {
		if len(known) == 0 || file > known[len(known)-1] {
			known = append(known, file)
		}
	}
	return known
}

// over reports whether a rotated file ends before the first line that is wanted.
func (l *logReader) over(file string) bool {
	at, err := time.Parse(rotatedFormat, strings.TrimPrefix(filepath.Base(file), filepath.Base(l.path)+"."))
	return err == nil && !l.options.Since.IsZero() && at.Add(time.Second).Before(l.options.Since)
}

// start returns the index of the first of the files to read, the oldest first, and the number of lines at
// its end to read; nil for all.
func (l *logReader) start(files []string) (first int, tail *int64, err error) {
	if l.options.TailLines == nil {
		return 0, nil, nil
	}
	wanted := *l.options.TailLines
	for i := len(files) - 1; i >= 0; i-- {
		count, err := countLines(files[i])
		if err != nil {
			return 0, nil, err
		}
		if count >= wanted {
			return i, &wanted, nil
		}
		wanted -= count
	}
	return 0, nil, nil
}

// countLines returns 0 for a file that does not exist any more.
func countLines(path string) (count int64, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := file.Read(buffer)
		count += int64(bytes.Count(buffer[:n], []byte{'\n'}))
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// file writes one file.
func (l *logReader) file(ctx context.Context, path string, tail *int64, follow bool) error {
	options := &logs.LogOptions{TailLines: tail, LimitBytes: l.left, Since: l.options.Since, Follow: follow, Timestamp: l.options.Timestamps}
	written := &counting{Writer: l.out}
	var stdout, stderr io.Writer // nil for none
	if l.options.Stdout {
		stdout = written
	}
	if l.options.Stderr {
		stderr = written
	}
	err := logs.ReadLogs(ctx, path, l.id, options, l.runtime.cri, stdout, stderr)
	if l.left != nil {
		left := *l.left - written.count
		l.left = &left
	}
	return err
}

// counting counts what is written.
type counting struct {
	io.Writer
	count int64
}

// Write implements io.Writer.
func (c *counting) Write(data []byte) (int, error) {
	n, err := c.Writer.Write(data)
	c.count += int64(n)
	return n, err
}
