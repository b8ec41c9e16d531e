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

package serving

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/google/uuid"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
)

// Listen returns the listener of the options, or opens the port. The options do not change.
func (o *Options) Listen() (net.Listener, error) {
	if o.Listener != nil {
		return o.Listener, nil
	}
	address := &net.TCPAddr{IP: o.BindAddress, Port: o.BindPort}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address or port with --listen (gatehouse apiserver: --bind-address, --secure-port)", address, err)
	}
	return listener, nil
}

// Apply bounds the connections of the listener and configures TLS, for clients and for the
// server's own loopback client. The files are those of the server's own certificate.
func (o *Options) Apply(generic *genericapiserver.Config, listener net.Listener, certFile, keyFile string) error {
	most, err := limits.MaxConnections()
	if err != nil {
		return err
	}
	serving := *o.SecureServingOptions
	serving.Listener = limits.NewConnections(listener, most)
	if o.OwnCertificate() {
		serving.ServerCert.CertKey.CertFile = certFile
		serving.ServerCert.CertKey.KeyFile = keyFile
	}
	if err := serving.ApplyTo(&generic.SecureServing); err != nil {
		return err
	}
	// The library's own loopback certificate is an RSA one, which takes up to 300 ms.
	loopback, trust, err := certificates.Loopback(genericapiserver.LoopbackClientServerNameOverride, time.Now())
	if err != nil {
		return err
	}
	generic.SecureServing.SNICerts = append([]dynamiccertificates.SNICertKeyContentProvider{loopback}, generic.SecureServing.SNICerts...)
	generic.LoopbackClientConfig, err = generic.SecureServing.NewLoopbackClientConfig(uuid.NewString(), trust)
	if err != nil {
		return err
	}
	// As in kube-apiserver: compression gains nothing within a process.
	generic.LoopbackClientConfig.DisableCompression = true
	return nil
}
