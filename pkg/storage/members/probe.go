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

package members

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// openURL returns the endpoint of a URL.
func (p *Poller) openURL(ctx context.Context, address string) (endpoint, error) {
	if address == localURL {
		return &localEndpoint{client: p.config.Local.NewClient(), metrics: p.config.Local.Metrics()}, nil
	}
	external := p.config.External
	external.Endpoints = []string{address}
	config, err := external.ClientConfig(ctx)
	if err != nil {
		return nil, err
	}
	// A connection to a machine that is gone is found by these, and not by TCP after minutes. etcd closes the
	// connections of clients that ask more often than each 5 s.
	config.DialKeepAliveTime, config.DialKeepAliveTimeout = 10*time.Second, 3*time.Second
	config.Logger = zap.NewNop() // the object has the error
	client, err := clientv3.New(config)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: config.TLS.Clone(), IdleConnTimeout: 2 * idleInterval, MaxIdleConns: 1}
	if transport.TLSClientConfig != nil {
		transport.TLSClientConfig.NextProtos = nil // the transport sets them
	}
	base := address
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		base = "http://etcd"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	conn := client.ActiveConnection()
	return &remoteEndpoint{
		client: client, conn: conn, maintenance: etcdserverpb.NewMaintenanceClient(conn), cluster: etcdserverpb.NewClusterClient(conn),
		http: &http.Client{Transport: transport}, metrics: strings.TrimSuffix(base, "/") + "/metrics",
	}, nil
}

// localEndpoint is the member in this process.
type localEndpoint struct {
	client  *clientv3.Client
	metrics gatherer
}

// probe implements endpoint.
func (l *localEndpoint) probe(ctx context.Context) (*answer, error) {
	began := time.Now()
	endpoint := localURL
	if endpoints := l.client.Endpoints(); len(endpoints) > 0 {
		endpoint = endpoints[0] // a member with peers is asked over its socket
	}
	state, err := l.client.Status(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	a := &answer{status: (*etcdserverpb.StatusResponse)(state), at: time.Now(), took: time.Since(began)}
	// Serializable: the list of the member itself, which it has without a quorum, too.
	if list, err := l.client.MemberList(ctx, clientv3.WithSerializable()); err == nil {
		a.members = list.Members
	}
	if a.fsyncs, err = gathered(l.metrics); err != nil {
		a.unavailable = err.Error()
	}
	return a, nil
}

func (l *localEndpoint) close() { _ = l.client.Close() }

// remoteEndpoint is a member in another process.
type remoteEndpoint struct {
	client      *clientv3.Client
	conn        *grpc.ClientConn
	maintenance etcdserverpb.MaintenanceClient
	cluster     etcdserverpb.ClusterClient
	http        *http.Client
	metrics     string
}

// probe implements endpoint.
func (r *remoteEndpoint) probe(ctx context.Context) (*answer, error) {
	// After failures, gRPC would wait for minutes before it connects again.
	r.conn.ResetConnectBackoff()
	began := time.Now()
	state, err := r.maintenance.Status(ctx, &etcdserverpb.StatusRequest{})
	if err != nil {
		return nil, err
	}
	a := &answer{status: state, at: time.Now(), took: time.Since(began)}
	if list, err := r.cluster.MemberList(ctx, &etcdserverpb.MemberListRequest{Linearizable: false}); err == nil {
		a.members = list.GetMembers()
	}
	if a.fsyncs, err = r.scrape(ctx); err != nil {
		a.unavailable = "reading its /metrics failed: " + readable(ctx, err).Error()
	}
	return a, nil
}

// scrape reads the durations of the writes of the log from /metrics.
func (r *remoteEndpoint) scrape(ctx context.Context) (histogram, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metrics, nil)
	if err != nil {
		return histogram{}, err
	}
	response, err := r.http.Do(request)
	if err != nil {
		return histogram{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return histogram{}, errors.New(response.Status)
	}
	return scanned(response.Body)
}

func (r *remoteEndpoint) close() {
	_ = r.client.Close()
	r.http.CloseIdleConnections()
}

// errSilent is for what gRPC reports of a process that is stopped: its connections are made by the kernel.
var errSilent = errors.New("it accepts connections and does not respond")

// silence are parts of gRPC's errors of connections on which nothing is received.
var silence = []string{"error reading server preface", "keepalive ping failed"}

var errTimeout = fmt.Errorf("no response within %v", memberTimeout)

// readable returns an error without the layers that gRPC and HTTP add.
func readable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
		return cause
	}
	if request := (*url.Error)(nil); errors.As(err, &request) {
		return request.Err
	}
	message := status.Convert(err).Message()
	for _, part := range silence {
		if strings.Contains(message, part) {
			return errSilent
		}
	}
	// connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused"
	if _, inner, found := strings.Cut(message, `desc = "`); found {
		message = strings.TrimSuffix(inner, `"`)
	}
	message = strings.TrimPrefix(strings.TrimPrefix(message, "transport: "), "Error while dialing: ")
	return errors.New(message)
}
