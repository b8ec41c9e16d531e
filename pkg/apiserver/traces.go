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

package apiserver

import (
	"context"
	"net"
	"net/http"
	"os"

	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"

	diagnosticsapi "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/requesttrace"
)

// Traces are the inputs of request traces.
type Traces struct {
	diagnostics.Options
	// Explain adds what is computed when a client gets a trace; nil for nothing.
	Explain func(ctx context.Context, trace *diagnosticsapi.RequestTrace)
}

// traced records the requests of a handler chain.
type traced struct {
	recorder *diagnostics.Recorder
	server   string
	off      bool
}

func newTraced(options diagnostics.Options, library *genericapiserver.Config) *traced {
	server := serverName(library)
	return &traced{
		recorder: diagnostics.New(diagnostics.Config{Options: options, Server: server, Serializer: library.Serializer}),
		server:   server,
		off:      options.Mode == diagnostics.Off,
	}
}

// serverName identifies this server among its replicas: the name of its machine or pod, and its port.
func serverName(library *genericapiserver.Config) string {
	host, err := os.Hostname()
	if err != nil || library.SecureServing == nil || library.SecureServing.Listener == nil {
		return library.APIServerID
	}
	_, port, err := net.SplitHostPort(library.SecureServing.Listener.Addr().String())
	if err != nil {
		return host
	}
	return net.JoinHostPort(host, port)
}

// config returns a configuration of the chain whose parts record what they say.
func (t *traced) config(c *genericapiserver.Config) *genericapiserver.Config {
	if t.off {
		return c
	}
	recorded := *c
	recorded.RequestInfoResolver = diagnostics.WithRequestInfo(c.RequestInfoResolver)
	if c.Authentication.Authenticator != nil {
		recorded.Authentication.Authenticator = diagnostics.WithAuthenticator(c.Authentication.Authenticator)
	}
	if c.Authorization.Authorizer != nil {
		recorded.Authorization.Authorizer = diagnostics.WithAuthorizer(c.Authorization.Authorizer)
	}
	if c.FlowControl != nil {
		recorded.FlowControl = diagnostics.WithFlowControl(c.FlowControl)
	}
	return &recorded
}

// at notes that requests which reach a handler are at a gate.
func (t *traced) at(gate func(*http.Request) diagnostics.Gate, handler http.Handler) http.Handler {
	if t.off {
		return handler
	}
	return diagnostics.AtGate(handler, gate)
}

// limits is the gate of the filters around the chain and after authorization.
func limits(*http.Request) diagnostics.Gate { return diagnostics.Limits }

// served is the gate of a request that reaches the API: the body of a write is read first.
func served(r *http.Request) diagnostics.Gate {
	info, ok := request.RequestInfoFrom(r.Context())
	switch {
	case !ok || !info.IsResourceRequest:
		return diagnostics.Limits
	case r.Method == http.MethodGet:
		return diagnostics.Storage
	}
	return diagnostics.Decoding
}

// storage has the inputs of the storage of traces.
func (t *traced) storage(c *Config) requesttrace.Config {
	return requesttrace.Config{Source: t.recorder, Server: t.server, Authorizer: c.Generic.Authorization.Authorizer, Explain: c.Traces.Explain}
}
