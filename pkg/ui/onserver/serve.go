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

package onserver

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"golang.org/x/net/netutil"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/ui"
)

// mostConnections bounds the connections of browsers.
const mostConnections = 1000

// Apply opens the port of the page, wraps the authenticator and the handler chain, which must be set, and
// serves the page while the server runs. names are those by which browsers reach the server, besides the
// address. The result is nil if the options have no address.
func Apply(generic *genericapiserver.Config, o Options, names []string) (*Page, error) {
	if o.Listen == "" {
		return nil, nil
	}
	if generic.Authentication.Authenticator == nil || generic.SecureServing == nil || generic.LoopbackClientConfig == nil {
		return nil, errors.New("the page needs an authenticator, a serving certificate and the loopback client")
	}
	listener, err := o.listen()
	if err != nil {
		return nil, err
	}
	p, err := newPage(generic, listener, names)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return p, nil
}

func newPage(generic *genericapiserver.Config, listener net.Listener, names []string) (*Page, error) {
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("--%s: %s is no TCP address", listenFlag, listener.Addr())
	}
	p := &Page{
		sessions: ui.NewSessions(ui.ServerLimits, clock.RealClock{}), loopback: generic.LoopbackClientConfig, listener: listener,
		address: linkAddress(address, names), credentials: generic.Authentication.Authenticator, users: map[[sha256.Size]byte]user.Info{},
	}
	handler, err := ui.NewHandler(ui.Config{
		Sessions: p.sessions, Mode: ui.ModeServer, Server: p.address, Secure: true, Authorities: authorities(names, fmt.Sprint(address.Port)),
	})
	if err != nil {
		return nil, err
	}
	p.handler = handler
	generic.Authentication.Authenticator = p.wrap(p.credentials)
	buildChain := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return withCreation(buildChain(handler, c))
	}
	certificate := &certificate{provider: generic.SecureServing.Cert}
	return p, generic.AddPostStartHook("serve-page", func(hook genericapiserver.PostStartHookContext) error {
		go p.serve(hook, certificate)
		return nil
	})
}

// serve serves the page until the context ends.
func (p *Page) serve(ctx context.Context, c *certificate) {
	// Without ClientAuth, so that a browser does not let its user choose a certificate.
	secure := tls.NewListener(netutil.LimitListener(p.listener, mostConnections), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, GetCertificate: c.get,
	})
	klog.FromContext(ctx).Info("Serving the page", "url", p.address+"/ui/")
	if err := ui.Serve(ctx, secure, p.handler, errors.New("the server stops")); err != nil {
		klog.FromContext(ctx).Error(err, "Serving the page failed")
	}
}

// certificate returns the current serving certificate, which its owner replaces on renewal.
type certificate struct {
	provider dynamiccertificates.CertKeyContentProvider

	mu     sync.Mutex
	pem    string
	parsed *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.provider == nil {
		return nil, errors.New("the server has no serving certificate")
	}
	certPEM, keyPEM := c.provider.CurrentCertKeyContent()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed != nil && c.pem == string(certPEM) {
		return c.parsed, nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	c.pem, c.parsed = string(certPEM), &pair
	return c.parsed, nil
}
