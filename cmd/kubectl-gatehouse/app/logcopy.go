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
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// firstResume and lastResume bound the time between attempts to resume a log.
	firstResume = 500 * time.Millisecond
	lastResume  = 10 * time.Second
)

// logOptions are the options of requests for logs.
type logOptions struct {
	follow, previous, timestamps bool
	tailLines, limitBytes        *int64
	sinceSeconds                 int64
	from                         string
}

// lockedWriter is shared by several logs, which write whole lines.
type lockedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

// Write implements io.Writer.
func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(data)
}

// logCopy copies the log of one container. A log that is followed is requested with times, by which a
// resumed one continues after the last line.
type logCopy struct {
	logOptions
	prefix   string
	out, err io.Writer
	// open returns the log, and ended whether the container has ended.
	open  func(ctx context.Context, parameters map[string]string) (io.ReadCloser, error)
	ended func(ctx context.Context) (bool, error)

	// last is the time of the last line, and same the number of lines with this time.
	last time.Time
	same int
	// skip is the number of lines to skip with the time of the last line; resuming is set until they are.
	skip     int
	resuming bool
	left     *int64
	// pause is the time before the first attempt to resume.
	pause time.Duration
}

func newLogCopy(t *target, options logOptions, out, err io.Writer) *logCopy {
	state := containerStatusOf(t.instance, t.container)
	return &logCopy{
		logOptions: options, out: out, err: err, left: options.limitBytes, pause: firstResume,
		open: func(ctx context.Context, parameters map[string]string) (io.ReadCloser, error) {
			request := t.request("GET", "log").Param("container", t.container)
			for name, value := range parameters {
				request.Param(name, value)
			}
			return request.Stream(ctx)
		},
		ended: func(ctx context.Context) (bool, error) {
			instance, err := t.client.Instances(t.instance.Namespace).Get(ctx, t.instance.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) || err == nil && instance.UID != t.instance.UID {
				return true, nil
			}
			if err != nil {
				return false, err
			}
			now := containerStatusOf(instance, t.container)
			return now == nil || now.State.Running == nil || state != nil && now.ContainerID != state.ContainerID, nil
		},
	}
}

func containerStatusOf(instance *v1alpha1.Instance, container string) *v1alpha1.ContainerStatus {
	for i := range instance.Status.ContainerStatuses {
		if s := &instance.Status.ContainerStatuses[i]; s.Name == container {
			return s
		}
	}
	return nil
}

// parameters returns the parameters of the next request.
func (l *logCopy) parameters() map[string]string {
	p := map[string]string{}
	if l.follow {
		p["follow"] = "true"
	}
	if l.previous {
		p["previous"] = "true"
	}
	if l.timestamps || l.follow {
		p["timestamps"] = "true"
	}
	if !l.last.IsZero() {
		p["sinceTime"] = l.last.UTC().Format(time.RFC3339)
		return p
	}
	if l.tailLines != nil {
		p["tailLines"] = strconv.FormatInt(*l.tailLines, 10)
	}
	if l.limitBytes != nil && !l.follow {
		p["limitBytes"] = strconv.FormatInt(*l.limitBytes, 10)
	}
	if l.sinceSeconds > 0 {
		p["sinceSeconds"] = strconv.FormatInt(l.sinceSeconds, 10)
	}
	if l.from != "" {
		p["sinceTime"] = l.from
	}
	return p
}

var errLimit = errors.New("the limit of bytes is reached")

// run copies the log; one that is followed until the container ends.
func (l *logCopy) run(ctx context.Context) error {
	delay := l.pause
	for first := true; ; first = false {
		begun := l.last
		partial, opened, err := l.once(ctx)
		if ctx.Err() != nil || errors.Is(err, errLimit) {
			return nil
		}
		if !l.follow || first && !opened {
			return errors.Join(err, l.flush(partial))
		}
		done, failure := l.over(ctx, opened, err)
		if done {
			return errors.Join(failure, l.flush(partial))
		}
		if !l.last.Equal(begun) {
			delay = l.pause
		}
		if opened && err != nil {
			fmt.Fprintf(l.err, "%sthe connection was lost, resuming: %s\n", l.prefix, block(err.Error()))
		}
		l.resuming, l.skip = !l.last.IsZero(), l.same
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, lastResume)
	}
}

// over reports whether a followed log has ended. The server also ends a response when it stops, or when it loses the
// host, so the state of the container decides.
func (l *logCopy) over(ctx context.Context, opened bool, err error) (bool, error) {
	if answer := apierrors.APIStatus(nil); !opened && errors.As(err, &answer) {
		switch code := answer.Status().Code; {
		case code == 404:
			return true, nil
		case code == 401 || code == 403:
			return true, err
		}
	}
	ended, failure := l.ended(ctx)
	if answer := apierrors.APIStatus(nil); failure != nil && errors.As(failure, &answer) && apierrors.IsForbidden(failure) {
		// A user that may read logs only cannot read the state: a response without an error is the end.
		return err == nil, nil
	}
	return failure == nil && ended, nil
}

// flush writes a last line without a line break.
func (l *logCopy) flush(partial []byte) error {
	if len(partial) == 0 {
		return nil
	}
	err := l.line(partial)
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// once copies one response. partial is what follows the last line break.
func (l *logCopy) once(ctx context.Context) (partial []byte, opened bool, err error) {
	body, err := l.open(ctx, l.parameters())
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = body.Close() }()
	reader := bufio.NewReader(body)
	for {
		data, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return data, true, nil
		}
		if err != nil {
			return data, true, err
		}
		if err := l.line(data); err != nil {
			return nil, true, err
		}
	}
}

// line writes a line, unless it was written before the log was resumed.
func (l *logCopy) line(data []byte) error {
	if l.follow {
		stamp, text, ok := bytes.Cut(data, []byte{' '})
		if at, err := time.Parse(time.RFC3339Nano, string(stamp)); ok && err == nil {
			if !l.fresh(at) {
				return nil
			}
			if !l.timestamps {
				data = text
			}
		}
	}
	if l.left != nil {
		if *l.left <= 0 {
			return errLimit
		}
		data = data[:min(int64(len(data)), *l.left)]
		left := *l.left - int64(len(data))
		l.left = &left
	}
	_, err := l.out.Write(append([]byte(l.prefix), data...))
	return err
}

// fresh reports whether a line with a time follows those that were written, and counts it.
func (l *logCopy) fresh(at time.Time) bool {
	if l.resuming {
		if at.Before(l.last) {
			return false
		}
		if at.Equal(l.last) && l.skip > 0 {
			l.skip--
			return false
		}
		l.resuming = false
	}
	if at.Equal(l.last) {
		l.same++
	} else {
		l.last, l.same = at, 1
	}
	return true
}
