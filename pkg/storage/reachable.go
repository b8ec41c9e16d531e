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

package storage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// dialTimeout is how long one endpoint has to take a connection and to say who it is.
const dialTimeout = 3 * time.Second

// hello opens a conversation in HTTP/2 with no settings, as every client of etcd does.
const hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// CheckReachable returns an error unless at least one endpoint takes a connection and, with
// https, both sides accept each other's certificate: the etcd client would try for twenty
// seconds and then name neither the endpoint nor the reason. What etcd itself says comes
// later.
func CheckReachable(ctx context.Context, to Connection) error {
	config, err := to.tlsConfig()
	if err != nil {
		return err
	}
	var reasons []string
	for _, endpoint := range to.Endpoints {
		err := check(ctx, endpoint, config)
		if err == nil {
			return nil
		}
		reasons = append(reasons, endpoint+": "+err.Error())
	}
	return errors.New(strings.Join(reasons, "; "))
}

// tlsConfig is what the etcd client makes of the files.
func (c Connection) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--etcd-cafile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--etcd-cafile: there is no certificate in %s", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--etcd-certfile, --etcd-keyfile: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func check(ctx context.Context, endpoint string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	u, network, address, err := dialAddress(endpoint)
	if err != nil {
		return err
	}
	plain, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("%w: start it, or correct the URL", err)
	}
	defer plain.Close()
	if u.Scheme != "https" {
		return nil
	}
	config = config.Clone()
	config.ServerName = u.Hostname()
	secure := tls.Client(plain, config)
	var refused *tls.CertificateVerificationError
	switch err := secure.HandshakeContext(ctx); {
	case errors.As(err, &refused):
		return fmt.Errorf("%w: --etcd-cafile must hold the authority of etcd's certificate, and that must be good for %s", err, u.Hostname())
	case err != nil:
		return fmt.Errorf("%w: is this etcd's port for clients, with TLS?", err)
	}
	return refusedClient(ctx, secure)
}

// refusedClient returns an error if the server does not take the client certificate: since TLS
// 1.3 that is heard no sooner than with the first answer. Any other end of the
// conversation is not judged here.
func refusedClient(ctx context.Context, conn net.Conn) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// A server that hangs up at once makes the write fail; the read still has its reason.
	_, _ = conn.Write([]byte(hello))
	_, err := conn.Read(make([]byte, 1))
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "remote error" {
		return fmt.Errorf("etcd refuses the client certificate (%w): --etcd-certfile must be of an authority that etcd trusts, and valid", err)
	}
	return nil
}

// dialAddress is what a dialer makes of an endpoint's URL; etcd's port is 2379 unless said.
func dialAddress(endpoint string) (u *url.URL, network, address string, err error) {
	u, err = url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, "", "", err
	case u.Scheme == "unix":
		return u, "unix", u.Host + u.Path, nil
	case u.Port() == "":
		return u, "tcp", net.JoinHostPort(u.Hostname(), "2379"), nil
	}
	return u, "tcp", u.Host, nil
}
