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

package testing

import (
	"context"
	"net"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/serving"
)

// StartUnready runs a server on a data directory until the test ends, and waits only until it
// responds: for servers that cannot become ready.
func StartUnready(t testing.TB, dataDir string) *Server {
	t.Helper()
	o := options.NewOptions()
	o.Mode, o.DataDir, o.Controllers = options.ModeStandalone, dataDir, manager.ClusterControllers()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Serving.Listener = listener
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &Server{DataDir: dataDir, URL: serving.ClientURL(listener.Addr()), Kubeconfig: completed.KubeconfigFile(), cancel: cancel, stopped: make(chan error, 1)}
	go func() { s.stopped <- app.Run(ctx, completed, app.Observer{}) }()
	t.Cleanup(func() { _ = s.Stop() })
	deadline := time.Now().Add(startTimeout)
	for !s.alive(t) {
		if time.Now().After(deadline) {
			t.Fatal("the server does not answer within a minute")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return s
}

// alive reads the kubeconfig, which every start writes, and sends one request.
func (s *Server) alive(t testing.TB) bool {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil || config.Host != s.URL {
		return false
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(config.Host + "/livez/ping")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	config.QPS = -1
	s.Config = config
	return response.StatusCode == 200
}
