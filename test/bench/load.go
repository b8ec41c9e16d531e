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

package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// load has the results of a number of operations.
type load struct {
	clients, count int
	took           time.Duration
	p50, p99       time.Duration
	// cpu is the processor time of the server meanwhile, if measured.
	cpu time.Duration
}

func (l load) rate() float64 { return perSecond(l.count, l.took) }

func (l load) cpuEach() time.Duration {
	if l.count == 0 {
		return 0
	}
	return l.cpu / time.Duration(l.count)
}

// drive makes each client run the next operation as soon as its last one is done, until count
// operations are done. The latencies are those of the clients.
func drive(ctx context.Context, clients, count int, operation func(ctx context.Context, client, number int) error) (load, error) {
	latencies := make([]time.Duration, count)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for client := range clients {
		group.Go(func() error {
			for {
				number := int(next.Add(1)) - 1
				if number >= count {
					return nil
				}
				start := time.Now()
				if err := operation(ctx, client, number); err != nil {
					return err
				}
				latencies[number] = time.Since(start)
			}
		})
	}
	err := group.Wait()
	took := time.Since(began)
	return load{clients: clients, count: count, took: took, p50: percentile(latencies, 50), p99: percentile(latencies, 99)}, err
}

// driveServer is drive with the processor time of the server.
func driveServer(ctx context.Context, s *server, clients, count int, operation func(ctx context.Context, client, number int) error) (load, error) {
	before, err := cpuTime(s.pid())
	if err != nil {
		return load{}, err
	}
	result, err := drive(ctx, clients, count, operation)
	if err != nil {
		return load{}, err
	}
	after, err := cpuTime(s.pid())
	result.cpu = after - before
	return result, err
}

// newClients creates clients that share connections evenly. Each connection is a separate transport,
// because Go's would use only one connection. The returned function closes them.
func newClients(config *rest.Config, clients, connections int) ([]versioned.Interface, func(), error) {
	var transports []*http.Transport
	closeAll := func() {
		for _, transport := range transports {
			transport.CloseIdleConnections()
		}
	}
	var https []*http.Client
	for range min(connections, clients) {
		tlsConfig, err := rest.TLSConfigFor(config)
		if err != nil {
			return nil, closeAll, err
		}
		transport := &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true}
		transports = append(transports, transport)
		wrapped, err := rest.HTTPWrappersForConfig(config, transport)
		if err != nil {
			return nil, closeAll, err
		}
		https = append(https, &http.Client{Transport: wrapped})
	}
	result := make([]versioned.Interface, 0, clients)
	for i := range clients {
		client, err := versioned.NewForConfigAndClient(config, https[i%len(https)])
		if err != nil {
			return nil, closeAll, err
		}
		result = append(result, client)
	}
	return result, closeAll, nil
}
