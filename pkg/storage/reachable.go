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

	clientv3 "go.etcd.io/etcd/client/v3"
)

// dialTimeout bounds the connection and the TLS handshake with one endpoint.
const dialTimeout = 3 * time.Second

// clientTimeout bounds the first connection of a client.
const clientTimeout = 5 * time.Second

// hello is the preface of an HTTP/2 connection with empty settings, which every etcd client sends.
const hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// CheckReachable returns an error unless at least one endpoint accepts a connection and, with
// https, both sides accept each other's certificate. The etcd client would retry for 20 seconds and
// then name neither the endpoint nor the reason. CheckReachable sends no request to etcd.
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

// ClientConfig returns the configuration of a client of the etcd, whose requests end with the context.
func (c Connection) ClientConfig(ctx context.Context) (clientv3.Config, error) {
	config := clientv3.Config{Endpoints: c.Endpoints, DialTimeout: clientTimeout, Context: ctx}
	if c.CAFile == "" && c.CertFile == "" {
		return config, nil
	}
	var err error
	config.TLS, err = c.tlsConfig()
	return config, err
}

// tlsConfig returns the TLS configuration that the etcd client makes of the files.
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

// refusedClient returns an error if the server refuses the client certificate: since TLS 1.3 the
// client learns that with the first response only. It ignores any other end of the connection.
func refusedClient(ctx context.Context, conn net.Conn) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// If the server closes the connection at once, the write fails and the read has the reason.
	_, _ = conn.Write([]byte(hello))
	_, err := conn.Read(make([]byte, 1))
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "remote error" {
		return fmt.Errorf("etcd refuses the client certificate (%w): --etcd-certfile must be of an authority that etcd trusts, and valid", err)
	}
	return nil
}

// dialAddress returns the network and address of an endpoint's URL; the default port is 2379.
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
