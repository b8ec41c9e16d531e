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

package streams

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// The endpoints that clients upgrade. As those of pods, they take GET, for WebSockets, and POST, for SPDY.
type (
	// ExecREST is instances/exec: it runs a command in a container.
	ExecREST struct{ upgraded }
	// AttachREST is instances/attach: it attaches to the program of a container.
	AttachREST struct{ upgraded }
	// PortForwardREST is instances/portforward: it forwards connections to ports of an instance.
	PortForwardREST struct{ upgraded }
)

var (
	_ rest.Connecter = &ExecREST{}
	_ rest.Connecter = &AttachREST{}
	_ rest.Connecter = &PortForwardREST{}
)

// upgraded is what the endpoints share.
type upgraded struct{ *Config }

// Endpoints returns instances/log, exec, attach and portforward.
func (c *Config) Endpoints() (log, exec, attach, portForward rest.Storage) {
	return &LogREST{c}, &ExecREST{upgraded{c}}, &AttachREST{upgraded{c}}, &PortForwardREST{upgraded{c}}
}

// Destroy implements rest.Storage.
func (upgraded) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (upgraded) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// New implements rest.Storage.
func (r *ExecREST) New() runtime.Object { return &fleet.InstanceExecOptions{} }

// New implements rest.Storage.
func (r *AttachREST) New() runtime.Object { return &fleet.InstanceAttachOptions{} }

// New implements rest.Storage.
func (r *PortForwardREST) New() runtime.Object { return &fleet.InstancePortForwardOptions{} }

// NewConnectOptions implements rest.Connecter.
func (r *ExecREST) NewConnectOptions() (runtime.Object, bool, string) { return r.New(), false, "" }

// NewConnectOptions implements rest.Connecter.
func (r *AttachREST) NewConnectOptions() (runtime.Object, bool, string) { return r.New(), false, "" }

// NewConnectOptions implements rest.Connecter.
func (r *PortForwardREST) NewConnectOptions() (runtime.Object, bool, string) {
	return r.New(), false, ""
}

// Connect runs a command.
func (r *ExecREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*fleet.InstanceExecOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T are no InstanceExecOptions", options))
	}
	if len(o.Command) == 0 {
		return nil, apierrors.NewBadRequest("command: a command is required")
	}
	streams := translator.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
	return r.command(ctx, name, "exec", o.Container, streams, o.Command, responder)
}

// Connect attaches to a container.
func (r *AttachREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*fleet.InstanceAttachOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T are no InstanceAttachOptions", options))
	}
	streams := translator.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
	return r.command(ctx, name, "attach", o.Container, streams, nil, responder)
}

// command returns the handler of exec and attach. Agents speak SPDY; WebSockets are translated here.
func (r upgraded) command(ctx context.Context, name, endpoint, container string, o translator.Options, command []string, responder rest.Responder) (http.Handler, error) {
	if err := r.mayCreate(ctx); err != nil {
		return nil, err
	}
	switch {
	case !o.Stdin && !o.Stdout && !o.Stderr:
		return nil, apierrors.NewBadRequest("at least one of stdin, stdout and stderr must be true")
	case o.Tty && o.Stderr:
		return nil, apierrors.NewBadRequest("tty and stderr cannot both be true: a terminal has one output")
	}
	of, err := r.find(ctx, name, container)
	if err != nil {
		return nil, err
	}
	// A kubelet has other names for these parameters than the API.
	query := url.Values{"command": command}
	for parameter, set := range map[string]bool{"input": o.Stdin, "output": o.Stdout, "error": o.Stderr, "tty": o.Tty} {
		if set {
			query.Set(parameter, "1")
		}
	}
	transport, err := r.transport(ctx, of.Spec.HostName)
	if err != nil {
		return nil, err
	}
	at := location(of.Instance, query, of.container, endpoint)
	handler := upgradeHandler(at, transport, responder)
	return translator.NewTranslatingHandler(handler, translator.NewStreamTranslatorHandler(at, transport, 0, o), wsstream.IsWebSocketRequestWithStreamCloseProtocol), nil
}

// Connect forwards ports.
func (r *PortForwardREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*fleet.InstancePortForwardOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T are no InstancePortForwardOptions", options))
	}
	if err := r.mayCreate(ctx); err != nil {
		return nil, err
	}
	instance, err := r.instance(ctx, name)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, port := range o.Ports {
		query.Add("port", strconv.Itoa(int(port)))
	}
	transport, err := r.transport(ctx, instance.Spec.HostName)
	if err != nil {
		return nil, err
	}
	handler := upgradeHandler(location(instance, query, "portforward"), transport, responder)
	return translator.NewTranslatingHandler(handler, translator.NewTunnelingHandler(handler), wsstream.IsWebSocketRequestWithTunnelingProtocol), nil
}

// upgradeHandler passes an upgraded connection on. It refuses redirects, which a kubelet never sends and an agent that is
// compromised may.
func upgradeHandler(at *url.URL, transport http.RoundTripper, responder rest.Responder) http.Handler {
	handler := proxy.NewUpgradeAwareHandler(at, transport, false, true, proxy.NewErrorResponder(responder))
	handler.RejectForwardingRedirects = true
	return handler
}
