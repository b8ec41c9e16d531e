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

package peers

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

const (
	// connectTimeout bounds the connection to another server, and answerTimeout all until it has answered. The second is longer
	// than the time in which it waits for an agent.
	connectTimeout, answerTimeout = 3 * time.Second, 12 * time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 16 << 10
)

// keepAlive finds the end of a server whose machine is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// dial opens a stream to the agent of a host through another server. Each stream is a connection of its own: on a shared
// one, users that do not read would delay the others.
func (p *Peers) dial(ctx context.Context, to Replica, host string) (net.Conn, error) {
	conn, err := p.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	// It ends now if the context ends before the answer, and later with the stream.
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	stream, err := ask(conn, to, host)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return stream, nil
}

// connect opens the connection. Both ends prove to have the key of a certificate in the directory.
func (p *Peers) connect(ctx context.Context, to Replica) (net.Conn, error) {
	certificate, err := x509.ParseCertificate(to.Certificate)
	if err != nil {
		return nil, fmt.Errorf("its certificate in etcd: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	dialer := tls.Dialer{NetDialer: &net.Dialer{KeepAliveConfig: keepAlive}, Config: &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: serverName, NextProtos: []string{"http/1.1"}, // HTTP/2 has no upgrade
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.certificate, nil },
	}}
	connecting, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no connection in %s", connectTimeout))
	defer cancel()
	conn, err := dialer.DialContext(connecting, "tcp", to.Address)
	if err != nil && connecting.Err() != nil {
		err = context.Cause(connecting)
	}
	return conn, err
}

// ask requests the stream of a host.
func ask(conn net.Conn, to Replica, host string) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	request := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: to.Address, Path: PathPrefix + host}, Host: to.Address,
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocol}, "User-Agent": {"gatehouse/peer"}},
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxAnswer}
	buffered := bufio.NewReader(limited)
	response, err := http.ReadResponse(buffered, request)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return nil, fmt.Errorf("no answer in %s", answerTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		return nil, answerError(response.StatusCode, strings.TrimSpace(string(text)))
	}
	if response.Header.Get("Upgrade") != protocol {
		return nil, errors.New("it switches to another protocol than " + protocol)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	limited.N = math.MaxInt64
	return &bufferedConn{conn, buffered}, nil
}

// answerError returns the error of an answer that opens no stream.
func answerError(code int, text string) error {
	switch code {
	case http.StatusNotFound:
		return tunnel.ErrNotConnected
	case http.StatusBadGateway:
		return &holderError{text}
	}
	return fmt.Errorf("it answers with %d: %s", code, text)
}

// bufferedConn is a connection of which some bytes have been read.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements net.Conn.
func (c *bufferedConn) Read(data []byte) (int, error) { return c.reader.Read(data) }
