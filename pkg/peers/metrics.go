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
	"k8s.io/component-base/metrics"
)

// Metrics returns the metrics of tunnels and of streams through other servers.
func (p *Peers) Metrics() metrics.Gatherer {
	own := metrics.NewKubeRegistry()
	own.CustomMustRegister(&collector{
		peers:   p,
		tunnels: metrics.NewDesc("gatehouse_host_tunnels", "Hosts that are connected to this server for logs, exec, attach and port forwarding.", nil, nil, metrics.ALPHA, ""),
		streams: metrics.NewDesc("gatehouse_peer_streams_total", "Streams to hosts that this server has opened through other servers.", nil, nil, metrics.ALPHA, ""),
	})
	return own
}

type collector struct {
	metrics.BaseStableCollector
	peers            *Peers
	tunnels, streams *metrics.Desc
}

// DescribeWithStability implements metrics.StableCollector.
func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- c.tunnels
	ch <- c.streams
}

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	ch <- metrics.NewLazyConstMetric(c.tunnels, metrics.GaugeValue, float64(len(c.peers.tunnels.Hosts())))
	ch <- metrics.NewLazyConstMetric(c.streams, metrics.CounterValue, float64(c.peers.streams.Load()))
}
