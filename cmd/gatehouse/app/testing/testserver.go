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

// Package testing starts the real server for tests: the real options, a free port, an
// embedded etcd in a temporary directory, and a tear-down.
package testing

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// Server is a running server.
type Server struct {
	// URL is its address.
	URL string
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// DataDir is the server's data directory; after Stop another server can be started on it.
	DataDir string
	// Config is the administrator's client configuration, without client-side rate limits.
	Config *rest.Config

	cancel  context.CancelFunc
	stopped chan error
}

// startTimeout is far longer than a start needs, for a machine that is busy with other tests.
const startTimeout = time.Minute

// Start runs a server in this process until the test ends. change may set options before
// they are completed; the others have the defaults of a standalone server.
func Start(t testing.TB, change ...func(*options.Options)) *Server {
	t.Helper()
	server, err := start(t.Context(), tempDir(t), change...)
	if err != nil {
		t.Fatalf("starting the server: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stopping the server: %v", err)
		}
	})
	return server
}

// tempDir is short, because a unix socket's path must be, and outlives the server.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(ctx context.Context, dataDir string, change ...func(*options.Options)) (*Server, error) {
	o := options.NewOptions()
	o.Mode = options.ModeStandalone
	o.DataDir = dataDir
	// Controllers of the fleet would interfere with tests that do their work; a test enables them.
	o.Controllers = manager.ClusterControllers()
	for _, f := range change {
		f(o)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o.Serving.Listener = listener
	completed, err := o.Complete()
	if err != nil {
		return nil, err
	}
	for _, err := range completed.Validate() {
		return nil, err
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{DataDir: completed.DataDir, cancel: cancel, stopped: make(chan error, 1)}
	ready := make(chan app.Ready, 1)
	go func() {
		s.stopped <- app.Run(ctx, completed, app.Observer{Ready: func(r app.Ready) { ready <- r }})
	}()
	select {
	case r := <-ready:
		s.URL, s.Kubeconfig = r.URL, r.Kubeconfig
	case err := <-s.stopped:
		cancel()
		return nil, err
	case <-time.After(startTimeout):
		cancel()
		return nil, context.DeadlineExceeded
	}
	s.Config, err = clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return nil, err
	}
	s.Config.QPS = -1
	return s, nil
}

// Stop ends the server as SIGTERM does and returns what Run returned. Calling it again is
// harmless.
func (s *Server) Stop() error {
	s.cancel()
	err, ok := <-s.stopped
	if ok {
		close(s.stopped)
	}
	return err
}
