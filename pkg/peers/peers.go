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
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

const (
	// User is the name in the certificates of servers. It has no rights: a certificate of this name counts only if it
	// is in the Directory, and only at PathPrefix.
	User = "system:gatehouse:peer"
	// serverName is the name for which these certificates are valid, and by which a server selects its own.
	serverName = "peer.gatehouse.internal"
	// patience is the time after which all servers are asked although the expected one may still answer.
	patience = 500 * time.Millisecond
	// maxHints bounds the number of hosts whose server is remembered.
	maxHints = 20_000
)

// Config has the inputs of New.
type Config struct {
	// Tunnels are those of hosts to this server.
	Tunnels *tunnel.Registry
	// Client is that of the etcd that the servers share. Run closes it.
	Client *clientv3.Client
	// Prefix is that of the objects in etcd.
	Prefix string
	// Address is the host and the port at which other servers reach this one.
	Address string
	// Authenticated is called for the connection of each request of another server, with User; nil for nothing.
	Authenticated func(address, user string)
}

// Peers are the other servers of this API.
type Peers struct {
	*Directory
	tunnels       *tunnel.Registry
	pair          certificates.KeyPair
	certificate   tls.Certificate
	authenticated func(address, user string)
	// ended ends the streams of other servers.
	ended context.Context
	// streams is the number of streams through other servers.
	streams atomic.Int64

	mu sync.Mutex
	// hints have the servers that held the tunnels of hosts when they were last asked.
	hints map[string]string
}

// New returns the other servers, and a new identity of this one. Streams of others end with the context.
func New(ctx context.Context, config Config) (*Peers, error) {
	pair, err := certificates.Replica(User, serverName, time.Now())
	if err != nil {
		return nil, fmt.Errorf("a certificate for other servers: %w", err)
	}
	own := Replica{ID: uuid.NewString(), Address: config.Address, Certificate: pair.Cert.Raw}
	return &Peers{
		Directory: newDirectory(ctx, config.Client, config.Prefix, own), tunnels: config.Tunnels, authenticated: config.Authenticated, ended: ctx,
		pair: pair, certificate: tls.Certificate{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key, Leaf: pair.Cert},
		hints: map[string]string{},
	}, nil
}

// Certificate is for the listener of this server: other servers ask for it by a name that nobody else uses.
func (p *Peers) Certificate() (dynamiccertificates.SNICertKeyContentProvider, error) {
	return dynamiccertificates.NewStaticSNICertKeyContent("peers", p.pair.CertPEM, p.pair.KeyPEM, serverName)
}

// Dial opens a stream to the agent of a host, through the tunnel to this server or to another one. The stream ends with
// the context. The error wraps tunnel.ErrNotConnected if all servers have answered that they do not hold the tunnel.
//
// The servers are asked at the same time, and the first stream counts: a server may still hold a tunnel of which it has
// not noticed that it is broken, and no agent accepts a stream there. This server, or the one that had the
// tunnel before, is asked first.
func (p *Peers) Dial(ctx context.Context, host string) (net.Conn, error) {
	r := newRace()
	defer close(r.ended)
	asked := ""
	if p.tunnels.Connected(host) {
		r.start(ctx, Replica{}, func(ctx context.Context) (net.Conn, error) { return p.tunnels.Dial(ctx, host) })
	} else if known, ok := p.hinted(host); ok {
		asked = known.ID
		r.start(ctx, known, func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, known, host) })
	}
	if won := r.wait(ctx, time.After(patience)); won != nil {
		return p.won(host, won), nil
	}
	others, err := p.Others(ctx)
	if err != nil {
		r.failed = append(r.failed, err.Error())
	}
	for _, other := range others {
		if other.ID != asked {
			r.start(ctx, other, func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, other, host) })
		}
	}
	if won := r.wait(ctx, nil); won != nil {
		return p.won(host, won), nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p.hint(host, "")
	return nil, r.err()
}

// won remembers the server of a stream, and returns the stream.
func (p *Peers) won(host string, r *result) net.Conn {
	p.hint(host, r.from.ID)
	if r.from.ID != "" {
		p.streams.Add(1)
	}
	return r.conn
}

// hinted returns the server that held the tunnel of a host.
func (p *Peers) hinted(host string) (Replica, bool) {
	p.mu.Lock()
	id := p.hints[host]
	p.mu.Unlock()
	if id == "" {
		return Replica{}, false
	}
	return p.replica(id)
}

// hint remembers the server with the tunnel of a host; an empty one is forgotten.
func (p *Peers) hint(host, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id == "" {
		delete(p.hints, host)
		return
	}
	if len(p.hints) >= maxHints {
		clear(p.hints)
	}
	p.hints[host] = id
}

// replica returns a server by its ID, as it was read last.
func (d *Directory) replica(id string) (Replica, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.others {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}
