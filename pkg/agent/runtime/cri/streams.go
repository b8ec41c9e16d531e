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
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/proxy"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var _ runtime.Streamer = &Runtime{}

// Exec implements runtime.Streamer.
func (r *Runtime) Exec(ctx context.Context, _ *v1alpha1.Instance, container *runtime.Container, command []string, streams runtime.StreamOptions) (http.Handler, error) {
	response, err := r.cri.Exec(quiet(ctx), &criv1.ExecRequest{
		ContainerId: idOf(container), Cmd: command, Tty: streams.TTY, Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("the runtime refuses to execute the command: %s", text(err))
	}
	return streamProxy(response.Url)
}

// Attach implements runtime.Streamer.
func (r *Runtime) Attach(ctx context.Context, _ *v1alpha1.Instance, container *runtime.Container, streams runtime.StreamOptions) (http.Handler, error) {
	response, err := r.cri.Attach(quiet(ctx), &criv1.AttachRequest{
		ContainerId: idOf(container), Tty: streams.TTY, Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("the runtime refuses to attach: %s", text(err))
	}
	return streamProxy(response.Url)
}

// PortForward implements runtime.Streamer.
func (r *Runtime) PortForward(ctx context.Context, instance *v1alpha1.Instance) (http.Handler, error) {
	r.mu.Lock()
	id := ""
	if p := r.pods[instance.UID]; p != nil && p.newest() != nil && p.newest().ready {
		id = p.newest().id
	}
	r.mu.Unlock()
	if id == "" {
		return nil, fmt.Errorf("the instance %s has no running sandbox", instance.Name)
	}
	response, err := r.cri.PortForward(quiet(ctx), &criv1.PortForwardRequest{PodSandboxId: id})
	if err != nil {
		return nil, fmt.Errorf("the runtime refuses to forward ports: %s", text(err))
	}
	return streamProxy(response.Url)
}

// idOf returns the ID of a container at the runtime.
func idOf(container *runtime.Container) string {
	_, id, _ := strings.Cut(container.ID, "://")
	return id
}

// streamHeaders are the headers of a request for an upgrade. The runtime gets no others of the client.
var streamHeaders = map[string]bool{"Connection": true, "Upgrade": true, "X-Stream-Protocol-Version": true}

// streamProxy returns a handler that connects a request to the runtime's streaming server. That server
// trusts each client that knows the token in the URL, so it is reached on this machine only.
func streamProxy(location string) (http.Handler, error) {
	target, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("the streaming server of the runtime has an invalid URL: %w", err)
	}
	if ip := net.ParseIP(target.Hostname()); target.Scheme != "http" || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the streaming server of the runtime is at %s://%s and not at http://127.0.0.1: correct the runtime's configuration (containerd: stream_server_address, enable_tls_streaming)", target.Scheme, target.Host)
	}
	handler := proxy.NewUpgradeAwareHandler(target, nil, false, true, streamFailure{})
	handler.UseLocationHost = true
	handler.RejectForwardingRedirects = true
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		sent := req.Clone(req.Context())
		for name := range sent.Header {
			if !streamHeaders[name] {
				sent.Header.Del(name)
			}
		}
		handler.ServeHTTP(w, sent)
	}), nil
}

// streamFailure responds to a request that the runtime did not accept.
type streamFailure struct{}

// Error implements proxy.ErrorResponder.
func (streamFailure) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, "the connection to the runtime's streaming server failed: "+err.Error(), http.StatusBadGateway)
}
