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

package streaming

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

// streamOptions returns the streams in the parameters of exec and attach. A terminal has no separate
// standard error.
func streamOptions(query url.Values) (runtime.StreamOptions, error) {
	streams := runtime.StreamOptions{
		Stdin: query.Get("input") == "1", Stdout: query.Get("output") == "1", Stderr: query.Get("error") == "1", TTY: query.Get("tty") == "1",
	}
	if streams.TTY {
		streams.Stderr = false
	}
	if !streams.Stdin && !streams.Stdout && !streams.Stderr {
		return streams, refuse(http.StatusBadRequest, "no stream is selected: one of stdin, stdout and stderr at least")
	}
	return streams, nil
}

// logOptions returns the options in the parameters of a log. previous selects the attempt before.
func logOptions(query url.Values, now time.Time) (options runtime.LogOptions, previous bool, err error) {
	p := parameters{query: query}
	options = runtime.LogOptions{Follow: p.flag("follow"), Timestamps: p.flag("timestamps"), TailLines: p.number("tailLines", 0), LimitBytes: p.number("limitBytes", 1)}
	previous = p.flag("previous")
	if seconds := p.number("sinceSeconds", 1); seconds != nil {
		options.Since = now.Add(-time.Duration(*seconds) * time.Second)
	}
	if text := query.Get("sinceTime"); text != "" {
		if !options.Since.IsZero() {
			p.refuse("sinceTime and sinceSeconds exclude each other: use one of them")
		}
		if options.Since, err = time.Parse(time.RFC3339, text); err != nil {
			p.refuse("sinceTime: %q is not a time: write it as 2026-01-02T15:04:05Z", text)
		}
	}
	switch stream := query.Get("stream"); stream {
	case "", "All":
		options.Stdout, options.Stderr = true, true
	case "Stdout":
		options.Stdout = true
	case "Stderr":
		options.Stderr = true
	default:
		p.refuse("stream: %q is not one of All, Stdout and Stderr", stream)
	}
	return options, previous, p.err
}

// parameters parses parameters and keeps the first error.
type parameters struct {
	query url.Values
	err   error
}

func (p *parameters) refuse(format string, args ...any) {
	if p.err == nil {
		p.err = refuse(http.StatusBadRequest, format, args...)
	}
}

func (p *parameters) flag(name string) bool {
	text := p.query.Get(name)
	if text == "" {
		return false
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		p.refuse("%s: %q is not true or false", name, text)
	}
	return value
}

// number returns nil if the parameter is not given.
func (p *parameters) number(name string, least int64) *int64 {
	text := p.query.Get(name)
	if text == "" {
		return nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < least {
		p.refuse("%s: %q is not a number from %d on", name, text, least)
	}
	return &value
}
