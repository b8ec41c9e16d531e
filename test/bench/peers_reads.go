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
	"fmt"
	"io"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

const (
	// boundObjects are the objects on hosts, whose status changes while watches are open.
	boundObjects = 64
	// watchesOfAConnection is the number of watches of one connection: fewer than a kube-apiserver allows.
	watchesOfAConnection = 90
)

// watched measures status patches of objects on hosts with different numbers of watches, each for one host.
func (b *peersBench) watched(ctx context.Context, p peer, server *runningPeer, figures peerFigures) error {
	sets, closeAll, err := newClients(server.config, 1, 1)
	defer closeAll()
	if err != nil {
		return err
	}
	client := sets[0].Discovery().RESTClient()
	for i := range boundObjects {
		name, host := nameOf("bound", i), hostName(i)
		if server.bind != nil {
			host = ""
		}
		if err := p.post(ctx, client, name, host); err != nil {
			return err
		}
		if server.bind != nil {
			if err := server.bind(ctx, name, hostName(i)); err != nil {
				return err
			}
		}
	}
	number := 0
	for _, watches := range b.watches {
		end, err := p.openWatches(ctx, server.config, watches)
		if err != nil {
			return err
		}
		first := number
		result, err := b.drive(ctx, server, 4, b.events, func(ctx context.Context, client rest.Interface, n int) error {
			return p.patchStatus(ctx, client, nameOf("bound", n%boundObjects), first+n)
		})
		number += b.events
		end()
		if err != nil {
			return err
		}
		figures[rowEvent(watches)] = float64(result.cpuEach())
	}
	return nil
}

// openWatches opens watches for one host each, and returns when all have an answer. Their events are read and dropped.
func (p peer) openWatches(ctx context.Context, config *rest.Config, count int) (end func(), err error) {
	if count == 0 {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	sets, closeAll, err := newClients(config, (count+watchesOfAConnection-1)/watchesOfAConnection, count)
	end = func() {
		cancel()
		closeAll()
	}
	if err != nil {
		end()
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(32)
	for i := range count {
		group.Go(func() error {
			query := url.Values{"watch": {"true"}, "timeoutSeconds": {"3600"}, "resourceVersion": {"0"}, "fieldSelector": {p.hostField + "=" + hostName(i)}}
			request := sets[i/watchesOfAConnection].Discovery().RESTClient().Get().AbsPath(p.path).SetHeader("Accept", p.media+";stream=watch")
			for name, values := range query {
				request.Param(name, values[0])
			}
			events, err := request.Stream(ctx)
			if err != nil {
				return err
			}
			go func() {
				_, _ = io.Copy(io.Discard, events)
				_ = events.Close()
			}()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		end()
		return nil, fmt.Errorf("opening %d watches: %w", count, err)
	}
	return end, nil
}

// lists measures a list of all objects, and memory after it.
func (b *peersBench) lists(ctx context.Context, p peer, server *runningPeer, figures peerFigures) error {
	sets, closeAll, err := newClients(server.config, 1, 1)
	defer closeAll()
	if err != nil {
		return err
	}
	client := sets[0].Discovery().RESTClient()
	for row, media := range map[string]string{rowList: jsonType, rowListBest: p.media} {
		var times []time.Duration
		for range 3 {
			began := time.Now()
			if _, err := client.Get().AbsPath(p.path).SetHeader("Accept", media).DoRaw(ctx); err != nil {
				return err
			}
			times = append(times, time.Since(began))
		}
		figures[row] = float64(median(times))
	}
	resident, err := server.resident()
	figures[rowResident] = float64(resident)
	return err
}
