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

package embedded

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
)

const (
	// keepAliveTime and keepAliveTimeout are those of k8s.io/apiserver's clients of etcd.
	keepAliveTime    = 30 * time.Second
	keepAliveTimeout = 10 * time.Second
)

// clientLogger drops what clients log: they return their errors.
var clientLogger = zap.NewNop()

// NewClient returns a client. The caller closes it before Close.
//
// The client of a lone member calls etcd's functions, without a connection and without a copy of requests and
// responses. With several members it uses gRPC over the socket: only there a watch ends when its member has
// lost the leader, and only there a request is repeated after a change of the leader. A client that was made
// before the member had peers changes over when it gets them, and its watches end.
func (s *Server) NewClient() *clientv3.Client {
	if s.lone.Err() != nil {
		if client, err := clientv3.New(s.remoteConfig()); err == nil {
			return client
		}
	}
	client := v3client.New(s.etcd.Server)
	both := &changeover{server: s}
	client.KV = changeoverKV{both, client.KV}
	client.Lease = changeoverLease{client.Lease, both}
	client.Watcher = &changeoverWatcher{both, client.Watcher}
	return client
}

// changeover has the client by gRPC of a client in the process.
type changeover struct {
	server *Server
	mu     sync.Mutex
	client *clientv3.Client
	closed bool
}

// remote returns the client by gRPC, or nil while the member is alone.
func (c *changeover) remote() *clientv3.Client {
	if c.server.lone.Err() == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil && !c.closed {
		if client, err := clientv3.New(c.server.remoteConfig()); err == nil {
			c.client = client
		}
	}
	return c.client
}

func (c *changeover) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.client == nil {
		return nil
	}
	client := c.client
	c.client = nil
	return client.Close()
}

// changeoverKV is a clientv3.KV.
type changeoverKV struct {
	both  *changeover
	local clientv3.KV
}

func (k changeoverKV) current() clientv3.KV {
	if remote := k.both.remote(); remote != nil {
		return remote.KV
	}
	return k.local
}

// Put implements clientv3.KV.
func (k changeoverKV) Put(ctx context.Context, key, value string, options ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	return k.current().Put(ctx, key, value, options...)
}

// Get implements clientv3.KV.
func (k changeoverKV) Get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return k.current().Get(ctx, key, options...)
}

// GetStream implements clientv3.KV.
func (k changeoverKV) GetStream(ctx context.Context, key string, options ...clientv3.OpOption) (clientv3.GetStreamChan, error) {
	return k.current().GetStream(ctx, key, options...)
}

// Delete implements clientv3.KV.
func (k changeoverKV) Delete(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	return k.current().Delete(ctx, key, options...)
}

// Compact implements clientv3.KV.
func (k changeoverKV) Compact(ctx context.Context, revision int64, options ...clientv3.CompactOption) (*clientv3.CompactResponse, error) {
	return k.current().Compact(ctx, revision, options...)
}

// Do implements clientv3.KV.
func (k changeoverKV) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	return k.current().Do(ctx, op)
}

// Txn implements clientv3.KV.
func (k changeoverKV) Txn(ctx context.Context) clientv3.Txn { return k.current().Txn(ctx) }

// changeoverLease is a clientv3.Lease. Leases belong to the cluster, so only new requests change over.
type changeoverLease struct {
	clientv3.Lease
	both *changeover
}

// Grant implements clientv3.Lease.
func (l changeoverLease) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	if remote := l.both.remote(); remote != nil {
		return remote.Lease.Grant(ctx, ttl)
	}
	return l.Lease.Grant(ctx, ttl)
}

// changeoverWatcher is a clientv3.Watcher.
type changeoverWatcher struct {
	both  *changeover
	local clientv3.Watcher
}

// Watch implements clientv3.Watcher. A watch in the process ends when the member gets peers.
func (w *changeoverWatcher) Watch(ctx context.Context, key string, options ...clientv3.OpOption) clientv3.WatchChan {
	if remote := w.both.remote(); remote != nil {
		return remote.Watch(ctx, key, options...)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.both.server.lone, cancel)
	context.AfterFunc(ctx, func() { stop() })
	return w.local.Watch(ctx, key, options...)
}

// RequestProgress implements clientv3.Watcher.
func (w *changeoverWatcher) RequestProgress(ctx context.Context) error {
	if remote := w.both.remote(); remote != nil {
		return remote.RequestProgress(ctx)
	}
	return w.local.RequestProgress(ctx)
}

// Close implements clientv3.Watcher.
func (w *changeoverWatcher) Close() error {
	_ = w.both.close()
	return w.local.Close()
}
