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

package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/peers"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

// etcdKeepAlive and etcdKeepAliveTimeout are those of k8s.io/apiserver's clients of etcd.
const etcdKeepAlive, etcdKeepAliveTimeout = 30 * time.Second, 10 * time.Second

// applyPeers makes this server reach hosts through the other servers of its etcd, and serve those. It comes before the
// limits of connections, which then count the connections of other servers.
func applyPeers(ctx context.Context, in Inputs, config *apiserver.Config) error {
	client, err := in.etcdClient(ctx)
	if err != nil {
		return err
	}
	generic, tunnels := config.Generic, tunnel.NewRegistry()
	settings := peers.Config{Tunnels: tunnels, Client: client, Prefix: in.Etcd.StorageConfig.Prefix, Address: in.peerAddress()}
	if connections, ok := generic.SecureServing.Listener.(*limits.Connections); ok {
		settings.Authenticated = connections.Authenticated
	}
	others, err := peers.New(ctx, settings)
	if err != nil {
		return err
	}
	certificate, err := others.Certificate()
	if err != nil {
		return err
	}
	generic.SecureServing.SNICerts = append(generic.SecureServing.SNICerts, certificate)
	build := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		return others.Wrap(build(handler, config))
	}
	config.Tunnels, config.Hosts = tunnels, others
	config.Metrics = append(config.Metrics, others.Metrics())
	go others.Run(ctx)
	return nil
}

// etcdClient returns a client of etcd that outlives the context.
func (in Inputs) etcdClient(ctx context.Context) (*clientv3.Client, error) {
	if in.Local != nil {
		return in.Local.NewClient(), nil
	}
	config, err := in.Etcd.External().ClientConfig(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	config.Logger = zap.NewNop() // the callers report the errors
	config.DialKeepAliveTime, config.DialKeepAliveTimeout = etcdKeepAlive, etcdKeepAliveTimeout
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("--etcd-servers: %w", err)
	}
	return client, nil
}

// peerAddress returns the address at which other servers reach this one: that of the flag, or on which it listens. For one
// that listens on all addresses it is that by which other members of its etcd reach it, or that of the default route.
func (in Inputs) peerAddress() string {
	_, port, err := net.SplitHostPort(in.Listener.Addr().String())
	if err != nil {
		return ""
	}
	if ip := in.ServerRun.AdvertiseAddress; ip != nil {
		return net.JoinHostPort(ip.String(), port)
	}
	member := in.Etcd.Member.PeerURL
	if state, err := cluster.Load(in.DataDir); err == nil && state != nil {
		member = state.PeerURL
	}
	if u, err := url.Parse(member); err == nil && u.Hostname() != "" {
		return net.JoinHostPort(u.Hostname(), port)
	}
	if ip, err := utilnet.ResolveBindAddress(in.Serving.BindAddress); err == nil {
		return net.JoinHostPort(ip.String(), port)
	}
	return in.joinAddress()
}
