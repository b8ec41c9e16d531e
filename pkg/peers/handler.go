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
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

const (
	// PathPrefix is that of the paths for other servers; the name of a host follows.
	PathPrefix = "/peer/hosts/"
	// protocol is in the Upgrade header of their requests.
	protocol = v1alpha1.Domain + "/peer-v1"
)

// Wrap serves the paths for other servers in front of the chain of handlers, which decides about users. No user has
// rights there, administrators included, and other servers have no rights elsewhere: the chain does not know their certificates.
func (p *Peers) Wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, ok := strings.CutPrefix(r.URL.Path, PathPrefix)
		if !ok {
			handler.ServeHTTP(w, r)
			return
		}
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || !p.trusts(r) {
			http.Error(w, "only the other servers of this API may open streams here: use logs, exec, attach or portforward of an instance", http.StatusForbidden)
			return
		}
		if p.authenticated != nil {
			p.authenticated(r.RemoteAddr, User)
		}
		if err := p.serve(w, r, host); err != nil {
			http.Error(w, err.Error(), codeOf(err))
		}
	})
}

// trusts returns true if the client has proved in the handshake to have the key of a certificate in the directory.
// The name is compared first: certificates of users cause no reads.
func (p *Peers) trusts(r *http.Request) bool {
	certificate := r.TLS.PeerCertificates[0]
	return certificate.Subject.CommonName == User && p.Knows(r.Context(), certificate.Raw)
}

// errProtocol is the error of a request that asks for something else than a stream.
var errProtocol = errors.New("a stream needs POST with the header Upgrade: " + protocol + ", by HTTP/1.1")

func codeOf(err error) int {
	switch {
	case errors.Is(err, tunnel.ErrNotConnected):
		return http.StatusNotFound
	case errors.Is(err, errProtocol):
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// serve passes the bytes of another server to the tunnel of a host, until one end closes, this server stops or the tunnel
// ends. An error comes before anything is written.
func (p *Peers) serve(w http.ResponseWriter, r *http.Request, host string) error {
	if r.Method != http.MethodPost || r.Header.Get("Upgrade") != protocol || r.ProtoMajor != 1 {
		return errProtocol
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ended, cancel)()
	stream, err := p.tunnels.Dial(ctx, host)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return errProtocol
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol); err == nil {
		bridge(ctx, &bufferedConn{conn, buffered.Reader}, stream)
	}
	return nil
}

// bridge copies in both directions until one of them has ended.
func bridge(ctx context.Context, a, b net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, ends := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			defer cancel()
			_, _ = io.Copy(ends[0], ends[1])
		}()
	}
	<-ctx.Done()
}
