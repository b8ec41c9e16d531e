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
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	restclient "k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// Server has its groups installed and writes its bootstrap objects. It cannot run: Prepare returns
// the server that can.
type Server struct {
	generic *genericapiserver.GenericAPIServer

	bootstrap    []BootstrapObject
	bootstrapped chan error
	storages     map[schema.GroupResource]rest.Storage
	informers    *StoreInformers // nil if a cluster has the objects
	buildOpenAPI func()
	encryption   *storage.Encryption
}

// PreparedServer has written its bootstrap objects and can run. Only Server.Prepare makes one.
type PreparedServer struct {
	server   *Server
	prepared interface {
		RunWithContext(context.Context) error
	}
}

// Prepare installs the health checks and returns once the bootstrap objects are written. After an
// error the server is destroyed.
func (s *Server) Prepare() (*PreparedServer, error) {
	prepared := s.generic.PrepareRun()
	if err := s.waitBootstrapped(); err != nil {
		s.generic.Destroy()
		return nil, err
	}
	return &PreparedServer{server: s, prepared: prepared}, nil
}

// Destroy releases the storages of a server that will not run.
func (p *PreparedServer) Destroy() { p.server.generic.Destroy() }

// LoopbackClientConfig returns the configuration of a client in this process.
func (p *PreparedServer) LoopbackClientConfig() *restclient.Config {
	return p.server.generic.LoopbackClientConfig
}

// BuildOpenAPI builds the documents that clients request before their first write, unless they
// exist. Without it the first client waits.
func (p *PreparedServer) BuildOpenAPI() { p.server.buildOpenAPI() }

// Run serves until the context ends and requests and watches are drained.
func (p *PreparedServer) Run(ctx context.Context) error {
	drained := make(chan struct{})
	defer close(drained)
	go closeIdleLoopback(ctx, drained, p.LoopbackClientConfig())
	return p.prepared.RunWithContext(ctx)
}

// closeIdleLoopback closes the idle connections of this process to itself, from the start of the
// shutdown until the server has drained. The library sends GOAWAY to the HTTP/2 connections that
// exist when the shutdown starts; a connection that is established at that moment gets none and
// delays the shutdown by a minute.
func closeIdleLoopback(serving context.Context, drained <-chan struct{}, loopback *restclient.Config) {
	<-serving.Done()
	transport, err := restclient.TransportFor(loopback)
	if err != nil {
		return // such a configuration has no connections
	}
	wait.Until(func() { utilnet.CloseIdleConnectionsFor(transport) }, 50*time.Millisecond, drained)
}

// readyPoll is the time between two requests of WaitReady.
const readyPoll = 5 * time.Millisecond

// WaitReady polls /readyz until it passes, without the checks of etcd's space: a server with a full
// database serves reads and deletes, and needs its controllers for the latter.
func (p *PreparedServer) WaitReady(ctx context.Context) error {
	loopback := p.LoopbackClientConfig()
	client, err := restclient.HTTPClientFor(loopback)
	if err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, readyPoll, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, loopback.Host+"/readyz?exclude="+storage.SpaceCheck+"&exclude="+storage.DiskCheck, nil)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			return false, nil
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}
