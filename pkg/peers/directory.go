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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

const (
	// root is the prefix of the keys of servers. They are outside those of the API: no object is made of them, and no
	// watch has them. The prefix of the API follows, in one segment, because several APIs can share an etcd.
	root = "/gatehouse/servers"
	// lifetime is the time after which a server that was killed is forgotten, and renewInterval that between two renewals,
	// at which the others are read, too.
	lifetime, renewInterval = 15 * time.Second, 5 * time.Second
	// retryInterval is the time to the next attempt after a failure.
	retryInterval = time.Second
	// etcdTimeout bounds a request to etcd.
	etcdTimeout = 2 * time.Second
	// strangersInterval is the time between two reads that unknown certificates cause.
	strangersInterval = time.Second
)

// Replica is one server.
type Replica struct {
	// ID is that of the process.
	ID string `json:"-"`
	// Address is the host and the port at which the other servers reach it.
	Address string `json:"address"`
	// Certificate authenticates it, as a server and as a client, in DER.
	Certificate []byte `json:"certificate"`
}

// Directory has the servers that run, in etcd.
type Directory struct {
	client *clientv3.Client
	prefix string
	own    Replica
	log    klog.Logger
	// lease belongs to Run.
	lease clientv3.LeaseID

	mu sync.Mutex
	// others are the other servers when they were last read.
	others []Replica
	// looked is when an unknown certificate last caused a read.
	looked time.Time
}

// newDirectory returns a Directory, which closes the client at the end of Run. The prefix is that of the objects of
// the API.
func newDirectory(ctx context.Context, client *clientv3.Client, prefix string, own Replica) *Directory {
	return &Directory{
		client: client, prefix: root + "/" + url.PathEscape(strings.Trim(prefix, "/")) + "/", own: own, log: klog.LoggerWithName(klog.FromContext(ctx), "peers"),
	}
}

// Run keeps this server in the directory until the context ends.
func (d *Directory) Run(ctx context.Context) {
	defer func() { _ = d.client.Close() }()
	last := ""
	for ctx.Err() == nil {
		wait, text := renewInterval, ""
		err := d.announce(ctx)
		if err == nil {
			_, err = d.read(ctx)
		}
		if err != nil {
			wait, text = retryInterval, err.Error()
		}
		if text != last && text != "" && ctx.Err() == nil {
			d.log.Info("Other servers do not find this one: its place in etcd cannot be renewed", "err", err)
		}
		last = text
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	if d.lease != 0 {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), etcdTimeout)
		defer cancel()
		_, _ = d.client.Delete(leaving, d.prefix+d.own.ID)
	}
}

// announce writes the own entry, or extends its life.
func (d *Directory) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, etcdTimeout)
	defer cancel()
	if d.lease != 0 {
		_, err := d.client.KeepAliveOnce(ctx, d.lease)
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
	}
	value, err := json.Marshal(d.own)
	if err != nil {
		return err
	}
	lease, err := d.client.Grant(ctx, int64(lifetime.Seconds()))
	if err != nil {
		return err
	}
	if _, err := d.client.Put(ctx, d.prefix+d.own.ID, string(value), clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	d.lease = lease.ID
	return nil
}

// Others returns the other servers. If etcd does not answer, they are those of the last read; the error is only
// without one.
func (d *Directory) Others(ctx context.Context) ([]Replica, error) {
	others, err := d.read(ctx)
	if err == nil {
		return others, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.others != nil {
		return d.others, nil
	}
	return nil, fmt.Errorf("the list of servers cannot be read: %w", err)
}

// Knows returns true if another server has the certificate. One that has just started is in etcd.
func (d *Directory) Knows(ctx context.Context, certificate []byte) bool {
	known := func(others []Replica) bool {
		for i := range others {
			if bytes.Equal(others[i].Certificate, certificate) {
				return true
			}
		}
		return false
	}
	d.mu.Lock()
	found := known(d.others)
	look := !found && time.Since(d.looked) >= strangersInterval
	if look {
		d.looked = time.Now()
	}
	d.mu.Unlock()
	if !look {
		return found
	}
	others, err := d.read(ctx)
	return err == nil && known(others)
}

// read reads the other servers from etcd.
func (d *Directory) read(ctx context.Context) ([]Replica, error) {
	ctx, cancel := context.WithTimeout(ctx, etcdTimeout)
	defer cancel()
	found, err := d.client.Get(ctx, d.prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	others := make([]Replica, 0, len(found.Kvs))
	for _, kv := range found.Kvs {
		r := Replica{}
		if err := json.Unmarshal(kv.Value, &r); err != nil {
			d.log.Info("Entry of a server in etcd cannot be read", "key", string(kv.Key), "err", err)
			continue
		}
		if r.ID = strings.TrimPrefix(string(kv.Key), d.prefix); r.ID != d.own.ID {
			others = append(others, r)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others = others
	return others, nil
}
