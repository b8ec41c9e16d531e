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
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// idleTimeout is the time after which a connection without data ends, as a kubelet's.
const idleTimeout = 4 * time.Hour

var _ runtime.Streamer = &Runtime{}

// Exec implements runtime.Streamer by the programs of programs.go.
func (r *Runtime) Exec(_ context.Context, instance *v1alpha1.Instance, container *runtime.Container, command []string, streams runtime.StreamOptions) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		remotecommand.ServeExec(w, req, executor{instance, container.Name}, instance.Name, string(instance.UID), container.Name, command, serverOptions(streams),
			idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
	}), nil
}

// Attach implements runtime.Streamer: the output of the program is that of the log from now on.
func (r *Runtime) Attach(_ context.Context, instance *v1alpha1.Instance, container *runtime.Container, streams runtime.StreamOptions) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		remotecommand.ServeAttach(w, req, attacher{r, instance, container}, instance.Name, string(instance.UID), container.Name, serverOptions(streams),
			idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
	}), nil
}

// PortForward implements runtime.Streamer: an HTTP server answers on the ports of the containers.
func (r *Runtime) PortForward(_ context.Context, instance *v1alpha1.Instance) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		portforward.ServePortForward(w, req, forwarder{instance}, instance.Name, string(instance.UID), &portforward.V4Options{},
			idleTimeout, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
	}), nil
}

func serverOptions(streams runtime.StreamOptions) *remotecommand.Options {
	return &remotecommand.Options{Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr, TTY: streams.TTY}
}

// attacher implements remotecommand.Attacher.
type attacher struct {
	runtime   *Runtime
	instance  *v1alpha1.Instance
	container *runtime.Container
}

// AttachContainer implements remotecommand.Attacher. The program reads no input.
func (a attacher) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if in != nil {
		go func() { // the end of the input is the end of the connection
			_, _ = io.Copy(io.Discard, in)
			cancel()
		}()
	}
	if out == nil {
		<-ctx.Done()
		return nil
	}
	return a.runtime.WriteLog(ctx, a.instance, a.container, runtime.LogOptions{Follow: true, TailLines: new(int64), Stdout: true, Stderr: true}, terminal(out, tty))
}

// terminal returns a writer that ends lines as a terminal needs it.
func terminal(out io.Writer, tty bool) io.Writer {
	if !tty {
		return out
	}
	return crlf{out}
}

type crlf struct{ io.Writer }

// Write implements io.Writer.
func (c crlf) Write(data []byte) (int, error) {
	if _, err := io.WriteString(c.Writer, strings.ReplaceAll(string(data), "\n", "\r\n")); err != nil {
		return 0, err
	}
	return len(data), nil
}

// forwarder implements portforward.PortForwarder.
type forwarder struct{ instance *v1alpha1.Instance }

// PortForward implements portforward.PortForwarder. It answers one request.
func (f forwarder) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer func() { _ = stream.Close() }()
	container := f.listener(port)
	if container == "" {
		return fmt.Errorf("connection refused: no container of the instance %s has the containerPort %d", f.instance.Name, port)
	}
	request, err := http.ReadRequest(bufio.NewReader(stream))
	if err != nil {
		return fmt.Errorf("the simulated port %d understands HTTP only: %w", port, err)
	}
	text := fmt.Sprintf("%s %s: container %s of %s/%s listens on port %d. It is simulated, no program runs.\n", request.Method, request.URL.Path, container, f.instance.Namespace, f.instance.Name, port)
	response := &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Close: true, Request: request,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text)),
	}
	return response.Write(stream)
}

// listener returns the name of the container with the port; empty if there is none.
func (f forwarder) listener(port int32) string {
	for i := range f.instance.Spec.Containers {
		c := &f.instance.Spec.Containers[i]
		if slices.ContainsFunc(c.Ports, func(p v1alpha1.ContainerPort) bool { return p.ContainerPort == port }) {
			return c.Name
		}
	}
	return ""
}

var _ remotecommand.Executor = executor{}
