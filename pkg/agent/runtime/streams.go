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

package runtime

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Streamer gives access to the containers of a runtime. Its handlers serve one request, whose connection they
// upgrade to SPDY as a kubelet does.
type Streamer interface {
	// WriteLog writes the log of an attempt of a container, with its rotated files. It returns at the end
	// of the log, or with Follow at the end of the container. An end of the context is no error.
	WriteLog(ctx context.Context, instance *v1alpha1.Instance, container *Container, options LogOptions, out io.Writer) error

	// Exec returns a handler that runs a command in a running container. CRI: Exec.
	Exec(ctx context.Context, instance *v1alpha1.Instance, container *Container, command []string, streams StreamOptions) (http.Handler, error)

	// Attach returns a handler that connects to the program of a running container. CRI: Attach.
	Attach(ctx context.Context, instance *v1alpha1.Instance, container *Container, streams StreamOptions) (http.Handler, error)

	// PortForward returns a handler that connects to ports of a sandbox. CRI: PortForward.
	PortForward(ctx context.Context, instance *v1alpha1.Instance) (http.Handler, error)
}

// LogOptions select a part of a log.
type LogOptions struct {
	// Follow continues with what the container writes later.
	Follow bool
	// Timestamps puts the time of each line, in RFC 3339 with nanoseconds, before it.
	Timestamps bool
	// Since is the time of the first line; zero for all.
	Since time.Time
	// TailLines is the number of lines at the end of the log, and LimitBytes the maximum size of the
	// output; nil for no limit.
	TailLines, LimitBytes *int64
	// Stdout and Stderr select the streams of the program.
	Stdout, Stderr bool
}

// StreamOptions select the streams of a program. With TTY, which makes a terminal, Stderr is false.
type StreamOptions struct {
	Stdin, Stdout, Stderr, TTY bool
}
